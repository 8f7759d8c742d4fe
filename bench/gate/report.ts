/** Rows of the gate as text for people. */
import type { PairsResult, RoundTripResult, RoundTripSide } from './pairs.ts';
import type { ProxyResult, ProxySide } from './proxy.ts';
import type { GateResult } from './rows.ts';
import type { PairSide } from './sides.ts';

const number = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 21 });

export function gateFactsOf(row: GateResult): string[] {
  return [...factsOf(row), `load before ${row.loadBefore}`];
}

function factsOf(row: GateResult): string[] {
  switch (row.kind) {
    case 'table':
      return [`${row.nsPerPair} ns/pair (${row.nsPerPairMin}–${row.nsPerPairMax})`];
    case 'pairs':
      return pairsFactsOf(row);
    case 'roundtrip':
      return roundTripFactsOf(row);
    case 'proxy':
      return proxyFactsOf(row);
  }
}

function pairsFactsOf({
  daemon,
  redis,
  ratio,
  ioredis,
  ratioToIoredis,
  redisSkipped,
}: PairsResult) {
  const facts = [`daemon ${pairFactsOf(daemon)}`];
  if (redis !== null) facts.push(`redis ${pairFactsOf(redis)}`, `ratio ${ratio}`);
  if (ioredis !== null) facts.push(`ioredis ${pairFactsOf(ioredis)}`, `ratio ${ratioToIoredis}`);
  if (redisSkipped !== null) facts.push(redisSkipped);
  return facts;
}

function pairFactsOf(side: PairSide): string {
  const spread = `(${number.format(side.pairsPerSecMin)}–${number.format(side.pairsPerSecMax)})`;
  return [
    `${number.format(side.pairsPerSec)} pairs/s ${spread}`,
    `server ${side.serverCpuUsPerPair} µs/pair`,
    `p50 ${side.acquireP50Ms} ms, p99 ${side.acquireP99Ms} ms`,
    `generator ${side.loadGeneratorCpuPct} %`,
  ].join(', ');
}

function roundTripFactsOf({ daemon, redis, ioredis, redisSkipped }: RoundTripResult): string[] {
  const of = (name: string, side: RoundTripSide): string =>
    `${name} p50 ${side.acquireP50Ms} ms, p99 ${side.acquireP99Ms} ms`;
  const facts = [of('daemon', daemon)];
  if (redis !== null) facts.push(of('redis', redis));
  if (ioredis !== null) facts.push(of('ioredis', ioredis));
  if (redisSkipped !== null) facts.push(redisSkipped);
  return facts;
}

function proxyFactsOf(row: ProxyResult): string[] {
  return [
    `daemon ${proxySideFactsOf(row.daemon)}`,
    `@fastify/http-proxy ${proxySideFactsOf(row.fastify)}`,
    `ratio ${row.ratio}, of CPU ${row.cpuRatio}`,
    `backend alone ${number.format(row.directPerSec)}/s by ${row.generator}`,
    `at ${number.format(row.halfLoadPerSec)}/s p99 ${row.halfLoadP99Ms} ms, backend alone ${row.directP99Ms} ms, added ${row.addedP99Ms} ms`,
    `a hop that does nothing adds ${row.hopAddedP99Ms} ms, @fastify/http-proxy at ${number.format(row.fastifyHalfLoadPerSec)}/s ${row.fastifyAddedP99Ms} ms`,
  ];
}

function proxySideFactsOf(side: ProxySide): string {
  const spread = `(${number.format(side.requestsPerSecMin)}–${number.format(side.requestsPerSecMax)})`;
  const threads = `main thread ${side.mainThreadPct} %, others ${side.otherThreadsPct} %`;
  return `${number.format(side.requestsPerSec)}/s ${spread}, ${side.cpuUsPerRequest} µs/request, ${threads}`;
}
