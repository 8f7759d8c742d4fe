import { FairleadError } from '../errors.ts';
import {
  type Billable,
  type Configure,
  encodeBillable,
  encodeConfigure,
  encodeExplain,
  encodeInUse,
  INPUT_OP,
  InputBuffer,
  SCOPE_BIT,
} from '../protocol/exchange.ts';
import { encodeCall } from '../protocol/message-ops.ts';
import type { UsageChange } from '../protocol/usage-exchange.ts';
import type { ShardChange, ShardPorts } from './ports.ts';
import { amountOf } from './price-schemas.ts';

/** A bucket that is given no burst holds one message. */
const BURST_DEFAULT = 1;

/** What a frame without a connection may do: a tenant publishes, the platform does everything. */
const TENANT_SCOPES = SCOPE_BIT.publish;
const PLATFORM_SCOPES = SCOPE_BIT.publish | SCOPE_BIT.consume | SCOPE_BIT.platform;

/** The end of a shard that takes one operation and answers JSON text, or one daemon frame. */
export interface ShardRequester {
  request(op: number, body: Uint8Array): Promise<string>;
  call(op: number, body: Uint8Array): Promise<Uint8Array>;
}

/** What dispatch asks of shards, as operations of their exchanges; looked up only when asked. */
export function shardPortsOf(
  count: number,
  shardOf: (shard: number) => ShardRequester | undefined,
): ShardPorts {
  const requesterOf = (shard: number): ShardRequester => {
    const requester = shardOf(shard);
    if (requester === undefined) throw new RangeError(`there is no shard ${shard}`);
    return requester;
  };
  const ask = async (shard: number, op: number, body: Uint8Array): Promise<unknown> =>
    JSON.parse(await requesterOf(shard).request(op, body));
  return {
    count,
    ask,
    call: async (shard, tenant, frame) => {
      const scopes = tenant === undefined ? PLATFORM_SCOPES : TENANT_SCOPES;
      const body = encodeCall({ scopes, tenant, frame });
      return await requesterOf(shard).call(INPUT_OP.call, body);
    },
    configure: async (shard, change) => {
      const answer = await ask(shard, INPUT_OP.configure, encodeChange(change));
      if ((answer as { ok: boolean }).ok) return;
      throw new FairleadError('inUse', `The ${change.kind} ${change.name} is in use.`);
    },
    inUse: async (shard, kind, name) => {
      const answer = await ask(shard, INPUT_OP.inUse, encodeInUse(kind, name));
      return (answer as { inUse: boolean }).inUse;
    },
    explain: async (shard, page) => {
      const answer = await ask(shard, INPUT_OP.explain, encodeExplain(page));
      if ((answer as { error?: string }).error === undefined) return answer;
      throw new FairleadError('unknownDestination');
    },
  };
}

/** Bytes of one `configure` entry. */
export function encodeChange(change: ShardChange): Uint8Array {
  if (change.fields === null) return encodeConfigure(change as Configure);
  if (change.kind === 'price' || change.kind === 'cap') {
    return encodeConfigure(amountsOf(change) as Configure);
  }
  const burst = change.fields.burst ?? BURST_DEFAULT;
  return encodeConfigure({ ...change, fields: { ...change.fields, burst } } as Configure);
}

/** A price or a cap with its amounts as they are compared. */
export function amountsOf(
  change: ShardChange & { readonly kind: 'price' | 'cap' },
): Extract<UsageChange, { kind: 'price' | 'cap' }> {
  if (change.fields === null) return { ...change, fields: null };
  if (change.kind === 'cap') {
    const { by, value } = change.fields;
    return { ...change, fields: { ...change.fields, value: amountOf(by, value) } };
  }
  const { by, steps } = change.fields;
  const amounts = steps.map(({ fromMs, price }) => ({ fromMs, nano: amountOf('price', price) }));
  return { ...change, fields: { by, steps: amounts } };
}

/** The initial configuration of a shard: an exchange input that is all `configure` entries. */
export function encodeConfiguration(
  changes: Iterable<ShardChange>,
  billable?: Billable,
): Uint8Array {
  const input = new InputBuffer();
  if (billable !== undefined) input.append(INPUT_OP.configure, 0, encodeBillable(billable));
  for (const change of changes) input.append(INPUT_OP.configure, 0, encodeChange(change));
  const { buffer, bytes } = input.finish(0);
  return new Uint8Array(buffer, 0, bytes);
}
