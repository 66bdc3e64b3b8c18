/**
 * Hosts without machines: a few modules whose scripts say in a comment what they do, and a connection that reads these
 * comments out of what the engine sends. The scripts behind the comments are real sh; `world.test.ts` holds the two
 * against each other.
 */

import meta from '../../modules/meta.ts'
import { commandResult, script } from '../../src/module/change.ts'
import {
  type ActionContext,
  type ActionResult,
  defineAction,
  defineModule,
  TaskFailure,
  z,
} from '../../src/module/index.ts'
import { type AskKind, ask, type Read, ReadError } from '../../src/module/read.ts'
import type { ModuleSource } from '../../src/playbook/index.ts'
import { type Become, type Connection, type RunOptions, SessionError, type Shell } from '../../src/session/session.ts'
import { quote } from '../../src/shared/quote.ts'

/** What a script does: sets a key, or is a command that leaves a line in the log. */
type Op = { readonly op: 'set'; key: string; value: string } | { readonly op: 'cmd'; say: string; rc: number }

const op = (it: Op): string =>
  it.op === 'set'
    ? `# ${JSON.stringify(it)}\nprintf %s ${quote(it.value)} > "$T"/${quote(it.key)}; printf '%s\\n' ${quote(`set ${it.key}=${it.value}`)} >> "$T/.log"`
    : `# ${JSON.stringify(it)}\nprintf '%s\\n' ${quote(it.say)} >> "$T/.log"; printf %s ${quote(it.say)}; exit ${it.rc}`

/** A key that begins with `!` cannot be read. */
const keyKind: AskKind<string, string | undefined> = {
  name: 'key',
  reads: (key) => [`key:${key}`],
  sections: (keys) => keys.length,
  script: (keys) =>
    `# ask ${JSON.stringify(keys)}\n${keys.map((k) => `[ -e "$T"/${quote(k)} ] && cat "$T"/${quote(k)}; rb_mark\n`).join('')}`,
  parse: (sections, keys) =>
    sections.map(({ out, rc }, i) => {
      if (keys[i]!.startsWith('!')) throw new ReadError(`cannot read ${keys[i]}`)
      return rc === 0 ? out.toString() : undefined
    }),
}

export const key = (name: string): Read<string | undefined> => ask(keyKind, name)

const text = z.coerce.string()

export const modules = {
  set: defineModule({
    summary: 'A key has a value',
    args: z.strictObject({ key: text, value: text }),
    examples: [],
    probe: (a) => ({ now: key(a.key) }),
    plan: ({ key, value }, { now }) =>
      now === value
        ? []
        : [
            script(op({ op: 'set', key, value }), {
              summary: `set ${key}=${value}`,
              touches: [`key:${key}`],
              diff: { kind: 'value', from: now, to: value },
            }),
          ],
    result: ({ key }) => ({ key }),
  }),
  cmd: defineModule({
    summary: 'A command that can touch everything',
    once: true,
    args: z.strictObject({ say: text, rc: z.int().default(0) }),
    examples: [],
    plan: ({ say, rc }) => [
      script(op({ op: 'cmd', say, rc }), { summary: `run ${say}`, touches: ['*'], transient: true }),
    ],
    result: (_a, _s, outputs) => commandResult(outputs[0]),
  }),
  look: defineModule({
    summary: 'The value of a key',
    args: z.strictObject({ key: text }),
    examples: [],
    readOnly: true,
    probe: (a) => ({ now: key(a.key) }),
    plan: () => [],
    result: (_a, { now }) => ({ value: now ?? '' }),
  }),
  wedge: defineModule({
    summary: 'A key that never takes its value',
    args: z.strictObject({ key: text, value: text }),
    examples: [],
    probe: (a) => ({ now: key(a.key) }),
    plan: ({ key, value }, { now }) =>
      now === value
        ? []
        : [script(op({ op: 'set', key, value: 'other' }), { summary: `set ${key}`, touches: [`key:${key}`] })],
  }),
  fail: defineModule({
    summary: 'Fails',
    args: z.strictObject({ msg: text.default('no') }),
    examples: [],
    readOnly: true,
    plan: ({ msg }) => {
      throw new TaskFailure(msg)
    },
  }),
  note: defineModule({
    summary: 'Says something',
    args: z.strictObject({ msg: text }),
    examples: [],
    readOnly: true,
    plan: () => [],
    result: ({ msg }) => ({ msg }),
  }),
  remember: defineModule({
    summary: 'Variables of the host',
    args: z.record(z.string(), z.unknown()),
    examples: [],
    readOnly: true,
    provides: 'variables',
    plan: () => [],
    result: (a) => ({ ...a }),
  }),
  act: defineAction({
    summary: 'An action that runs a command',
    args: z.strictObject({ say: text, rc: z.int().default(0) }),
    examples: [],
    run: async (ctx, { say, rc }) => {
      const result = await ctx.run(op({ op: 'cmd', say, rc }))
      if (result.rc !== 0) throw new TaskFailure(`status ${result.rc}`)
      return { changed: true, msg: say, data: { stdout: say } }
    },
  }),
  peek: defineAction({
    summary: 'An action that fails where a key has no value, in check mode too',
    args: z.strictObject({ key: text }),
    examples: [],
    preview: (ctx, a) => peek(ctx, a.key),
    run: (ctx, a) => peek(ctx, a.key),
  }),
  meta,
}

