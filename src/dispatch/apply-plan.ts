/** The difference between the entities that are and those that a file wants; changes nothing. */
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { FairleadError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { parseObject, shown } from '../rest/parse-object.ts';
import {
  ENTITY_KINDS,
  type EntityKind,
  PLURALS,
  type Reference,
  referencesOf,
  resourceOf,
} from './entity-kinds.ts';
import { checkEntityName } from './entity-names.ts';
import { checkOneShard, tenantTakenError, unknownReference } from './entity-references.ts';
import { checkRoom } from './entity-room.ts';
import { type Fields, SCHEMAS } from './entity-schemas.ts';
import type { EntityService } from './entity-service.ts';
import { checkFloors, checkPace } from './gate-rules.ts';
import { completeEntity, parseEntity } from './parse-entity.ts';
import { isStanding } from './standing-entities.ts';
import { parentRefusal, tooDeep } from './tenant-tree.ts';

/** Problems that a message names; the details have all of them. */
const PROBLEMS_SHOWN = 10;
/** Entities that shards are asked about, or told of, at one time. */
export const APPLY_BATCH = 256;

export interface PlannedChange {
  readonly action: 'create' | 'change' | 'delete';
  readonly kind: EntityKind;
  readonly name: string;
  /** Fields that change, and those of a new entity that are not the defaults. */
  readonly fields: Readonly<Record<string, { readonly from: unknown; readonly to: unknown }>>;
  /** Body of its PUT. */
  readonly body: unknown;
  /** Changes of one kind and level run together: what refers to its own kind has another one. */
  readonly level: number;
}

export interface ApplyPlan {
  /** In an order that references allow. */
  readonly changes: readonly PlannedChange[];
  readonly unchanged: number;
}

type Wanted = Readonly<Record<EntityKind, ReadonlyMap<string, unknown>>>;

interface Problem {
  readonly kind: EntityKind;
  readonly name: string;
  readonly error: FairleadError;
}

/**
 * Checks everything that a file wants. `prune`: what is not in it is to be deleted.
 *
 * @throws FairleadError of the first problem; its details list all of them
 */
export async function planApply(
  entities: EntityService,
  body: unknown,
  { prune }: { readonly prune: boolean },
): Promise<ApplyPlan> {
  const wanted = readWanted(body);
  const problems: Problem[] = [];
  const puts = ENTITY_KINDS.flatMap((kind) => {
    const planned = [...wanted[kind]].flatMap(([name, given]): PlannedChange[] => {
      try {
        return [planPut(entities, { kind, name, given, wanted, prune })];
      } catch (error) {
        if (!(error instanceof FairleadError)) throw error;
        problems.push({ kind, name, error });
        return [];
      }
    });
    return planned.sort((a, b) => a.level - b.level);
  });
  const deletions = prune ? await planDeletions(entities, wanted, problems) : [];
  if (problems.length > 0) throw refusal(problems);
  const changes = puts.filter(({ action, fields }) => action === 'create' || hasAny(fields));
  for (const kind of ENTITY_KINDS) {
    const made = changes.filter((each) => each.action === 'create' && each.kind === kind).length;
    if (made > 0) checkRoom(kind, [...entities.all(kind)].length + made);
  }
  return { changes: [...changes, ...deletions], unchanged: puts.length - changes.length };
}

function readWanted(body: unknown): Wanted {
  const given = body ?? {};
  if (typeof given !== 'object' || Array.isArray(given)) {
    throw new FairleadError('invalidValue', `The body is a JSON object, received ${shown(body)}.`);
  }
  const tables = parseObject('The body', tablesSchema, given) as Readonly<
    Record<string, object | undefined>
  >;
  const tablesOf = ENTITY_KINDS.map((kind) => {
    return [kind, new Map(Object.entries(tables[PLURALS[kind]] ?? {}))];
  });
  return Object.fromEntries(tablesOf) as Wanted;
}

const table = z
  .record(z.string(), z.unknown(), 'is an object of resources by their names')
  .optional();
const tablesSchema = z.strictObject(
  Object.fromEntries(ENTITY_KINDS.map((kind) => [PLURALS[kind], table])),
);

interface Put {
  readonly kind: EntityKind;
  readonly name: string;
  readonly given: unknown;
  readonly wanted: Wanted;
  readonly prune: boolean;
}

function planPut(entities: EntityService, put: Put): PlannedChange {
  const { kind, name, given } = put;
  checkEntityName(kind, name);
  const parsed = parseEntity(kind, name, given);
  const before = entities.find(kind, name)?.fields;
  const after = completeEntity(kind, name, parsed, before);
  const referrer = { kind, name, fields: after };
  const missing = referencesOf(referrer).find((each) => !willExist(entities, each, put));
  if (missing !== undefined) throw unknownReference(missing);
  if (kind === 'gateway') {
    const gateway = after as Fields['gateway'];
    entities.checkGateway(gateway);
    const { destinations } = gateway;
    checkOneShard(destinations, (each) => plannedDestination(entities, each, put));
  }
  if (kind === 'policy') checkPolicy(entities, after as Fields['policy'], put);
  if (kind === 'account') checkTenant(entities, (after as Fields['account']).tenant, put);
  const level = kind === 'tenant' ? plannedDepth(entities, put) : 0;
  const action = before === undefined ? 'create' : 'change';
  const base = before ?? defaultsOf(kind, name);
  return { action, kind, name, fields: differences(kind, base, after), body: given, level };
}

/** How many tenants will be above one. @throws FairleadError invalidValue when it would be below itself */
function plannedDepth(entities: EntityService, { name, wanted }: Put): number {
  const parentOf = (tenant: string): unknown => {
    const given = wanted.tenant.get(tenant) as { parent?: unknown } | null | undefined;
    if (given !== undefined) return given?.parent;
    return entities.find('tenant', tenant)?.fields.parent;
  };
  let depth = 0;
  for (let at = parentOf(name); typeof at === 'string'; at = parentOf(at)) {
    depth += 1;
    if (at === name) throw parentRefusal(`${shown(name)} would be below itself`);
    if (depth >= LIMITS.tenantDepth) throw tooDeep();
  }
  return depth;
}

/** What a PUT without fields makes; nothing where it would be refused. */
function defaultsOf(kind: EntityKind, name: string): object {
  const bare = SCHEMAS[kind].safeParse({});
  return bare.success ? completeEntity(kind, name, parseEntity(kind, name, {}), undefined) : {};
}

/** With its resource, and beside the resource's other policies, as the plan leaves them. */
function checkPolicy(
  entities: EntityService,
  policy: Fields['policy'],
  { name, wanted, prune }: Put,
): void {
  const of = resourceOf(name);
  const given = wanted.resource.get(of);
  const resource =
    given === undefined
      ? entities.find('resource', of)?.fields
      : parseEntity('resource', of, given);
  if (resource === undefined) return;
  checkPace(policy, resource);
  const before = entities.find('policy', name)?.fields.floor ?? 0;
  if (policy.floor <= before) return;
  let sum = 0;
  for (const [other, fields] of wanted.policy) {
    if (resourceOf(other) === of) sum += (fields as { floor?: number } | null)?.floor ?? 0;
  }
  for (const row of prune ? [] : entities.all('policy')) {
    if (resourceOf(row.name) === of && !wanted.policy.has(row.name)) sum += row.fields.floor;
  }
  checkFloors(sum, of, resource);
}

/** What a destination will be when a gateway that names it is made. */
function plannedDestination(
  entities: EntityService,
  name: string,
  { wanted }: Put,
): Fields['destination'] | undefined {
  const before = entities.find('destination', name)?.fields;
  const given = wanted.destination.get(name);
  if (given === undefined) return before;
  return completeEntity('destination', name, parseEntity('destination', name, given), before);
}

/** Changes of accounts run together, so a tenant may not even change hands within one plan. */
function checkTenant(entities: EntityService, tenant: string, { name, wanted }: Put): void {
  const holder = entities.accountOf(tenant)?.name ?? name;
  const others = [...wanted.account].filter(([other]) => other !== name);
  const isWantedToo = others.some(([other, given]) => tenantOf(other, given) === tenant);
  if (holder !== name || isWantedToo) throw tenantTakenError(tenant);
}

function tenantOf(account: string, given: unknown): unknown {
  return (given as { tenant?: unknown } | null)?.tenant ?? account;
}

function willExist(
  entities: EntityService,
  { kind, name }: Reference,
  { wanted, prune }: Put,
): boolean {
  if (wanted[kind].has(name) || isStanding(kind, name)) return true;
  return !prune && entities.find(kind, name) !== undefined;
}

/** What refers goes before what is referred to. */
async function planDeletions(
  entities: EntityService,
  wanted: Wanted,
  problems: Problem[],
): Promise<PlannedChange[]> {
  const rows = [...ENTITY_KINDS]
    .reverse()
    .flatMap((kind) =>
      [...entities.all(kind)]
        .filter(({ name }) => !wanted[kind].has(name) && !isStanding(kind, name))
        .sort((a, b) => levelOf(entities, b) - levelOf(entities, a)),
    );
  for (let at = 0; at < rows.length; at += APPLY_BATCH) {
    const check = async (row: (typeof rows)[number]): Promise<void> => {
      try {
        await entities.checkIdle(row);
      } catch (error) {
        if (!(error instanceof FairleadError)) throw error;
        problems.push({ kind: row.kind, name: row.name, error });
      }
    };
    await Promise.all(rows.slice(at, at + APPLY_BATCH).map(check));
  }
  return rows.map((row) => {
    const { kind, name } = row;
    const level = levelOf(entities, row);
    return { action: 'delete', kind, name, fields: {}, body: null, level };
  });
}

/** What is below others of its kind goes first. */
function levelOf(entities: EntityService, { kind, name }: { kind: EntityKind; name: string }) {
  return kind === 'tenant' ? entities.depthOf(name) : 0;
}

/** Of the fields that a body may give, or that are fixed by it; never those of the daemon. */
function differences(kind: EntityKind, before: object, after: object): PlannedChange['fields'] {
  const old = before as Readonly<Record<string, unknown>>;
  const entries = Object.entries(after)
    .filter(([field]) => Object.hasOwn(SCHEMAS[kind].shape, field))
    .filter(([field, to]) => !isDeepStrictEqual(old[field], to))
    .map(([field, to]) => [field, { from: old[field] ?? null, to }]);
  return Object.fromEntries(entries);
}

function refusal(problems: readonly Problem[]): FairleadError {
  const lines = problems
    .slice(0, PROBLEMS_SHOWN)
    .map(({ kind, name, error }) => `The ${kind} ${name}: ${error.message}`);
  const more = problems.length - lines.length;
  const message = `${lines.join(' ')}${more > 0 ? ` And ${more} more.` : ''} Nothing was changed.`;
  const details = problems.map(({ kind, name, error }) => {
    return { kind, name, code: error.code, message: error.message, details: error.details ?? null };
  });
  const [first] = problems;
  return new FairleadError(first?.error.error ?? 'invalidValue', message, { problems: details });
}

function hasAny(fields: object): boolean {
  return Object.keys(fields).length > 0;
}
