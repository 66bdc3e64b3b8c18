/** `runbook netboot watch` and `doctor`: what machines do, and why nothing boots. */
import { setTimeout as sleep } from 'node:timers/promises'
import { readActivity } from '../../netboot/activity.ts'
import { readConfig } from '../../netboot/config.ts'
import { examine } from '../../netboot/doctor.ts'
import { duration } from '../../report/duration.ts'
import { EXIT } from '../exit.ts'
import { watchTable } from '../watch-table.ts'
import { expected, type NetbootFlags, namesOf, open, warnUnlessServing, write } from './netboot.ts'

/** Milliseconds between looks. */
const PERIOD = 500

/** A line a machine, redrawn at a terminal; elsewhere a line for each change. Until Ctrl-C. */
export async function watch(names: readonly string[], flags: NetbootFlags): Promise<number> {
  using opened = await open(flags)
  const { config, machines, db } = opened
  const shown = namesOf(names, opened)
  await warnUnlessServing(config)
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  const isTerminal = process.stdout.isTTY
  const width = Math.max(7, ...shown.map((name) => name.length))
  const before = new Map<string, string>()
  for (let drawn = 0; !stop.signal.aborted; ) {
    const now = Date.now()
    const activity = readActivity(db)
    const lines = shown.map((name) => {
      const state = machines.state(name)
      const last = activity.get(name)
      // The installer's step says more than the request that brought it.
      const what = (state?.phase === 'installing' ? state.detail : last?.what) ?? ''
      const at = Math.max(last?.at ?? 0, state?.since ?? 0)
      const next = expected(state, config, now)
      return {
        name,
        phase: state?.phase ?? '-',
        last: what,
        at,
        ago: at === 0 ? '-' : duration(now - at),
        next: next === '-' ? '' : next,
      }
    })
    if (isTerminal) {
      const { columns = 120, rows = 50 } = process.stdout
      const table = watchTable(lines, { columns, rows })
      write(`${drawn > 0 ? `\x1b[${drawn}A` : ''}${table.map((line) => `\x1b[2K${line}\n`).join('')}\x1b[J`)
      drawn = table.length
    } else {
      for (const { name, phase, last, ago, next } of lines) {
        const said = `${name.padEnd(width)}  ${phase.padEnd(10)}  ${last}`
        if (before.get(name) !== said) {
          write(`${said}${next && `  expected next: ${next}, waited ${ago}`}\n`)
          before.set(name, said)
        }
      }
    }
    await sleep(PERIOD, undefined, { signal: stop.signal }).catch(() => {})
  }
  return EXIT.done
}

const MARKS = { ok: 'ok     ', wrong: 'WRONG  ', unknown: '?      ' } as const

/** Exit code 2 when something is wrong. */
export async function doctor(flags: { readonly config: string; readonly json: boolean }): Promise<number> {
  const findings = await examine(readConfig(flags.config))
  if (flags.json) write(`${JSON.stringify(findings, undefined, 2)}\n`)
  else {
    for (const { what, verdict, seen, hint } of findings) {
      write(`${MARKS[verdict]}${what}: ${seen}\n${verdict === 'ok' || hint === undefined ? '' : `         ${hint}\n`}`)
    }
  }
  return findings.some(({ verdict }) => verdict === 'wrong') ? EXIT.failed : EXIT.done
}
