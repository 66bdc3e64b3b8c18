/** The real Ansible, from the Python package index, in an environment of its own; made once and kept in the user's cache. */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process'
import { existsSync, globSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { takeLock } from '../lab/lock.ts'

/** Another name for each choice of what is unpacked: an older environment stays as it is. */
export const COLLECTIONS_FOLDER = 'collections-2'

/** The reference: the first release line in which a condition must be a boolean. */
const CORE = 'ansible-core==2.19.14'

/** Collections come with this package; only what the tests need of it is unpacked. */
const COLLECTIONS = 'ansible==12.3.0'
const UNPACKED =
  /^ansible_collections\/(ansible\/posix\/|community\/general\/(plugins\/(modules\/(modprobe|pam_limits)|module_utils)|meta|galaxy|MANIFEST))/

/** Without Python there is nothing to compare with; a required lab (CI) fails instead. */
export function skipWithoutPython(): string | false {
  try {
    execFileSync('python3', ['-c', 'import venv, ensurepip'], { stdio: 'ignore' })
    return false
  } catch {
    if (process.env.RUNBOOK_REQUIRE_LAB === '1') return false
    return 'python3-venv is not installed'
  }
}

/** The folder of the environment. `collections` adds ansible.posix and community.general's modprobe and pam_limits. */
export async function ansibleFolder({ collections = false } = {}): Promise<string> {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'runbook-test')
  const folder = join(cache, CORE.replace('==', '-'))
  // Several test files begin at once, and the first makes it for all.
  await using _ = await takeLock(`${folder}.lock`)
  if (!existsSync(join(folder, 'complete'))) {
    execFileSync('python3', ['-m', 'venv', '--clear', folder], { stdio: 'inherit' })
    execFileSync(join(folder, 'bin/pip'), ['install', '--quiet', '--disable-pip-version-check', CORE], {
      stdio: 'inherit',
    })
    writeFileSync(join(folder, 'complete'), '')
  }
  if (collections && !existsSync(join(folder, COLLECTIONS_FOLDER))) unpack(folder)
  return folder
}

function unpack(folder: string): void {
  const made = join(folder, `collections.${process.pid}`)
  const pip = ['download', '--quiet', '--disable-pip-version-check', '--no-deps', '--dest', made, COLLECTIONS]
  execFileSync(join(folder, 'bin/pip'), pip, { stdio: 'inherit' })
  const [wheel] = globSync(join(made, '*.whl'))
  const script =
    'import re, sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\n' +
    'z.extractall(sys.argv[2], [n for n in z.namelist() if re.match(sys.argv[3], n)])'
  execFileSync(join(folder, 'bin/python'), ['-c', script, wheel!, made, UNPACKED.source.replaceAll('\\/', '/')])
  rmSync(wheel!)
  renameSync(made, join(folder, COLLECTIONS_FOLDER))
}

/** What Ansible gives for a template or a condition. */
export type Answer = { readonly value: unknown } | { readonly error: string }

export interface Question {
  readonly kind: 'condition' | 'text' | 'file'
  readonly source: string
  readonly vars: Readonly<Record<string, unknown>>
}

const SERVER = `
import json, sys
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
def trusted(value):
    if isinstance(value, str): return trust_as_template(value)
    if isinstance(value, list): return [trusted(v) for v in value]
    if isinstance(value, dict): return {k: trusted(v) for k, v in value.items()}
    return value
loader = DataLoader()
for line in sys.stdin:
    q = json.loads(line)
    try:
        templar = Templar(loader=loader, variables=q['vars'])
        source = trust_as_template(q['source'])
        if q['kind'] == 'condition': value = templar.evaluate_conditional(source)
        elif q['kind'] == 'file':
            value = templar.template(source, escape_backslashes=False)
            value = value if isinstance(value, str) else str(value)
        else: value = templar.template(source)
        print(json.dumps({'value': value}, default=list), flush=True)
    except Exception as e:
        print(json.dumps({'error': str(e)[:300]}), flush=True)
`

/** Ansible's own templating as a process that answers questions, one at a time. */
export class Templar implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #waiting: ((answer: Answer) => void)[] = []

  constructor(folder: string) {
    this.#child = spawn(join(folder, 'bin/python'), ['-c', SERVER], {
      env: {
        PATH: process.env.PATH,
        LANG: 'C.UTF-8',
        HOME: join(folder, 'home'),
        ANSIBLE_DEPRECATION_WARNINGS: 'false',
      },
    })
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      if (line.startsWith('{')) this.#waiting.shift()?.(JSON.parse(line))
    })
    let said = ''
    this.#child.stderr.on('data', (data) => {
      said += data
    })
    this.#child.on('close', () => {
      for (const answer of this.#waiting.splice(0)) answer({ error: `Python ended: ${said.slice(-500)}` })
    })
  }

  ask(question: Question): Promise<Answer> {
    return new Promise((answer) => {
      this.#waiting.push(answer)
      this.#child.stdin.write(`${JSON.stringify(question)}\n`)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end()
    await new Promise((done) => (this.#child.exitCode === null ? this.#child.on('close', done) : done(undefined)))
  }
}
