/** Every row of the table in docs/playbooks.md: its example runs on real hosts and comes to what the row says. */
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { LEVELS } from '../../src/playbook/keywords.ts'
import { quoteAll } from '../../src/shared/quote.ts'
import { bootLab, type Lab } from '../lab/index.ts'
import { skipWithoutLab } from '../lab/skip.ts'
import { FILES } from './playbooks/files.ts'
import { type Result, ROWS } from './playbooks/rows.ts'
import { apply, type Ended, folderOf, ROOT, runbook } from './support.ts'

t.setTimeout(300_000)

interface Example {
  readonly keyword: string
  readonly where: readonly string[]
  readonly yaml: string
  /** Its playbook. */
  readonly file: string
}

const examples = readTable(readFileSync(join(ROOT, 'docs/playbooks.md'), 'utf8'))

t.test('every row has a test, every keyword a row', async (t) => {
  t.same(examples.map(({ keyword }) => keyword).sort(), Object.keys(ROWS).sort(), 'a test for each row, no more')
  for (const level of ['play', 'block', 'task', 'handler', 'import', 'include', 'role'] as const) {
    const rows = examples.filter(({ where }) => where.includes(level)).map(({ keyword }) => keyword)
    t.same(rows.sort(), Object.keys(LEVELS[level]).sort(), `what may stand on: ${level}`)
  }
  for (const level of ['loop_control', 'vars_prompt'] as const) {
    const rows = examples.filter(({ keyword }) => keyword.startsWith(`${level}.`)).map(({ keyword }) => keyword)
    t.same(
      rows.sort(),
      Object.keys(LEVELS[level])
        .map((key) => `${level}.${key}`)
        .sort(),
      level,
    )
  }
})

t.test('on hosts', { skip: skipWithoutLab() }, async (t) => {
  await using lab = await bootLab({ hosts: 3 })
  const folder = folderOf(t, { ...FILES, 'groups.yml': groups(lab) })
  for (const example of examples) writeFileSync(join(folder, example.file), playbookOf(example))
  const inventories = [lab.inventoryFile, '-i', join(folder, 'groups.yml')]
  const path = ({ file }: Example): string => join(folder, file)

  const plain = examples.filter(({ keyword }) => !ROWS[keyword]!.alone && !ROWS[keyword]!.typed)
  t.equal((await runbook(['validate', ...plain.map(path)])).code, 0)
  const page = join(folder, 'run.html')
  const args = ['apply', ...plain.map(path), '-i', ...inventories, '--output', 'json', '--report', page]
  const together = await runbook(args)
  await t.test('the page of this run', async (t) => {
    const html = readFileSync(page, 'utf8')
    t.notMatch(html, /correct-horse/, 'what no_log hides')
    t.match(html, /Say hello to n1/)
    const { run } = together.recap as { run: string }
    const again = join(folder, 'again.html')
    t.equal((await runbook(['history', 'show', run, '--folder', folder, '--html', again])).code, 0)
    t.equal(readFileSync(again, 'utf8'), html, 'the journal gives the same')
  })
  // A host that fails takes no part in what comes after it: the first row that did not end is the wrong one.
  for (const example of plain) {
    await t.test(example.keyword, async (t) => {
      const results = resultsOf(example, together)
      const bad = results.find(({ status, task }) => status === 'failed' || (status === 'unreachable' && task !== ''))
      t.ok(ended(results), bad ? JSON.stringify(bad, undefined, 1) : together.stderr)
      ROWS[example.keyword]!.results?.(t, examplesOwn(results), together)
    })
  }

  for (const example of examples) {
    const { alone, typed, results: look } = ROWS[example.keyword]!
    if (alone) {
      await t.test(example.keyword, async (t) => {
        const run = await apply(path(example), inventories[0]!, [...inventories.slice(1), ...(alone.args ?? [])])
        t.equal(run.code, alone.code, run.stdout + run.stderr)
        const results = resultsOf(example, run)
        if (alone.code === 0) t.ok(ended(results))
        look?.(t, examplesOwn(results), run)
      })
    }
    if (typed) {
      await t.test(example.keyword, (t) => atTerminal(t, ['apply', path(example), '-i', ...inventories], typed))
    }
  }
})

/** The rows of the one table. A `|` inside a cell is written `\|`. */
function readTable(markdown: string): Example[] {
  return [...markdown.matchAll(/^\| `(.+?)` \| (.+?) \| (.+?) \| `(.+)` \|$/gm)].map(
    ([, keyword, where, , yaml], i) => ({
      keyword: keyword!,
      where: where!.split(', '),
      yaml: yaml!.replaceAll('\\|', '|'),
      file: `row-${i}.yml`,
    }),
  )
}

/** An example in its place: a task in a play of n1, a play by itself; behind it what looks at what it did. */
function playbookOf({ keyword, yaml }: Example): string {
  const { before = [], after = [] } = ROWS[keyword]!
  const end = '{name: END, debug: {msg: END}, tags: always}'
  const play = (tasks: readonly string[]): string =>
    `- hosts: n1\n  gather_facts: false\n  tasks:\n${tasks.map((task) => `    - ${task}\n`).join('')}`
  const isPlay = /^\{(hosts|import_playbook):/.test(yaml)
  return isPlay ? `- ${yaml}\n${play([...after, end])}` : play([...before, yaml, ...after, end])
}

function resultsOf({ file }: Example, { results }: Ended): Result[] {
  const own = (results as readonly Result[]).filter((r) => placeOf(r).includes(`/${file}:`))
  const plays = new Set(own.map((r) => r.play_id))
  return (results as readonly Result[]).filter((r) => plays.has(r.play_id))
}

const placeOf = (result: unknown): string => (result as { readonly place: string }).place
const ended = (results: readonly Result[]): boolean =>
  results.some(({ task, status }) => task === 'END' && status === 'ok')

/** Without the task that only says that the end was reached. */
const examplesOwn = (results: readonly Result[]): Result[] => results.filter(({ task }) => task !== 'END')

/** A group; a host that is not there; one whose user and port the inventory does not say. */
function groups(lab: Lab): string {
  const third = lab.hosts[2]!
  return `
web: { hosts: { n1: , n2: } }
elsewhere:
  hosts:
    gone: { ansible_host: 127.0.0.1, ansible_port: 1 }
    plain:
      ansible_host: ${third.address}
      ansible_ssh_private_key_file: ${lab.privateKeyFile}
      ansible_ssh_common_args: -o UserKnownHostsFile=${lab.knownHostsFile} -o StrictHostKeyChecking=yes
`
}

/** Runs the program at a terminal (script(1) makes one) and answers its questions. */
async function atTerminal(t: Test, args: readonly string[], answers: readonly (readonly [string, string])[]) {
  const line = quoteAll([process.execPath, join(ROOT, 'bin/runbook.js'), ...args, '--output', 'plain'])
  const child = spawn('script', ['-qefc', line, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] })
  const left = [...answers]
  let text = ''
  let seen = 0
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    const [next] = left
    if (!next || !text.slice(seen).includes(next[0])) return
    left.shift()
    seen = text.length
    child.stdin.write(`${next[1]}\n`)
  })
  const code = await new Promise((resolve) => child.on('close', resolve))
  t.equal(code, 0, text)
  t.same(left, [], 'every question was asked')
  t.match(text, /END/)
}
