import { z } from 'zod'
import type { JsonSchema } from './kinds.ts'

const schemas = new WeakMap<z.ZodType, JsonSchema>()

/** A module's arguments as JSON Schema (draft 2020-12), as they stand in a playbook, before transforms. */
export function argumentsSchema(schema: z.ZodType): JsonSchema {
  let made = schemas.get(schema)
  if (!made) {
    const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema
    made = rest
    schemas.set(schema, made)
  }
  return made
}

/** The names of a module's arguments, whatever unions and transforms are around them. */
export function argumentNames(schema: z.ZodType): readonly string[] {
  return [...new Set(namesIn(argumentsSchema(schema)))]
}

function namesIn(schema: JsonSchema): string[] {
  const parts = [schema.anyOf, schema.oneOf, schema.allOf].flatMap((one) => (one as JsonSchema[] | undefined) ?? [])
  return [...Object.keys((schema.properties as object | undefined) ?? {}), ...parts.flatMap(namesIn)]
}
