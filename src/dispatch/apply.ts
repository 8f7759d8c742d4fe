/** Brings all entities to what a file wants, step by step, and tells what it did. */
import { FairleadError } from '../errors.ts';
import type { Actor } from '../rest/actor.ts';
import { APPLY_BATCH, type PlannedChange, planApply } from './apply-plan.ts';
import type { EntityKind } from './entity-kinds.ts';
import type { EntityService } from './entity-service.ts';

export interface ApplyOptions {
  /** Only says what would change. */
  readonly dryRun: boolean;
  /** Deletes what the file does not have. */
  readonly prune: boolean;
  readonly actor: Actor;
}

export interface ApplyResult {
  readonly dryRun: boolean;
  readonly created: number;
  readonly changed: number;
  readonly deleted: number;
  readonly unchanged: number;
  readonly changes: readonly Omit<PlannedChange, 'body' | 'level'>[];
}

/**
 * Everything is checked before the first change. Changes of one kind run together, so that they
 * share flushes; one that fails all the same (messages that came meanwhile) ends it there.
 *
 * @throws FairleadError what `planApply` throws, with nothing changed; or that of the first change
 *   that failed, its details saying what was done, what failed and how many were not tried
 */
export async function applyEntities(
  entities: EntityService,
  body: unknown,
  { dryRun, prune, actor }: ApplyOptions,
): Promise<ApplyResult> {
  const { changes, unchanged } = await planApply(entities, body, { prune });
  if (!dryRun) await makeChanges(entities, changes, actor);
  const count = (action: PlannedChange['action']) =>
    changes.filter((change) => change.action === action).length;
  return {
    dryRun,
    created: count('create'),
    changed: count('change'),
    deleted: count('delete'),
    unchanged,
    changes: changes.map(({ action, kind, name, fields }) => ({ action, kind, name, fields })),
  };
}

async function makeChanges(
  entities: EntityService,
  changes: readonly PlannedChange[],
  actor: Actor,
): Promise<void> {
  const done: PlannedChange[] = [];
  const failed: { change: PlannedChange; error: FairleadError }[] = [];
  for (const batch of batchesOf(changes)) {
    const results = await Promise.allSettled(
      batch.map((each) => makeChange(entities, each, actor)),
    );
    for (const [index, result] of results.entries()) {
      const change = batch[index] as PlannedChange;
      if (result.status === 'fulfilled') done.push(change);
      else if (result.reason instanceof FairleadError)
        failed.push({ change, error: result.reason });
      else throw result.reason;
    }
    if (failed.length > 0) throw partialFailure(changes.length, done, failed);
  }
}

async function makeChange(
  entities: EntityService,
  { action, kind, name, body }: PlannedChange,
  actor: Actor,
): Promise<void> {
  if (action === 'delete') await entities.remove(kind, name, actor);
  else await entities.put(kind, name, body, actor);
}

/** Changes one after another of one kind, all of them deletions or none. */
function batchesOf(changes: readonly PlannedChange[]): PlannedChange[][] {
  const groupOf = ({ action, kind, level }: PlannedChange) =>
    `${action === 'delete'} ${kind} ${level}`;
  const batches: PlannedChange[][] = [];
  for (const change of changes) {
    const last = batches.at(-1);
    const isOpen = last !== undefined && last.length < APPLY_BATCH;
    if (isOpen && groupOf(last[0] as PlannedChange) === groupOf(change)) last.push(change);
    else batches.push([change]);
  }
  return batches;
}

function partialFailure(
  total: number,
  done: readonly PlannedChange[],
  failed: readonly { readonly change: PlannedChange; readonly error: FairleadError }[],
): FairleadError {
  const [first] = failed;
  const { kind, name } = first?.change ?? { kind: '', name: '' };
  const short = ({ action, kind, name }: PlannedChange): Short => ({ action, kind, name });
  const message = `${done.length} of ${total} changes were made, then the ${kind} ${name} failed: ${first?.error.message ?? ''}`;
  return new FairleadError(first?.error.error ?? 'internal', message, {
    done: done.map(short),
    failed: failed.map(({ change, error }) => {
      return { ...short(change), code: error.code, message: error.message };
    }),
    notTried: total - done.length - failed.length,
  });
}

interface Short {
  readonly action: PlannedChange['action'];
  readonly kind: EntityKind;
  readonly name: string;
}
