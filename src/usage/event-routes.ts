/** The REST resource that counts events. */
import { ERRORS, errorName, FairleadError } from '../errors.ts';
import { SCOPE_BIT } from '../protocol/exchange.ts';
import type { UseEntry } from '../protocol/usage-frames.ts';
import { parseObject, shown } from '../rest/parse-object.ts';
import { NO_QUERY, type RestRoute, route } from '../rest/rest-route.ts';
import type { Usage } from './ports.ts';
import { eventsSchema, useSchema } from './schemas.ts';

export function eventRoute(usage: Usage): RestRoute {
  return route({
    method: 'POST',
    path: '/v1/usage/events',
    scope: 'usage',
    doc: {
      tag: 'usage',
      summary:
        'Counts events, each taken or refused on its own; the answer means they are on disk.',
      params: {},
      query: NO_QUERY,
      body: eventsSchema,
      responses: [{ status: 200, meaning: 'what became of them', schema: useSchema }],
      errors: ['invalidValue', 'tenantRequired', 'tenantForbidden', 'overloaded', 'goingAway'],
      example: {
        body: {
          events: [
            { tenant: 'acme', category: 'pages', quantity: 12, key: 'job-1', tag: 'scan' },
            { tenant: 'acme', category: 'messages', quantity: 1 },
          ],
        },
        status: 200,
        response: {
          counted: 1,
          repeated: 0,
          refused: [
            {
              index: 1,
              code: ERRORS.categoryReserved.code,
              message: ERRORS.categoryReserved.sentence,
              retryAfterMs: null,
            },
          ],
        },
      },
    },
    handler: async ({ body, identity }) => {
      if (identity === undefined) throw new FairleadError('tokenMissing');
      const { tenant } = identity;
      // The route lets the platform in without this scope.
      const scopes = identity.scopes | SCOPE_BIT.usage;
      const result = await usage.use({ tenant, scopes }, readEvents(body));
      const refused = result.refused.map(({ index, code, retryAfterMs = null }) => {
        return { index, code, message: ERRORS[errorName(code)].sentence, retryAfterMs };
      });
      return { status: 200, body: { ...result, refused } };
    },
  });
}

/** @throws FairleadError unknownField, invalidValue */
function readEvents(body: unknown): UseEntry[] {
  const given = body ?? {};
  if (typeof given !== 'object' || Array.isArray(given)) {
    throw new FairleadError('invalidValue', `The body is a JSON object, received ${shown(body)}.`);
  }
  const { events } = parseObject('The body', eventsSchema, given);
  return events.map(({ at, ...event }) => {
    const ms = typeof at === 'string' ? Date.parse(at) : at;
    // What is too late is refused on its own, also from before 1970, which frames cannot say.
    return { ...event, at: ms === undefined ? undefined : Math.max(0, ms) };
  });
}
