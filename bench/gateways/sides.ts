/**
 * Two or more senders in turn against the same server, in one run: only so are their rates
 * comparable. A server's view counts: what came, once each, and when.
 */
import { median, significant } from '../statistics.ts';
import type { Child } from './child.ts';
import type { RoundResult } from './load/round.ts';

/** A sender, in a process of its own. */
export interface Side {
  readonly pid: number;
  /** Before the round: what is slow and not measured. */
  prepare?(messages: number): Promise<void>;
  /** Sends messages 0…n-1. */
  send(messages: number): Promise<void>;
  /** After the round. @throws Error when not all is as it has to be */
  finish?(messages: number): Promise<void>;
}

export interface RoundServer {
  expect(messages: number, senderPid: number): Promise<void>;
  result(): Promise<RoundResult>;
}

/** A child that has rounds. */
export function roundServer(
  child: Child<{
    expect: (messages: number, senderPid: number) => void;
    result: () => Promise<RoundResult>;
  }>,
): RoundServer {
  return {
    expect: async (messages, pid) => await child.ask('expect', messages, pid),
    result: async () => await child.ask('result'),
  };
}

/** Medians of a sender's rounds, the middle 80 % of each. */
export interface SideResult {
  readonly perSec: number;
  readonly perSecMin: number;
  readonly perSecMax: number;
  /** Of all the sender's threads. */
  readonly cpuUsPerMessage: number;
  /** Shares of one core. */
  readonly mainThreadPct: number;
  readonly otherThreadsPct: number;
  readonly serverPct: number;
  readonly messagesPerRequest: number;
}

export async function alternate<N extends string>(
  server: RoundServer,
  sides: Readonly<Record<N, Side>>,
  { messages, rounds }: { readonly messages: number; readonly rounds: number },
): Promise<Record<N, SideResult>> {
  const results = new Map<N, RoundResult[]>();
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, side] of Object.entries(sides) as [N, Side][]) {
      const result = await oneRound(server, side, messages);
      results.set(name, [...(results.get(name) ?? []), result]);
    }
  }
  const entries = [...results].map(([name, of]) => [name, sideResult(of, messages)] as const);
  return Object.fromEntries(entries) as Record<N, SideResult>;
}

/** @throws Error unless every message came, once, and is settled */
export async function oneRound(
  server: RoundServer,
  side: Side,
  messages: number,
): Promise<RoundResult> {
  await side.prepare?.(messages);
  await server.expect(messages, side.pid);
  const [result] = await Promise.all([server.result(), side.send(messages)]);
  await side.finish?.(messages);
  // Again: by now a message that came twice has come.
  await server.result();
  return result;
}

export function sideResult(rounds: readonly RoundResult[], messages: number): SideResult {
  const middle = (value: (round: RoundResult) => number): number => median(rounds.map(value));
  const rates = rounds.map((round) => Math.round(round.messages / round.seconds));
  const usPerSec = (us: number, { seconds }: RoundResult): number => us / seconds;
  const pct = (us: (round: RoundResult) => number): number =>
    significant(middle((round) => usPerSec(us(round), round)) / 10_000);
  return {
    perSec: Math.round(median(rates)),
    perSecMin: Math.min(...rates),
    perSecMax: Math.max(...rates),
    cpuUsPerMessage: significant(middle((round) => round.sender.processUs / round.messages)),
    mainThreadPct: pct(({ sender }) => sender.mainThreadUs),
    otherThreadsPct: pct(({ sender }) => sender.processUs - sender.mainThreadUs),
    serverPct: pct(({ serverCpuUs }) => serverCpuUs),
    messagesPerRequest: significant(middle(({ requests }) => messages / requests)),
  };
}
