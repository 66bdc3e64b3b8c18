/** Label selectors in the API's notation (apimachinery pkg/labels): `pool=db,tier in (a, b),!spot`. */

export type Labels = Readonly<Record<string, string>>

/** apimachinery pkg/util/validation: an optional DNS prefix, and a name. */
const KEY = String.raw`(?:[A-Za-z0-9][\w.-]*\/)?[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?`
const VALUE = String.raw`(?:[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)?`
const TERMS: readonly [RegExp, (match: RegExpExecArray) => (labels: Labels) => boolean][] = [
  [
    new RegExp(`^(${KEY})$`),
    ([, key]) =>
      (labels) =>
        labels[key!] !== undefined,
  ],
  [
    new RegExp(`^!\\s*(${KEY})$`),
    ([, key]) =>
      (labels) =>
        labels[key!] === undefined,
  ],
  [
    new RegExp(`^(${KEY})\\s*==?\\s*(${VALUE})$`),
    ([, key, value]) =>
      (labels) =>
        labels[key!] === value,
  ],
  // As the API has it: also what has no such label at all.
  [
    new RegExp(`^(${KEY})\\s*!=\\s*(${VALUE})$`),
    ([, key, value]) =>
      (labels) =>
        labels[key!] !== value,
  ],
  [
    new RegExp(`^(${KEY})\\s+(in|notin)\\s*\\(\\s*(${VALUE}(?:\\s*,\\s*${VALUE})*)\\s*\\)$`),
    ([, key, operator, values]) => {
      const known = values!.split(',').map((value) => value.trim())
      return (labels) => (labels[key!] !== undefined && known.includes(labels[key!]!)) === (operator === 'in')
    },
  ],
]

/** What a selector selects; undefined when it is none. */
export function parseSelector(text: string): ((labels: Labels) => boolean) | undefined {
  const terms: ((labels: Labels) => boolean)[] = []
  // A comma inside parentheses belongs to a set.
  for (const part of text.split(/,(?![^(]*\))/)) {
    const term = TERMS.map(([pattern, make]) => {
      const match = pattern.exec(part.trim())
      return match && make(match)
    }).find((made) => made !== null)
    if (!term) return undefined
    terms.push(term)
  }
  return (labels) => terms.every((term) => term(labels))
}
