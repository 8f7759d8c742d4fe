/** Two clients ask at once for the one seat that a cap has, round after round: exactly one may pass. */
import { connect, type Gate, ImpededError, type Permit } from '../../src/client/index.ts';
import { GateDaemon } from './gate-daemon.ts';

export interface PairOptions {
  readonly rounds: number;
  readonly build?: string | undefined;
}

export interface PairResult {
  readonly rounds: number;
  readonly caps: number;
  /** Rounds in which both passed. */
  readonly both: number;
  /** Rounds in which none passed. */
  readonly none: number;
  /** Of the rounds with one, how many each client won. */
  readonly first: number;
  readonly second: number;
  readonly seconds: number;
  readonly passed: boolean;
}

/** Pairs that play beside each other, each on a resource of its own, of each sort. */
const LANES = 16;

/** Of which cap the one seat is, and as whom the two ask. */
const SORTS = [
  { name: 'key', fields: { tenantLimit: 1 }, tenants: ['a', 'a'] },
  { name: 'resource', fields: { limit: 1 }, tenants: ['a', 'b'] },
  { name: 'both', fields: { limit: 1, tenantLimit: 1 }, tenants: ['a', 'b'] },
  { name: 'tenant', fields: {}, tenants: ['', ''] },
] as const;

export async function pairRun({ rounds, build }: PairOptions): Promise<PairResult> {
  const gate = new GateDaemon([], build);
  const sums = { both: 0, none: 0, first: 0, second: 0, rounds: 0 };
  try {
    const { url, token } = await gate.start();
    const clients = [0, 1].map(() => connect({ url, token }));
    const [one, two] = clients.map((client) => client.gate()) as [Gate, Gate];
    const startMs = performance.now();
    const play = SORTS.flatMap(({ name, fields, tenants }) =>
      Array.from({ length: LANES }, async (_, lane) => {
        const resource = `pair-${name}-${lane}`;
        await gate.now.put(`resources/${resource}`, fields);
        // The tenant's own cap: a tenant of this lane, two resources.
        const own = name === 'tenant';
        if (own) {
          await gate.now.put(`tenants/own-${lane}`, { concurrencyMax: 1 });
          await gate.now.put(`resources/${resource}-2`, fields);
        }
        const asks = [
          { gate: one, resource, tenant: own ? `own-${lane}` : tenants[0] },
          {
            gate: two,
            resource: own ? `${resource}-2` : resource,
            tenant: own ? `own-${lane}` : tenants[1],
          },
        ];
        for (let round = 0; round < Math.ceil(rounds / LANES); round += 1) {
          // Each is first as often as the other.
          const order = round % 2 === 0 ? asks : [...asks].reverse();
          const permits = await Promise.all(order.map(ask));
          sums.rounds += 1;
          count(sums, round % 2 === 0 ? permits : [...permits].reverse());
          await Promise.all(permits.map((permit) => permit?.release()));
        }
      }),
    );
    await Promise.all(play);
    const seconds = Number(((performance.now() - startMs) / 1000).toFixed(1));
    await Promise.all(clients.map((client) => client.close(1000)));
    const passed = sums.both === 0 && sums.none === 0 && sums.first > 0 && sums.second > 0;
    return { ...sums, caps: SORTS.length, seconds, passed };
  } finally {
    await gate.end();
  }
}

async function ask(of: {
  gate: Gate;
  resource: string;
  tenant: string;
}): Promise<Permit | undefined> {
  try {
    return await of.gate.acquire(of.resource, { tenant: of.tenant, mode: 'reject' });
  } catch (cause) {
    if (cause instanceof ImpededError && cause.error === 'concurrencyLimit') return undefined;
    throw cause;
  }
}

function count(
  sums: { both: number; none: number; first: number; second: number },
  [first, second]: readonly (Permit | undefined)[],
): void {
  if (first !== undefined && second !== undefined) sums.both += 1;
  else if (first !== undefined) sums.first += 1;
  else if (second !== undefined) sums.second += 1;
  else sums.none += 1;
}
