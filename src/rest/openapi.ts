/** The OpenAPI 3.1 document of the REST API, made from what the routes say of themselves. */
import { z } from 'zod';
import { ERRORS, type ErrorName } from '../errors.ts';
import { errorSchema, type JsonSchema, SchemaCollector } from './openapi-schemas.ts';
import { NO_QUERY, type RestRoute, type RestScope, route } from './rest-route.ts';

/** What any route may answer. */
const COMMON_ERRORS: readonly ErrorName[] = [
  'unknownField',
  'internal',
  'notReady',
  'overloaded',
  'concurrencyLimit',
];
const TOKEN_ERRORS: readonly ErrorName[] = [
  'tokenMissing',
  'tokenInvalid',
  'tokenExpired',
  'scopeMissing',
];
const BODY_ERRORS: readonly ErrorName[] = ['invalidJson', 'bodyTooLarge'];

/** The routes and, as one more of them, the document of all; it holds no data, so it needs no token. */
export function withOpenApi(routes: readonly RestRoute[], version: string): RestRoute[] {
  // Anybody may ask for it, so it is made once, also as text.
  let text: string | undefined;
  const all: RestRoute[] = [...routes];
  all.push(
    route({
      method: 'GET',
      path: '/v1/openapi.json',
      scope: 'none',
      doc: {
        tag: 'daemon',
        summary: 'This document.',
        params: {},
        query: NO_QUERY,
        body: null,
        responses: [
          {
            status: 200,
            meaning: 'an OpenAPI 3.1 document',
            schema: z.looseObject({ openapi: z.string() }),
          },
        ],
        errors: [],
        example: { status: 200, response: { openapi: '3.1.0' } },
      },
      handler: () => {
        text ??= JSON.stringify(openApi(all, version));
        return { status: 200, text, headers: { 'content-type': 'application/json' } };
      },
    }),
  );
  return all;
}

/** The document of these routes. */
export function openApi(routes: readonly RestRoute[], version: string): object {
  const schemas = new SchemaCollector();
  const paths: Record<string, Record<string, object>> = {};
  for (const each of routes) {
    const path = each.path.replace(/:(\w+)/g, '{$1}');
    paths[path] ??= {};
    paths[path][each.method.toLowerCase()] = operationOf(each, schemas);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Fairlead',
      version,
      description:
        'What operators ask of a dispatcher daemon. Programs that send many messages, and gateways, use the WebSocket at /v1/stream.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: [...new Set(routes.map(({ doc }) => doc.tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: schemas.components,
      securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
    },
  };
}

function operationOf(each: RestRoute, schemas: SchemaCollector): object {
  const { method, path, scope, signed, doc } = each;
  const { summary, tag, body, example } = doc;
  const isOpen = scope === 'none';
  return {
    operationId: `${method.toLowerCase()}${path.replace(/[^A-Za-z0-9]+(\w)/g, (_, letter) => letter.toUpperCase())}`,
    tags: [tag],
    summary,
    description: isOpen ? 'Needs no token.' : needs(scope, signed),
    security: isOpen ? [] : signed ? [{ token: [] }, {}] : [{ token: [] }],
    parameters: parametersOf(doc, schemas),
    ...(body === null
      ? {}
      : {
          requestBody: {
            required: true,
            content: jsonContent(schemas.schemaOf(body, 'input'), example.body),
          },
        }),
    responses: responsesOf({ method, path, scope, doc }, schemas),
    ...(example.before === undefined ? {} : { 'x-example-before': example.before }),
    'x-example-status': example.status,
  };
}

function needs(scope: RestScope, signed: boolean | undefined): string {
  const token = `Needs a token with the scope \`${scope}\``;
  return signed ? `${token}, or a signature of Standard Webhooks.` : `${token}.`;
}

function parametersOf(
  { params, query, headers = {}, example }: RestRoute['doc'],
  schemas: SchemaCollector,
) {
  const inPath = Object.entries(params).map(([name, schema]) => ({
    name,
    in: 'path',
    required: true,
    schema: schemas.schemaOf(schema, 'input'),
    ...exampleOf(example.params?.[name]),
  }));
  const { properties = {}, required = [] } = z.toJSONSchema(query, { io: 'input' });
  const inQuery = Object.entries(properties).map(([name, property]) => {
    const { description, ...schema } = property as JsonSchema;
    return {
      name,
      in: 'query',
      required: required.includes(name),
      ...(description === undefined ? {} : { description }),
      schema,
      ...exampleOf(example.query?.[name]),
    };
  });
  const inHeaders = Object.entries(headers).map(([name, schema]) => {
    const { description, ...rest } = schemas.schemaOf(schema, 'input');
    return { name, in: 'header', required: false, description, schema: rest };
  });
  return [...inPath, ...inQuery, ...inHeaders];
}

function responsesOf(
  { method, scope, doc }: Pick<RestRoute, 'method' | 'path' | 'scope' | 'doc'>,
  schemas: SchemaCollector,
): Record<string, object> {
  const responses: Record<string, object> = {};
  for (const { status, meaning, schema } of doc.responses) {
    const example = status === doc.example.status ? doc.example.response : undefined;
    const content =
      schema === null ? {} : { content: jsonContent(schemas.schemaOf(schema, 'output'), example) };
    responses[status] = { description: meaning, ...content };
  }
  const errors = new Set([
    ...doc.errors,
    ...COMMON_ERRORS,
    ...(scope === 'none' ? [] : TOKEN_ERRORS),
    ...(method === 'PUT' || method === 'POST' ? BODY_ERRORS : []),
  ]);
  const content = jsonContent(schemas.schemaOf(errorSchema, 'output'), undefined);
  for (const status of new Set([...errors].map((name) => ERRORS[name].status))) {
    const rows = [...errors].filter((name) => ERRORS[name].status === status);
    const lines = rows.map((name) => `${ERRORS[name].code} ${name}: ${ERRORS[name].sentence}`);
    responses[status] = { description: lines.join('\n'), content };
  }
  return responses;
}

function jsonContent(schema: JsonSchema, example: unknown): object {
  return { 'application/json': { schema, ...exampleOf(example) } };
}

function exampleOf(example: unknown): object {
  return example === undefined ? {} : { example };
}
