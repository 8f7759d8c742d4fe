// Tokens of accounts and secrets that sign a tenant's requests: shown and rotated.
import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import { parseObject } from '../rest/parse-object.ts';
import { type RestRoute, route } from '../rest/rest-route.ts';
import type { WebhookSigning } from './account-schemas.ts';
import { exampleParams, examplePuts, exampleTokens, exampleView } from './entity-examples.ts';
import { integer } from './entity-fields.ts';
import { docOf, nameOf, pathOf, reply } from './entity-routes.ts';
import type { EntityService } from './entity-service.ts';
import { accountWithTokensSchema, viewSchemas, viewWithTokens } from './entity-views.ts';
import { rotateSecret, rotateTokens } from './secret-rotation.ts';

/** The secret of a tenant with a version, `whsec_…`. */
export type SecretOf = (tenant: string, version: number) => string;

const NEVER_ROTATED: WebhookSigning = { secretVersion: 1, previousUntilMs: null };

/**
 * Secrets that sign a tenant's requests now, the newest first: two for a while after a rotation.
 */
export function signingSecrets(
  entities: Pick<EntityService, 'find'>,
  secretOf: SecretOf,
  tenant: string,
  nowMs = Date.now(),
): readonly {
  readonly secret: string;
  readonly version: number;
  readonly untilMs: number | null;
}[] {
  const { secretVersion, previousUntilMs } =
    entities.find('webhook', tenant)?.fields ?? NEVER_ROTATED;
  const secret = (version: number, untilMs: number | null) => {
    return { secret: secretOf(tenant, version), version, untilMs };
  };
  const newest = secret(secretVersion, null);
  const isBoth = secretVersion > 1 && previousUntilMs !== null && previousUntilMs > nowMs;
  return isBoth ? [newest, secret(secretVersion - 1, previousUntilMs)] : [newest];
}

export function secretRoutes(entities: EntityService, secretOf: SecretOf): RestRoute[] {
  return [tokensRoute(entities), rotateRoute(entities), secretsRoute(entities, secretOf)];
}

function tokensRoute(entities: EntityService): RestRoute {
  const kind = 'account';
  return route({
    method: 'POST',
    path: `${pathOf(kind)}/tokens`,
    scope: 'platform',
    doc: {
      ...docOf(kind),
      summary: 'Makes a new primary token; the one before is the secondary token.',
      responses: [
        { status: 200, meaning: 'the account with its tokens', schema: accountWithTokensSchema },
      ],
      errors: ['entityNotFound', 'invalidName'],
      example: {
        before: examplePuts(kind),
        params: exampleParams(kind),
        status: 200,
        response: { ...exampleView(kind, { tokenVersion: 2 }), ...exampleTokens },
      },
    },
    handler: async ({ params, actor }) => {
      const { row } = await rotateTokens(entities, nameOf(kind, params), actor);
      return { ...reply(200, row), body: viewWithTokens(row) };
    },
  });
}

const rotateSchema = z.strictObject({
  overlapMs: integer(0, LIMITS.secretOverlapMsMax)
    .default(LIMITS.secretOverlapMsDefault)
    .describe('how long the secret before signs too'),
});

function rotateRoute(entities: EntityService): RestRoute {
  const kind = 'webhook';
  return route({
    method: 'POST',
    path: `${pathOf(kind)}/rotate`,
    scope: 'platform',
    doc: {
      ...docOf(kind),
      summary: 'Signs with a new secret; the one before signs too for a while.',
      body: rotateSchema,
      responses: [{ status: 200, meaning: 'the webhook', schema: viewSchemas[kind] }],
      errors: ['invalidName', 'fieldTooLong', 'invalidValue', 'tooManyEntities'],
      example: {
        params: exampleParams(kind),
        body: { overlapMs: 0 },
        status: 200,
        response: { ...exampleView(kind, { secretVersion: 2 }), version: 1 },
      },
    },
    handler: async ({ params, body, actor }) => {
      const given = typeof body === 'object' && body !== null ? body : {};
      const { overlapMs } = parseObject('A rotation', rotateSchema, given);
      const { row } = await rotateSecret(entities, nameOf(kind, params), overlapMs, actor);
      return reply(200, row);
    },
  });
}

const secretsSchema = z.strictObject({
  secrets: z.array(
    z.strictObject({
      secret: z.string().describe('whsec_ and base64, as Standard Webhooks has it'),
      version: z.int().min(1),
      untilMs: z.int().nullable().describe('how long it signs; null: until the next rotation'),
    }),
  ),
});

function secretsRoute(entities: EntityService, secretOf: SecretOf): RestRoute {
  const kind = 'webhook';
  return route({
    method: 'GET',
    path: `${pathOf(kind)}/secrets`,
    scope: 'platform',
    doc: {
      ...docOf(kind),
      summary: 'Shows the secrets that sign requests to the tenant now, the newest first.',
      responses: [{ status: 200, meaning: 'the secrets', schema: secretsSchema }],
      errors: ['invalidName', 'fieldTooLong'],
      example: {
        params: exampleParams(kind),
        status: 200,
        response: {
          secrets: [
            {
              secret: 'whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=',
              version: 1,
              untilMs: null,
            },
          ],
        },
      },
    },
    handler: ({ params }) => {
      const secrets = signingSecrets(entities, secretOf, nameOf(kind, params));
      return { status: 200, body: { secrets } };
    },
  });
}
