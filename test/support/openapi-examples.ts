// Reads an OpenAPI document of the daemon and tries its examples: each request is sent as it stands,
// the answer compared with the schema that the document declares for it.
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';

export interface Operation {
  readonly method: string;
  /** With `{name}` for its parameters. */
  readonly path: string;
  readonly operationId: string;
  readonly security: readonly object[];
  readonly parameters: readonly {
    name: string;
    in: 'path' | 'query' | 'header';
    example?: string;
  }[];
  readonly requestBody?: { content: { 'application/json': { schema: object; example?: unknown } } };
  readonly responses: Readonly<Record<string, Response>>;
  readonly 'x-example-before'?: readonly (Call | Gateway)[];
  readonly 'x-example-status': number;
}

interface Response {
  readonly content?: { 'application/json': { schema: object; example?: unknown } };
}

interface Call {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly take?: Readonly<Record<string, string>>;
}

interface Gateway {
  readonly gateway: string;
  readonly outcome: 'sent' | 'retry';
}

export interface OpenApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Omit<Operation, 'method'>>>>>;
  readonly components: object;
}

export interface Answer {
  readonly status: number;
  /** Undefined without one. */
  readonly body: unknown;
}

/** Sends one request of the API. */
export type Send = (method: string, path: string, body?: unknown) => Promise<Answer>;

/** Takes the next delivery of a destination and settles it so. */
export type Settle = (destination: string, outcome: 'sent' | 'retry') => Promise<void>;

export function operationsOf({ paths }: OpenApiDocument): Operation[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...operation,
      method: method.toUpperCase(),
      path,
    })),
  );
}

/** Checks values against the schemas of one document. */
export class SchemaChecker {
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true });

  constructor({ components }: OpenApiDocument) {
    this.#ajv.addSchema({ $id: 'document', components });
  }

  /** What is wrong, one line a problem; empty when nothing is. */
  problems(schema: object, value: unknown): string[] {
    const text = JSON.stringify(schema).replaceAll('"#/components/', '"document#/components/');
    const validate: ValidateFunction = this.#ajv.compile(JSON.parse(text) as object);
    if (validate(value)) return [];
    return (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message}`);
  }
}

/** Does what the example needs, then the example itself. */
export async function tryExample(
  operation: Operation,
  send: Send,
  settle: Settle,
): Promise<Answer> {
  const taken: Record<string, string> = {};
  for (const step of operation['x-example-before'] ?? []) {
    if ('gateway' in step) {
      await settle(step.gateway, step.outcome);
      continue;
    }
    const { method, path, body, take = {} } = step;
    const answer = await send(method, path, body);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
    for (const [name, place] of Object.entries(take)) {
      const at = (value: unknown, key: string) => (value as Record<string, unknown>)[key];
      taken[name] = String(place.split('.').reduce(at, answer.body));
    }
  }
  let path = operation.path;
  const query = new URLSearchParams();
  for (const { name, in: where, example } of operation.parameters) {
    const value = taken[name] ?? example;
    if (value === undefined || where === 'header') continue;
    if (where === 'query') query.set(name, value);
    else path = path.replace(`{${name}}`, encodeURIComponent(value));
  }
  const search = query.size === 0 ? '' : `?${query}`;
  const body = operation.requestBody?.content['application/json'].example;
  return await send(operation.method, `${path}${search}`, body);
}
