import { type ActionContext, type ActionResult, args, defineAction, quote, TaskFailure, z } from '#module'

/** Methods that change nothing: sent in check mode too. */
const SAFE = ['GET', 'HEAD', 'OPTIONS']

export default defineAction({
  summary: 'Call a web service',
  description:
    'From the host with its curl, or from the controller. Headers, body and password never stand on a command line. ' +
    'GET, HEAD and OPTIONS change nothing and are sent in check mode too; other methods count as a change.',
  args: z
    .strictObject({
      url: args.url.describe('http or https'),
      method: z
        .string()
        .regex(/^[A-Za-z]+$/, 'must be a word')
        .transform((m) => m.toUpperCase())
        .default('GET')
        .describe('GET, POST, PUT, DELETE …'),
      headers: z
        .record(z.string().regex(/^[\w-]+$/), z.union([z.string(), z.number()]).transform(String))
        .default({})
        .describe('request headers'),
      body: z.unknown().optional().describe('what is sent: a text, or with `body_format` any value'),
      body_format: z
        .enum(['raw', 'json', 'form-urlencoded'])
        .default('raw')
        .describe('how `body` is written; sets Content-Type'),
      status_code: args.list(z.int().min(100).max(599)).default([200]).describe('statuses that are a success'),
      return_content: args.boolean.default(false).describe('give the body of the answer as `content`'),
      follow_redirects: args.boolean.default(true).describe('follow Location'),
      url_username: z.string().optional().describe('user for basic authentication'),
      url_password: z.string().optional().describe('password for basic authentication'),
      timeout: args.seconds.default(30).describe('seconds for the whole call'),
      validate_certs: args.boolean.default(true).describe('false accepts any certificate (host only)'),
      ca_path: args.path.optional().describe('file of certificates to trust (host only)'),
      via: z.enum(['host', 'controller']).default('host').describe('who calls'),
    })
    .refine(
      (a) => a.via === 'host' || (a.validate_certs && a.ca_path === undefined),
      'validate_certs and ca_path are for via: host',
    )
    .refine(
      (a) => a.body_format !== 'raw' || a.body === undefined || typeof a.body === 'string',
      'a raw `body` must be a text; say body_format: json',
    )
    .refine(
      (a) =>
        a.body_format !== 'form-urlencoded' || a.body === undefined || (typeof a.body === 'object' && a.body !== null),
      'a form needs a map as `body`',
    ),
  returns: {
    status: 'HTTP status',
    headers: 'of the answer, names in lower case',
    content: 'the body, with `return_content`',
    json: 'the body as a value, when it is JSON',
    url: 'the URL that answered in the end',
    elapsed: 'seconds',
  },
  examples: [
    {
      name: 'Is the API server healthy?',
      yaml: 'uri:\n  url: https://127.0.0.1:6443/healthz\n  ca_path: /etc/kubernetes/pki/ca.crt\n  return_content: true',
    },
    {
      name: 'Tell the team',
      yaml: 'uri:\n  url: https://chat.example/hook\n  method: POST\n  body: {text: upgrade begins}\n  body_format: json\n  status_code: [200, 204]\n  via: controller',
    },
  ],
  preview: async (ctx, a) =>
    SAFE.includes(a.method)
      ? await call(ctx, a)
      : { changed: true, msg: `would send ${a.method}`, changes: [{ summary: `${a.method} ${a.url}` }] },
  run: call,
})

interface Args {
  readonly url: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: unknown
  readonly body_format: 'raw' | 'json' | 'form-urlencoded'
  readonly status_code: readonly number[]
  readonly return_content: boolean
  readonly follow_redirects: boolean
  readonly url_username?: string | undefined
  readonly url_password?: string | undefined
  readonly timeout: number
  readonly validate_certs: boolean
  readonly ca_path?: string | undefined
  readonly via: 'host' | 'controller'
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  readonly url: string
}

async function call(ctx: ActionContext, a: Args): Promise<ActionResult> {
  const started = performance.now()
  const answer = a.via === 'host' ? await fromHost(ctx, a) : await fromController(ctx, a)
  const text = answer.body.toString('utf8')
  const data: Record<string, unknown> = {
    status: answer.status,
    headers: answer.headers,
    url: answer.url,
    elapsed: Math.round((performance.now() - started) / 1000),
  }
  if (a.return_content) data.content = text
  if (/[/+]json\b/.test(answer.headers['content-type'] ?? '')) {
    try {
      data.json = JSON.parse(text)
    } catch {
      data.json = null
    }
  }
  if (!a.status_code.includes(answer.status)) {
    const wanted = a.status_code.join(' or ')
    throw new TaskFailure(`${a.method} ${a.url}: status ${answer.status}, not ${wanted}: ${text.slice(0, 500)}`, data)
  }
  const changed = !SAFE.includes(a.method)
  return { changed, data, changes: changed ? [{ summary: `${a.method} ${a.url}` }] : [] }
}

