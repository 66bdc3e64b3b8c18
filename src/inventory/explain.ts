import type { Place } from '../shared/source.ts'
import { isValue, type Layer } from '../values/index.ts'

/** One of the places that give a variable a value. */
export interface Origin {
  readonly layer: string
  readonly place: Place | undefined
  /** A compiled Value or plain data. */
  readonly value: unknown
}

/** Where a variable comes from, the winner first, then what it overrode. */
export function explain(layers: readonly Layer[], name: string): Origin[] {
  return layers
    .map(({ name: layer, vars }) => {
      const value =
        vars instanceof Map
          ? vars.get(name)
          : Object.hasOwn(vars, name)
            ? (vars as Record<string, unknown>)[name]
            : undefined
      return { layer, value, place: isValue(value) ? value.place : undefined }
    })
    .filter(({ value }) => value !== undefined)
    .reverse()
}
