import { Chalk, type ChalkInstance } from 'chalk'
import type { Status } from '../shared/events.ts'

export interface Style {
  readonly chalk: ChalkInstance
  readonly status: Readonly<Record<Status, (text: string) => string>>
  readonly symbol: Readonly<Record<Status | 'running' | 'waiting', string>>
}

/** Colours and symbols; `colour: false` gives plain text. Symbols outside ASCII need a UTF-8 locale. */
export function makeStyle({ colour, unicode }: { colour: boolean; unicode: boolean }): Style {
  const chalk = new Chalk({ level: colour ? 1 : 0 })
  const status = {
    ok: chalk.green,
    changed: chalk.yellow,
    skipped: chalk.dim,
    failed: chalk.red.bold,
    ignored: chalk.magenta,
    rescued: chalk.magenta,
    unreachable: chalk.red.bold,
  }
  const symbol = unicode
    ? {
        ok: '✔',
        changed: '~',
        skipped: '-',
        failed: '✖',
        ignored: '!',
        rescued: '↺',
        unreachable: '⚡',
        running: '›',
        waiting: '·',
      }
    : {
        ok: '+',
        changed: '~',
        skipped: '-',
        failed: 'x',
        ignored: '!',
        rescued: 'r',
        unreachable: 'X',
        running: '>',
        waiting: '.',
      }
  return { chalk, status, symbol }
}

/** The locale's character set by the precedence of setlocale(3). */
export function isUtf8({ LC_ALL, LC_CTYPE, LANG }: NodeJS.ProcessEnv): boolean {
  return /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || '')
}
