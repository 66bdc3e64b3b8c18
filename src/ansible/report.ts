/** What the import tells: what a person must write, and on what the rest relies. */
import type { Note } from './env.ts'

export interface Finding {
  /** `edit`: the output refuses to run until it is written by hand. `check`: it runs; look whether the remark matters. */
  readonly level: 'edit' | 'check'
  /** Of the input. */
  readonly file: string
  readonly line: number
  readonly what: string
  readonly why: string
  readonly todo: string
}

export interface ImportReport {
  readonly findings: readonly Finding[]
  /** Variables that nothing in the input gives a value: the inventory's or the command line's. */
  readonly unseen: readonly string[]
  /** What holds for the whole output, as sentences. */
  readonly remarks: readonly string[]
  readonly files: number
  readonly tasks: number
  /** Tasks that need no hand. */
  readonly finished: number
  /** What `runbook validate` says of the output; empty: valid. */
  readonly problems: readonly string[]
}

export class Report {
  readonly findings: Finding[] = []
  readonly #unseen = new Set<string>()
  readonly #notes = new Set<Note['kind']>()
  readonly #rewritten = new Set<string>()
  files = 0
  tasks = 0

  edit(file: string, line: number, what: string, why: string, todo: string): void {
    this.#add({ level: 'edit', file, line, what, why, todo })
  }

  check(file: string, line: number, what: string, why: string, todo: string): void {
    this.#add({ level: 'check', file, line, what, why, todo })
  }

  note(note: Note): void {
    if (note.kind === 'unseen') this.#unseen.add(note.name)
    else this.#notes.add(note.kind)
  }

  remark(sentence: string): void {
    this.#rewritten.add(sentence)
  }

  #add(finding: Finding): void {
    const same = (one: Finding): boolean => JSON.stringify(one) === JSON.stringify(finding)
    if (!this.findings.some(same)) this.findings.push(finding)
  }

  finish(problems: readonly string[]): ImportReport {
    const remarks = [...this.#rewritten]
    const unseen = [...this.#unseen].sort()
    if (unseen.length > 0) {
      remarks.push(
        'Variables that nothing here gives a value are taken for texts or whole numbers where they are printed (a boolean is ' +
          'printed as true, not True) and must be booleans where a condition is only their name; none is compared with a boolean as 0 or 1.',
      )
    }
    remarks.push(
      'A null counts as not defined, for default and defined as in templates.',
      'Variables have the types of their values here. One that an inventory gives another type is printed as what it then is ' +
        '(true, not True), and an empty map counts as true in a condition of a template.',
      'Inventories and vars files are read as YAML 1.2, and yes, no, on and off without quotes refused: write true and false there.',
    )
    if (this.#notes.has('versions'))
      remarks.push('Versions: 1.30 and 1.30.0 are equal here, and a release candidate comes before its release.')
    if (this.#notes.has('layout'))
      remarks.push('JSON, YAML and quoted shell words mean the same but may be written in another way.')
    if (this.#notes.has('loops'))
      remarks.push(
        'A template that loops over what nothing here gives a value takes it for a list: of a map it gets the values, Jinja the names.',
      )
    if (this.#notes.has('interfaces'))
      remarks.push(
        "An interface's address is its first one here; Ansible takes the last that is no secondary one. They are the same where it has one.",
      )
    if (this.#notes.has('release'))
      remarks.push("What asks for Ansible's version is told 2.19, whose language the import follows.")
    const broken = new Set(
      this.findings.filter(({ level }) => level === 'edit').map(({ file, line }) => `${file}:${line}`),
    )
    return {
      findings: this.findings.toSorted((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line)),
      unseen,
      remarks,
      files: this.files,
      tasks: this.tasks,
      finished: Math.max(0, this.tasks - broken.size),
      problems,
    }
  }
}
