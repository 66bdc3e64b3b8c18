/** The attempts at a node's run, and the files that each leaves for those after it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isOfThisBoot } from '../../journal/process.ts'
import { lastWord, parseLine } from './node-end.ts'
import { Progress } from './progress.ts'

export interface Attempt {
  readonly host: string
  readonly playbook: string
  /** Of the occurrence, for what it writes. */
  readonly folder: string
  /** From 1. */
  readonly attempt: number
}

export interface Files {
  readonly out: string
  readonly err: string
  /** Of type Started. */
  readonly started: string
  /** Not on a command line, where everybody could read them. */
  readonly vars: string
}

export function filesOf({ folder, host, attempt }: Attempt): Files {
  const base = join(folder, `${encodeURIComponent(host)}.${attempt}`)
  return { out: `${base}.ndjson`, err: `${base}.err`, started: `${base}.started.json`, vars: `${base}.vars.json` }
}

function attemptsBefore(request: Attempt): Files[] {
  return Array.from({ length: request.attempt - 1 }, (_, i) => filesOf({ ...request, attempt: i + 1 }))
}

/** Written down for the attempts after it. */
export interface Started {
  /** Its name in journal/process.ts. */
  readonly process: string
  readonly playbook: string
}

export const startedOf = (files: Files): Started | undefined =>
  parseLine(readFile(files.started)) as unknown as Started | undefined

/** Whether an attempt before this one began a run of the same playbook: then there is something to go on with. */
export function begunBefore(request: Attempt): boolean {
  return attemptsBefore(request).some(
    (files) => startedOf(files)?.playbook === request.playbook && readFile(files.out) !== '',
  )
}

/**
 * Whether an attempt before this one has changed the node, or may have: one that died without a word has said what it was
 * at, and that is all there unless the machine itself went down with it.
 */
export function touchedBefore(request: Attempt): boolean {
  return attemptsBefore(request).some((files) => {
    const out = readFile(files.out)
    const started = startedOf(files)
    const isWhole = lastWord(out) !== undefined || (/^$|\n$/.test(out) && started && isOfThisBoot(started.process))
    if (!isWhole) return true
    const progress = new Progress()
    for (const event of out.split('\n').map(parseLine)) if (event) progress.take(event)
    return progress.touch !== 'untouched'
  })
}

/** '' where there is none. */
export function readFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