async function peek(ctx: ActionContext, name: string): Promise<ActionResult> {
  if ((await ctx.read(key(name))) === undefined) throw new TaskFailure(`there is no ${name}`)
  return { changed: false }
}

export const source: ModuleSource = {
  moduleNames: async () => Object.keys(modules),
  loadModule: async (name) => modules[name as keyof typeof modules],
}

/** What happens to one request: how many of its steps are done, and how it ends then. */
export interface Fate {
  /** Steps (changes and groups of questions) that are still done; all without it. */
  readonly steps?: number | undefined
  /** `hang`: what was done is told, and then nothing more comes. */
  readonly error: SessionError['kind'] | 'hang'
}

/** What is on a host; outlives its connections. */
export class FakeHost {
  readonly name: string
  readonly keys = new Map<string, string>()
  /** Everything that changed the host, in order. */
  readonly log: string[] = []
  /** How many steps each request had. */
  readonly requests: number[] = []
  connections = 0
  /** Decides about the request that comes (0, 1 …); undefined: all goes well. */
  fate: (request: number) => Fate | undefined = () => undefined
  /** Gone for good: nothing is done any more, and nobody gets in. `auth`, since after that nobody tries again. */
  gone = false
  /** Nobody can become these. */
  readonly strangers = new Set<string>()
  /** Waits before each answer. */
  pause: () => Promise<void> = async () => {}

  constructor(name: string) {
    this.name = name
  }

  connect(): Connection {
    const { name } = this
    if (this.gone) throw new SessionError('auth', name, 'refused')
    this.connections++
    const closed = Promise.withResolvers<void>()
    let lost = false
    const close = async (): Promise<void> => {
      lost = true
      closed.resolve()
    }
    const shells = new Map<string, Shell>()
    const makeShell = (user: string): Shell => {
      let scripts = 0
      let last: Promise<unknown> = Promise.resolve()
      const run = async (text: string, options: RunOptions) => {
        if (lost) throw new SessionError('lost', name, 'the connection is gone')
        options.signal?.throwIfAborted()
        await this.pause()
        options.signal?.throwIfAborted()
        const fate: Fate | undefined = this.gone ? { steps: 0, error: 'lost' } : this.fate(this.requests.length)
        const { stdout, stderr, rc, steps } = this.interpret(text, fate?.steps)
        this.requests.push(steps)
        if (fate?.error === 'hang') {
          if (stdout.length > 0) options.onOutput?.('stdout', stdout)
          if (stderr.length > 0) options.onOutput?.('stderr', stderr)
          await new Promise((_, reject) =>
            options.signal?.addEventListener('abort', () => reject(options.signal!.reason)),
          )
        } else if (fate) {
          if (fate.error === 'lost') await close()
          throw new SessionError(fate.error, name, `the test says ${fate.error}`)
        }
        if (stdout.length > 0) options.onOutput?.('stdout', stdout)
        if (stderr.length > 0) options.onOutput?.('stderr', stderr)
        return { rc, stdout, stderr, elapsedMs: 0, truncated: false }
      }
      return {
        user,
        get scripts() {
          return scripts
        },
        run: (text, options = {}) => {
          scripts++
          const mine = last.then(() => run(text, options))
          last = mine.catch(() => {})
          return mine
        },
        upload: async () => {
          throw new Error('nothing is uploaded here')
        },
        download: () => {
          throw new Error('nothing is downloaded here')
        },
      }
    }
    return {
      host: name,
      shell: async (become?: Become) => {
        if (lost) throw new SessionError('lost', name, 'the connection is gone')
        const user = become?.user ?? 'root'
        if (this.strangers.has(user)) throw new SessionError('become', name, `the host knows no user "${user}"`)
        const shell = shells.get(user) ?? makeShell(user)
        shells.set(user, shell)
        return shell
      },
      lock: async () => {},
      closed: closed.promise,
      close,
      [Symbol.asyncDispose]: close,
    }
  }

  /** Does what a script of the engine does, or the first `limit` steps of it. */
  interpret(text: string, limit = Number.POSITIVE_INFINITY) {
    const nonce = /^RB_N=(\w+)/.exec(text)?.[1]
    let [stdout, stderr, rc, steps] = ['', '', 0, 0]
    for (const m of text.matchAll(/^(?:\( )?# (\{.*\}|ask \[.*\])$|^case \$rb_r in ([\d|]+)\)/gm)) {
      const [, what, codes] = m
      if (codes !== undefined) {
        if (!codes.split('|').includes(String(rc))) break
        continue
      }
      if (steps >= limit) break
      steps++
      if (what!.startsWith('ask')) {
        for (const one of JSON.parse(what!.slice(4)) as string[]) {
          stdout += `${this.keys.get(one) ?? ''}\x1e${nonce} r ${this.keys.has(one) ? 0 : 1}\n`
        }
      } else {
        const it = JSON.parse(what!) as Op
        rc = it.op === 'set' ? 0 : it.rc
        if (it.op === 'set') this.keys.set(it.key, it.value)
        else stdout += it.say
        this.log.push(it.op === 'set' ? `set ${it.key}=${it.value}` : it.say)
        if (nonce) {
          stdout += `\x1e${nonce} c ${rc}\n`
          stderr += `\x1e${nonce}\n`
        }
      }
    }
    return { stdout: Buffer.from(stdout), stderr: Buffer.from(stderr), rc: nonce ? 0 : rc, steps }
  }
}
