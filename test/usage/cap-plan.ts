/**
 * What a flood against caps is made of: its accounts, their caps, and what each message costs. The same in the
 * run and in its processes, as it follows from a seed.
 */
import { nanoText } from '../../src/base/nano.ts';
import { below, randomFrom } from '../crash/traffic.ts';

/** What one unit of cost is at. */
export const UNIT_NANO = 7_500_000n;
export const DESTINATIONS = Array.from({ length: 8 }, (_, at) => `flood-${at}`);
export const PER_FRAME = 200;
/** By a cap that was reached. */
export const CAP_REACHED = 5006;

export interface CapAccount {
  readonly tenant: string;
  /** Every message of it costs the same: this much. */
  readonly cost: number | undefined;
  /** Each of them undefined: no such cap. */
  readonly nano: bigint | undefined;
  readonly count: number | undefined;
}

/** The highest cost where costs are mixed; the lowest is 1. */
const COST_MAX = 5;
const COST_MEAN = (1 + COST_MAX) / 2;
/** Of its messages, that fit below the cap of an account. */
const FITS = 0.6;
/** What is left of a cap although nothing fits into it any more: all but one nano-unit of a message. */
const REST_NANO = UNIT_NANO - 1n;

/** Five accounts that share the messages; caps are crossed in the middle of the flood. */
export function capAccounts(messages: number): readonly CapAccount[] {
  const fits = Math.floor((messages * FITS) / 5);
  const nanoOf = (units: number): bigint => BigInt(Math.floor(units)) * UNIT_NANO + REST_NANO;
  const none = { cost: undefined, nano: undefined, count: undefined };
  return [
    { ...none, tenant: 'even', cost: 2, nano: nanoOf(2 * fits) },
    { ...none, tenant: 'mixed', nano: nanoOf(COST_MEAN * fits) },
    { ...none, tenant: 'counted', count: fits },
    { ...none, tenant: 'both', nano: nanoOf(COST_MEAN * fits), count: fits },
    { ...none, tenant: 'free' },
  ];
}

export type Put = readonly [path: string, fields: object];

/**
 * Bodies of prices, destinations, tenants and caps, by path.
 *
 * @param more nano-units and messages that each cap allows beyond what the accounts say
 */
export function capEntities(accounts: readonly CapAccount[], more: number): readonly Put[] {
  const price = { by: 'usage', steps: [{ price: nanoText(UNIT_NANO) }] };
  return [
    ['prices/messages', price],
    ...DESTINATIONS.map((name): Put => [`destinations/${name}`, {}]),
    ...accounts.flatMap((account) => accountPuts(account, more)),
  ];
}

function accountPuts({ tenant, nano, count }: CapAccount, more: number): readonly Put[] {
  const puts: Put[] = [[`tenants/${tenant}`, {}]];
  if (nano !== undefined) {
    const value = nanoText(nano + BigInt(more));
    const fields = { category: 'messages', by: 'price', period: 'alltime', value };
    puts.push([`caps/${tenant}/price`, fields]);
  }
  if (count !== undefined) {
    const value = `${count + more}`;
    const fields = { category: 'messages-accepted', by: 'count', period: 'alltime', value };
    puts.push([`caps/${tenant}/count`, fields]);
  }
  return puts;
}

export interface FloodPart {
  /** Of the process; its messages follow from both. */
  readonly seed: number;
  readonly number: number;
  readonly messages: number;
  readonly accounts: readonly CapAccount[];
}

/** Account and cost of each message of a process. */
export function floodMessages({ seed, number, messages, accounts }: FloodPart): {
  readonly account: Uint8Array;
  readonly cost: Uint8Array;
} {
  const random = randomFrom(seed * 31 + number);
  const [account, cost] = [new Uint8Array(messages), new Uint8Array(messages)];
  for (let at = 0; at < messages; at += 1) {
    const of = below(random, accounts.length);
    account[at] = of;
    cost[at] = accounts[of]?.cost ?? 1 + below(random, COST_MAX);
  }
  return { account, cost };
}

/** What became of an account's messages. */
export interface FloodSum {
  accepted: number;
  /** Cost of the accepted. */
  units: number;
  refused: number;
}
