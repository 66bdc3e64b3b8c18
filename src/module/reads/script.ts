import { type AskKind, ask, type Read, type Section } from '../read.ts'

interface ScriptKey {
  readonly text: string
  readonly reads: readonly string[]
}

const scriptKind: AskKind<ScriptKey, Section> = {
  name: 'script',
  id: ({ text }) => text,
  merge: (a, b) => ({ text: a.text, reads: [...new Set([...a.reads, ...b.reads])] }),
  reads: ({ reads }) => reads,
  sections: (keys) => keys.length,
  script: (keys) => keys.map(({ text }) => `( ${text}\n); rb_mark\n`).join(''),
  parse: (sections) => sections,
}

/**
 * What a piece of sh prints, with its exit status. For questions that no other read asks; it must not change anything.
 * `reads` are the resources it looks at.
 */
export function script(text: string, reads: readonly string[]): Read<Section> {
  return ask(scriptKind, { text, reads })
}
