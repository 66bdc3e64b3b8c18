/**
 * Runs modules for real, without the engine or a network: probe, plan, apply, probe and plan again, in a local `sh`
 * (dash, bash and busybox in turn), in a folder of the test's own.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  createReadStream,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type Answers, request } from '../../src/engine/request.ts'
import { upload } from '../../src/engine/upload.ts'
import type { Action, ActionContext } from '../../src/module/action.ts'
import type { Change, ChangeOutput } from '../../src/module/change.ts'
import type { ControllerFile, LoadedFile, Module, ResultData } from '../../src/module/define.ts'
import type { Read } from '../../src/module/read.ts'
import type { Connection, RunOptions, ScriptResult, Shell, UploadOptions } from '../../src/session/session.ts'

export type ShellName = 'dash' | 'bash' | 'busybox'

/** A shell that starts a process for each script; `wrap` is a command that it is started under (unshare …). */
export class LocalShell implements Shell {
  readonly user = 'root'
  scripts = 0
  readonly argv: readonly string[]
  readonly env: Record<string, string | undefined>
  readonly folder: string

  constructor(name: ShellName, folder: string, wrap: readonly string[] = []) {
    this.folder = folder
    const path = process.env.PATH
    if (name === 'busybox') {
      const applets = join(folder, 'applets')
      mkdirSync(applets)
      spawnSync('busybox', ['--install', '-s', applets])
      this.argv = [...wrap, '/bin/busybox', 'sh']
      this.env = { ...process.env, PATH: `${applets}:${path}` }
    } else {
      this.argv = [...wrap, `/bin/${name}`, ...(name === 'bash' ? ['--posix'] : [])]
      this.env = { ...process.env }
    }
  }

  async run(script: string, { onOutput }: RunOptions = {}): Promise<ScriptResult> {
    const file = join(this.folder, `script-${this.scripts++}`)
    await writeFile(file, script)
    const started = performance.now()
    const child = spawn(this.argv[0]!, [...this.argv.slice(1), file], {
      env: this.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (b: Buffer) => out.push(b)).on('data', (b: Buffer) => onOutput?.('stdout', b))
    child.stderr.on('data', (b: Buffer) => err.push(b)).on('data', (b: Buffer) => onOutput?.('stderr', b))
    const rc = await new Promise<number>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) => resolve(code ?? 255))
    })
    await rm(file)
    const elapsedMs = performance.now() - started
    return { rc, stdout: Buffer.concat(out), stderr: Buffer.concat(err), elapsedMs, truncated: false }
  }

  async upload(content: Buffer | AsyncIterable<Uint8Array>, path: string, { mode = 0o600 }: UploadOptions = {}) {
    const chunks: Uint8Array[] = []
    if (Buffer.isBuffer(content)) chunks.push(content)
    else for await (const chunk of content) chunks.push(chunk)
    const bytes = Buffer.concat(chunks)
    await writeFile(`${path}.part`, bytes, { mode })
    chmodSync(`${path}.part`, mode)
    await rename(`${path}.part`, path)
    return { sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length }
  }

  async *download(path: string): AsyncIterable<Buffer> {
    yield* createReadStream(path)
  }
}

/** Where a module is run. */
export interface Driven {
  readonly shell: Shell
  /** The folder that stands for the playbook's. */
  readonly controller: string
}

/** A fresh folder and a shell, gone when the test ends. */
export interface Bench extends Driven {
  readonly shell: LocalShell
  /** The folder that stands for the host. */
  readonly host: string
}

/** Runs a test once in each shell. */
export function inEachShell(
  name: string,
  fn: (t: Test, bench: Bench) => Promise<void>,
  wrap?: readonly string[],
): void {
  for (const sh of ['dash', 'bash', 'busybox'] as const) {
    t.test(`${name} (${sh})`, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'runbook-modules-'))
      t.teardown(() => rmSync(folder, { recursive: true, force: true }))
      const host = join(folder, 'host')
      const controller = join(folder, 'controller')
      mkdirSync(host)
      mkdirSync(controller)
      await fn(t, { shell: new LocalShell(sh, folder, wrap), host, controller })
    })
  }
}

