/** Executable inventories: a program that prints JSON for `--list` and, without `_meta`, for `--host NAME`. */
import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import pLimit from 'p-limit'
import { z } from 'zod'
import { UserError } from '../shared/errors.ts'
import type { Builder } from './builder.ts'

/** Milliseconds for one run of the program. */
export const SCRIPT_TIMEOUT = 10_000

/** Bytes of output: 3,000 hosts with their variables take about 3 MB. */
const MAX_OUTPUT = 32 * 1024 * 1024

const vars = z.record(z.string(), z.unknown())
const group = z.union([
  z.array(z.string()),
  z.looseObject({
    hosts: z.array(z.string()).optional(),
    vars: vars.optional(),
    children: z.array(z.string()).optional(),
  }),
])
const listing = z.looseObject({ _meta: z.looseObject({ hostvars: z.record(z.string(), vars).optional() }).optional() })

/**
 * Adds the hosts and groups that a program prints. What it prints is data: no templates. Throws UserError when it fails,
 * hangs, prints too much or something else than JSON.
 */
export async function addScript(builder: Builder, path: string, timeoutMs = SCRIPT_TIMEOUT): Promise<void> {
  const { _meta, ...groups } = parse(listing, await run(path, ['--list'], timeoutMs), path)
  const names = new Set<string>()
  for (const [name, value] of Object.entries(groups)) {
    const one = parse(group, value, `${path}: group "${name}"`)
    const { hosts = [], children = [], vars: values } = Array.isArray(one) ? { hosts: one } : one
    builder.group(name)
    for (const host of hosts) {
      builder.host(host, name)
      names.add(host)
    }
    for (const child of children) builder.child(name, child)
    if (values) {
      builder.groupVars(name, { name: `${path}, group ${name}`, vars: values })
      if (Number.isInteger(values.ansible_group_priority)) builder.priority(name, Number(values.ansible_group_priority))
    }
  }
  for (const [name, values] of Object.entries(_meta?.hostvars ?? {})) {
    if (!builder.has(name)) builder.host(name, 'ungrouped')
    builder.hostVars(name, { name: `${path}, host ${name}`, vars: values })
  }
  if (_meta?.hostvars) return
  const limit = pLimit(4)
  await Promise.all(
    [...names].map((name) =>
      limit(async () => {
        const values = parse(vars, await run(path, ['--host', name], timeoutMs), path)
        builder.hostVars(name, { name: `${path}, host ${name}`, vars: values })
      }),
    ),
  )
}

function parse<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw new UserError(`${what}: ${[...issue!.path, issue!.message].join(': ')}`)
}

async function run(path: string, args: string[], timeoutMs: number): Promise<unknown> {
  const { code, output, errors } = await execute(resolve(path), args, timeoutMs, `${path} ${args.join(' ')}`)
  if (code !== 0)
    throw new UserError(`${path} ${args.join(' ')} ended with ${code}${errors ? `:\n${errors.slice(0, 2000)}` : ''}`)
  try {
    return JSON.parse(output)
  } catch {
    throw new UserError(`${path} ${args.join(' ')} printed no JSON but ${JSON.stringify(output.slice(0, 200))}`)
  }
}

interface Finished {
  readonly code: number | string
  readonly output: string
  readonly errors: string
}

/** In a process group of its own: what the program starts must not outlive it and hold its output open. */
function execute(path: string, args: string[], timeoutMs: number, name: string): Promise<Finished> {
  return new Promise((done, fail) => {
    const child = spawn(path, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    const output: Buffer[] = []
    let size = 0
    let errors = ''
    const stop = (message: string) => {
      clearTimeout(timer)
      try {
        process.kill(-child.pid!, 'SIGKILL')
      } catch {
        // It has ended meanwhile.
      }
      child.stdout.destroy()
      child.stderr.destroy()
      fail(new UserError(message))
    }
    const timer = setTimeout(() => stop(`${name} did not end within ${timeoutMs / 1000} s`), timeoutMs)
    child.stdout.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > MAX_OUTPUT) stop(`${name} printed more than ${MAX_OUTPUT / 2 ** 20} MiB`)
      else output.push(chunk)
    })
    child.stderr.on('data', (chunk: Buffer) => {
      if (errors.length < 10_000) errors += chunk.toString()
    })
    child.on('error', (error) => {
      clearTimeout(timer)
      fail(new UserError(`cannot run ${name}: ${error.message}`))
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      done({ code: code ?? signal ?? 1, output: Buffer.concat(output).toString(), errors })
    })
  })
}
