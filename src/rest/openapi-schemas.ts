// Zod schemas as the JSON Schemas of an OpenAPI 3.1 document (draft 2020-12).
import { z } from 'zod';

export type JsonSchema = Readonly<Record<string, unknown>>;

const names = new WeakMap<z.ZodType, string>();

/** Gives a schema a name under which the document has it once; returns the schema. */
export function named<S extends z.ZodType>(name: string, schema: S): S {
  names.set(schema, name);
  return schema;
}

/** The answer of every error. */
export const errorSchema = named(
  'Error',
  z.strictObject({
    code: z.int().describe('number of the error; docs/protocol.md has them all'),
    message: z.string().describe('what, why and what was received'),
    status: z.int().describe('the HTTP status'),
    details: z.record(z.string(), z.unknown()).nullable().describe('what applies'),
  }),
);

/** Collects the named schemas that a document refers to. */
export class SchemaCollector {
  readonly components: Record<string, JsonSchema> = {};

  /** The schema, or a reference to it when it is named. `input`: as it is sent, before defaults. */
  schemaOf(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
    const name = names.get(schema);
    if (name === undefined) return jsonSchema(schema, io);
    this.components[name] ??= jsonSchema(schema, io);
    return { $ref: `#/components/schemas/${name}` };
  }
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema, ...json } = z.toJSONSchema(schema, {
    io,
    override: ({ jsonSchema: part }) => {
      // What every double holds is no bound that a reader needs.
      if (part.minimum === Number.MIN_SAFE_INTEGER) delete part.minimum;
      if (part.maximum === Number.MAX_SAFE_INTEGER) delete part.maximum;
    },
  });
  return json;
}