export interface Outcome {
  readonly changes: readonly Change[]
  readonly outputs: readonly ChangeOutput[]
  readonly result: ResultData
}

/**
 * What the engine does for a module's task; throws when a change fails or when the second plan is not empty.
 * `meanwhile` happens between the plan and the changes.
 */
export async function apply(bench: Driven, module: Module, rawArgs: unknown, meanwhile = () => {}): Promise<Outcome> {
  const { args, changes, state } = await plan(bench, module, rawArgs)
  meanwhile()
  const outputs: ChangeOutput[] = []
  for (const batch of batches(changes)) {
    if (batch[0]?.upload) await upload(bench.shell, batch[0].upload)
    const reply = await request(bench.shell, batch, [])
    outputs.push(...reply.outputs)
    reply.outputs.forEach((output, i) => {
      const { summary, okCodes = [0], explain } = batch[i]!
      if (okCodes.includes(output.rc)) return
      throw new Error(`${summary}: ${output.rc}: ${explain?.[output.rc] ?? ''}${output.stdout}${output.stderr}`)
    })
  }
  const after = changes.length === 0 ? state : await probe(bench.shell, module.probe(args))
  const left = module.plan(args, after).filter((c) => !c.transient)
  if (left.length > 0) throw new Error(`has not converged: ${left.map((c) => c.summary).join('; ')}`)
  return { changes, outputs, result: module.result(args, after, outputs) }
}

/** Changes that go in one request; an upload begins a new one. */
function batches(changes: readonly Change[]): Change[][] {
  const all: Change[][] = []
  for (const change of changes) {
    if (change.upload || all.length === 0) all.push([])
    all.at(-1)!.push(change)
  }
  return all
}

/** The summaries of what `apply` would change: check mode. */
export async function check(bench: Driven, module: Module, rawArgs: unknown): Promise<string[]> {
  return (await plan(bench, module, rawArgs)).changes.map((c) => c.summary)
}

/**
 * Check mode (nothing may be touched), apply (exactly what check mode said), apply again (nothing to do). Gives the
 * outcome of the first apply.
 */
export async function converge(t: Test, bench: Bench, module: Module, args: unknown): Promise<Outcome> {
  const before = snapshot(bench.host)
  const said = await check(bench, module, args)
  t.same(snapshot(bench.host), before, 'check mode touches nothing')
  const outcome = await apply(bench, module, args)
  t.same(
    outcome.changes.map((c) => c.summary),
    said,
    'what check mode said',
  )
  const lasting = (await check(bench, module, args)).length
  t.equal(lasting, outcome.changes.filter((c) => c.transient).length, 'nothing to do the second time')
  t.notOk(
    [...snapshot(bench.host).keys()].some((p) => basename(p).startsWith('.rb-')),
    'no temporary files left',
  )
  return outcome
}

async function plan({ shell, controller }: Driven, module: Module, rawArgs: unknown) {
  const parsed = module.args.safeParse(rawArgs)
  if (!parsed.success) throw parsed.error
  const wanted = module.files(parsed.data)
  const args =
    wanted.length === 0
      ? parsed.data
      : module.withFiles(
          parsed.data,
          wanted.flatMap((f) => load(controller, f)),
        )
  const state = await probe(shell, module.probe(args))
  return { args, state, changes: module.plan(args, state) }
}

async function probe(shell: Shell, read: Read<unknown>): Promise<unknown> {
  if (read.asks.length === 0) return read.from([])
  const { answers } = await request(shell, [], read.asks)
  return read.from(read.asks.map(({ id }) => value(answers, id)))
}

function value(answers: Answers, id: string): unknown {
  const answer = answers.get(id)
  if (!answer) throw new Error(`no answer to ${id}`)
  if ('error' in answer) throw answer.error
  return answer.value
}