/** Headers and body as they are sent. */
function request(a: Args): { headers: Record<string, string>; body: string | undefined } {
  const headers: Record<string, string> = {}
  let body: string | undefined
  if (a.body !== undefined) {
    if (a.body_format === 'json') {
      headers['Content-Type'] = 'application/json'
      body = typeof a.body === 'string' ? a.body : JSON.stringify(a.body)
    } else if (a.body_format === 'form-urlencoded') {
      headers['Content-Type'] = 'application/x-www-form-urlencoded'
      const pairs = Object.entries(a.body as object).map(([k, v]): [string, string] => [k, String(v)])
      body = new URLSearchParams(pairs).toString()
    } else body = a.body as string
  }
  if (a.url_username !== undefined) {
    const token = Buffer.from(`${a.url_username}:${a.url_password ?? ''}`).toString('base64')
    headers.Authorization = `Basic ${token}`
  }
  return { headers: { ...headers, ...a.headers }, body }
}

/** curl reads its options from standard input (-K -), so that nobody sees them in the process list. */
async function fromHost(ctx: ActionContext, a: Args): Promise<Answer> {
  const { headers, body } = request(a)
  if (body?.includes('\0'))
    throw new TaskFailure('the body holds a NUL byte; curl’s configuration cannot: say via: controller')
  const quoted = (text: string): string =>
    text.replace(
      /[\\"\n\r\t\v]/g,
      (c) => ({ '\\': '\\\\', '"': '\\"', '\n': '\\n', '\r': '\\r', '\t': '\\t', '\v': '\\v' })[c]!,
    )
  const options: [string, string][] = [
    ['url', a.url],
    ...(a.method === 'HEAD' ? [] : [['request', a.method] as [string, string]]),
    ['max-time', String(a.timeout)],
    ...Object.entries(headers).map(([name, value]): [string, string] => ['header', `${name}: ${value}`]),
    ...(body === undefined ? [] : [['data-raw', body] as [string, string]]),
    ...(a.ca_path === undefined ? [] : [['cacert', a.ca_path] as [string, string]]),
    // Behind the body, for that may hold anything.
    ['write-out', '\n%{size_header} %{http_code} %{url_effective}'],
  ]
  const config = options.map(([name, value]) => `${name} = "${quoted(value)}"`).join('\n')
  const flags = ['-q', '-sS', '-i', a.method === 'HEAD' && '-I', a.follow_redirects && '-L', !a.validate_certs && '-k']
  const { rc, stdout, stderr } = await ctx.run(
    `command -v curl >/dev/null || { echo 'curl is not there: install it, or say via: controller' >&2; exit 127; }\n` +
      `printf '%s\\n' ${quote(config)} | curl ${flags.filter(Boolean).join(' ')} -K -`,
    { timeoutMs: (a.timeout + 10) * 1000 },
  )
  if (rc !== 0)
    throw new TaskFailure(`${a.method} ${a.url}: ${stderr.toString('utf8').trim() || `curl status ${rc}`}`, {
      status: -1,
    })
  const cut = stdout.lastIndexOf(10)
  const [size, status, ...url] = stdout.toString('utf8', cut + 1).split(' ')
  const head = stdout
    .toString('latin1', 0, Number(size))
    .trimEnd()
    .split(/\r?\n\r?\n/)
    .at(-1)!
  const pairs = head
    .split(/\r?\n/)
    .slice(1)
    .map((line): [string, string] => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    })
  return {
    status: Number(status),
    headers: Object.fromEntries(pairs),
    body: stdout.subarray(Number(size), cut),
    url: url.join(' '),
  }
}

async function fromController(ctx: ActionContext, a: Args): Promise<Answer> {
  const { headers, body } = request(a)
  try {
    const response = await fetch(a.url, {
      method: a.method,
      headers,
      body: body ?? null,
      redirect: a.follow_redirects ? 'follow' : 'manual',
      signal: AbortSignal.any([ctx.signal, AbortSignal.timeout(a.timeout * 1000)]),
    })
    const bytes = Buffer.from(await response.arrayBuffer())
    return { status: response.status, headers: Object.fromEntries(response.headers), body: bytes, url: response.url }
  } catch (error) {
    ctx.signal.throwIfAborted()
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : (error as Error)
    throw new TaskFailure(`${a.method} ${a.url}: ${cause.message}`, { status: -1 })
  }
}
