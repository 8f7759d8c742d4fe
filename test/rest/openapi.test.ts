// The document against the rules of OpenAPI 3.1, and every example in it against a real daemon.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Validator } from '@seriousme/openapi-schema-validator';
import t from 'tap';
import { z } from 'zod';
import { connect } from '../../src/client/index.ts';
import { ENTITY_KINDS, type EntityKind } from '../../src/dispatch/entity-kinds.ts';
import { SCHEMAS } from '../../src/dispatch/entity-schemas.ts';
import { auth, start } from '../support/in-process-daemon.ts';
import {
  type OpenApiDocument,
  operationsOf,
  SchemaChecker,
  type Send,
  type Settle,
  tryExample,
} from '../support/openapi-examples.ts';

const token = await auth.issueToken({ scope: 'platform publish consume', ttlSec: 600 });

function sender(url: string): Send {
  return async (method, path, body) => {
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) };
  };
}

/** A gateway for one delivery. */
function settler(url: string): Settle {
  return async (destination, outcome) => {
    const client = connect({ url, token });
    await new Promise<void>((resolve) => {
      client.subscribe(destination, { credit: 1 }, () => {
        resolve();
        return outcome === 'retry' ? { outcome, retryAfterMs: 1 } : outcome;
      });
    });
    // Closing tells the outcome first.
    await client.close();
  };
}

async function documentOf(url: string): Promise<OpenApiDocument> {
  return (await (await fetch(`${url}/v1/openapi.json`)).json()) as OpenApiDocument;
}

const options = { durability: 'memory', shards: 1 };

let daemon = await start(join(t.testdir(), '0'), options);
let started = 1;
t.teardown(() => daemon.stop());

/** A daemon without entities and messages: the one that runs if it can be emptied, else a new one. */
async function emptyDaemon(): Promise<Send> {
  const send = sender(daemon.url);
  await send('POST', '/v1/messages/cancel', { tenant: 'acme' });
  await send('POST', '/v1/dead-letters/purge', { tenant: 'acme' });
  const { status } = await send('POST', '/v1/apply?prune=true', { sets: { default: {} } });
  if (status === 200) return send;
  await daemon.stop();
  daemon = await start(join(t.testdirName, String(started)), options);
  started += 1;
  return sender(daemon.url);
}

const document = await documentOf(daemon.url);
const operations = operationsOf(document);
const checker = new SchemaChecker(document);

t.test('the document is OpenAPI 3.1', async (t) => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate({ ...structuredClone(document) });
  t.ok(valid, JSON.stringify(errors));
  t.equal(validator.version, '3.1');
  const ids = operations.map(({ operationId }) => operationId);
  t.equal(new Set(ids).size, ids.length, 'operation ids are unique');
  const { headers } = await fetch(`${daemon.url}/v1/openapi.json`);
  t.equal(headers.get('content-type'), 'application/json');
  t.ok(ids.length >= 48, `${ids.length} operations`);
  const bad = { ...document, paths: { '/x': { get: { parameters: 1 } } } };
  t.notOk((await new Validator().validate(bad)).valid, 'the validator finds faults');
});

for (const operation of operations) {
  const { method, path, responses } = operation;
  t.test(`the example of ${method} ${path}`, async (t) => {
    const { status, body } = await tryExample(operation, await emptyDaemon(), settler(daemon.url));
    t.equal(status, operation['x-example-status'], JSON.stringify(body)?.slice(0, 200));
    const declared = responses[status]?.content?.['application/json'];
    if (declared === undefined) {
      t.equal(body, undefined, 'an answer without a body');
      return;
    }
    t.strictSame(checker.problems(declared.schema, body), []);
    t.strictSame(checker.problems(declared.schema, declared.example), [], 'the documented answer');
    const request = operation.requestBody?.content['application/json'];
    if (request !== undefined) t.strictSame(checker.problems(request.schema, request.example), []);
  });
}

/** What an absent field gets, as the document says it. */
function defaultOf(kind: EntityKind, field: string): string {
  const own: Readonly<Record<string, string>> = {
    'destination shardKey': 'its name',
    'account tenant': 'its name',
    'webhook secretVersion': 'as it is, or 1',
    'webhook previousUntilMs': 'as it is, or null',
  };
  const shape: Readonly<Record<string, z.ZodType>> = SCHEMAS[kind].shape;
  const { success, data } = z.safeParse(shape[field] ?? z.never(), undefined);
  return own[`${kind} ${field}`] ?? (success ? (data === '' ? '""' : String(data)) : 'required');
}

t.test('docs/rest.md has every route and every field with its default', async (t) => {
  const text = readFileSync(new URL('../../docs/rest.md', import.meta.url), 'utf8');
  for (const { method, path } of operations) t.ok(text.includes(`| ${method} ${path} |`), path);
  const listed = [...text.matchAll(/^\| (GET|PUT|POST|DELETE) (\S+) \|/gm)];
  t.equal(listed.length, operations.length, 'no route that is not there');
  for (const kind of ENTITY_KINDS) {
    const heading = `${kind.charAt(0).toUpperCase()}${kind.slice(1)}`;
    const table = text.split(`**${heading}**`)[1]?.split('\n\n')[1] ?? '';
    const rows = [...table.matchAll(/^\| (\w+) \| (.+?) \|/gm)].slice(1);
    const fields = Object.keys(SCHEMAS[kind].shape);
    t.strictSame(
      rows.map(([, field, value]) => `${field} ${value}`),
      fields.map((field) => `${field} ${defaultOf(kind, field)}`),
      kind,
    );
  }
});

t.test('an answer that is not as declared is found', async (t) => {
  const schema = { $ref: '#/components/schemas/Pool' };
  t.strictSame(checker.problems(schema, { name: 'p', ratePerSec: null, burst: 0, version: 1 }), [
    '/burst must be >= 1',
    '/burst must be null',
    '/burst must match a schema in anyOf',
  ]);
  t.match(checker.problems(schema, { name: 'p', ratePerSec: null, burst: 1 }), [/version/]);
});

t.test('errors are answered as declared', async (t) => {
  const send = await emptyDaemon();
  const error = { $ref: '#/components/schemas/Error' };
  for (const [call, status, body] of [
    ['GET /v1/tenants/nobody', 404],
    ['PUT /v1/senders/acme/1', 400, { pool: 'nowhere' }],
    ['GET /v1/audit?kind=x', 400],
    ['POST /v1/sets/nowhere/pause', 404],
    ['DELETE /v1/sets/default', 409],
    ['POST /v1/apply?dryRun=yes', 400, {}],
    ['POST /v1/messages', 404, { destination: 'nowhere', tenant: 'acme', payload: '' }],
    ['POST /v1/messages', 400, { destination: 'sms', payload: '' }],
    [`GET /v1/messages/${'0'.repeat(32)}`, 404],
    ['POST /v1/messages/cancel', 400, {}],
    ['GET /v1/dead-letters?cursor=9_', 400],
  ] as const) {
    const [method = '', path = ''] = call.split(' ');
    const answer = await send(method, path, body);
    t.equal(answer.status, status, call);
    t.strictSame(checker.problems(error, answer.body), [], call);
  }
});