/** Loads a controller file as the engine does. */
export function load(folder: string, { path, folder: mayBeFolder }: ControllerFile): LoadedFile[] {
  const root = path.startsWith('/') ? path : join(folder, path)
  const one = (file: string, relative: string): LoadedFile => {
    const content = readFileSync(file)
    const size = content.length
    const sha256 = createHash('sha256').update(content).digest('hex')
    const mode = lstatSync(file).mode & 0o7777
    return { path: file, relative, mode, size, sha256, content: size <= 1024 * 1024 ? content : undefined }
  }
  const walk = (dir: string, relative: string): LoadedFile[] => [
    { path: dir, relative, mode: lstatSync(dir).mode & 0o7777, size: 0, sha256: '', directory: true },
    ...readdirSync(dir, { withFileTypes: true }).flatMap((e) => {
      const below = relative === '' ? e.name : `${relative}/${e.name}`
      return e.isDirectory() ? walk(join(dir, e.name), below) : [one(join(dir, e.name), below)]
    }),
  ]
  return mayBeFolder && lstatSync(root).isDirectory() ? walk(root, '') : [one(root, basename(root))]
}

/** Every path below a folder with what makes it: type, mode, owner, times and content. */
export function snapshot(folder: string): Map<string, string> {
  const entries = new Map<string, string>()
  for (const name of readdirSync(folder, { recursive: true }) as string[]) {
    const path = join(folder, name)
    const s = lstatSync(path)
    const content = s.isFile() ? createHash('sha256').update(readFileSync(path)).digest('hex') : ''
    entries.set(path, [s.mode, s.uid, s.gid, s.mtimeMs, s.ino, content].join(' '))
  }
  return entries
}

/** `0644` of a path, links not followed. */
export function modeOf(path: string): string {
  return (lstatSync(path).mode & 0o7777).toString(8).padStart(4, '0')
}

/** What an action gets from the engine, with this bench's shell as the host. */
export function actionContext(
  bench: Bench,
  more: Partial<ActionContext> = {},
): ActionContext & { readonly lines: string[] } {
  const { shell, controller } = bench
  const lines: string[] = []
  const memory = new Map<string, ResultData>()
  const signal = more.signal ?? AbortSignal.timeout(60_000)
  return {
    host: 'n1',
    address: '127.0.0.1',
    runId: 'r1',
    shell: async () => shell,
    run: (script) => shell.run(script),
    read: async (read) => (await probe(shell, read)) as never,
    on: (host) => {
      throw new Error(`there is no host ${host}`)
    },
    kubernetes: () => Promise.reject(new Error('there is no cluster')),
    secret: () => {},
    disconnect: async () => {},
    tryConnect: async () => connection(shell),
    check: false,
    facts: {},
    loadFile: async (path, kind) => load(controller, { path, kind })[0]!,
    controllerPath: (path) => resolve(controller, path),
    log: (line) => lines.push(line),
    sleep: (ms) => setTimeout(ms, undefined, { signal }),
    signal,
    ask: () => Promise.reject(new Error('there is no terminal')),
    intent: async () => undefined,
    power: async () => undefined,
    recall: (name) => memory.get(name),
    remember: (name, data) => void (data === undefined ? memory.delete(name) : memory.set(name, data)),
    ...more,
    lines,
  }
}

/** A connection that is already there. */
export function connection(shell: Shell): Connection {
  return {
    host: 'n1',
    shell: async () => shell,
    lock: async () => {},
    closed: new Promise(() => {}),
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  }
}

/** Checks the arguments and runs an action. */
export async function act(action: Action | Module, rawArgs: unknown, ctx: ActionContext) {
  if (action.type !== 'action') throw new Error('not an action')
  const args = action.args.parse(rawArgs)
  return ctx.check ? await action.preview!(ctx, args) : await action.run(ctx, args)
}
