// Joins usage with the account form: the same records and triggers, of one tenant.
import type { AccountUsage, NewTrigger, TriggerRecord, UsageRow } from './accounts/usage-ports.ts';
import type { TriggerBody, TriggerView, Usage } from './usage/ports.ts';

export function accountUsage(usage: Usage, currency: string): AccountUsage {
  return {
    currency,
    records: async ({ tenant: account, ...query }) => {
      const { items, cursor } = await usage.records({ ...query, account, tag: null });
      return { items: items satisfies readonly UsageRow[], cursor };
    },
    createTrigger: async ({ tenant, ...trigger }) =>
      recordOf(await usage.putTrigger(tenant, bodyOf(trigger))),
    trigger: async (sid, tenant) => recordOf(await usage.trigger(sid, tenant)),
    changeTrigger: async (sid, tenant, change) => {
      const before = await usage.trigger(sid, tenant);
      return recordOf(await usage.putTrigger(tenant, { ...before, ...change }, sid));
    },
    deleteTrigger: (sid, tenant) => usage.deleteTrigger(sid, tenant),
    triggers: async ({ tenant: account, ...filter }) => {
      const { items, cursor } = await usage.triggers({ ...filter, account });
      return { items: items.map(recordOf), cursor };
    },
  };
}

/** What the form does not know has its default. */
function bodyOf(trigger: Omit<NewTrigger, 'tenant'>): TriggerBody {
  return {
    ...trigger,
    tag: null,
    thresholds: [],
    step: null,
    windowMs: null,
    rearmBelow: null,
    everyN: 1,
    action: null,
    subAccounts: false,
  };
}

function recordOf(trigger: TriggerView): TriggerRecord {
  const { sid, category, by, value, relative, recurring, callbacks, friendlyName } = trigger;
  const { currentValue, firedMs, createdMs, updatedMs } = trigger;
  const isPlatforms = trigger.action !== null;
  const told = { currentValue, firedMs, createdMs, updatedMs, isPlatforms };
  return { sid, category, by, value, relative, recurring, callbacks, friendlyName, ...told };
}
