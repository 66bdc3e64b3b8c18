/** Holds the arrows of docs/architecture.md: which folder may import which. */

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import test from 'node:test'

const ROOT = resolve(import.meta.dirname, '..')

/** Folder below src/ to the folders it may import; itself is always allowed. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  shared: [],
  session: ['shared'],
  values: ['shared'],
  journal: ['shared'],
  report: ['shared'],
  power: ['shared'],
  kubernetes: ['shared'],
  secrets: ['shared'],
  netboot: ['shared', 'values'],
  module: ['shared', 'session'],
  inventory: ['shared', 'session', 'values'],
  playbook: ['shared', 'module', 'values'],
  ansible: ['shared', 'values'],
  engine: ['shared', 'session', 'values', 'journal', 'module', 'inventory', 'playbook', 'kubernetes', 'power'],
  maintenance: ['shared', 'session', 'journal', 'inventory', 'kubernetes', 'power', 'engine', 'playbook', 'values'],
  cli: [
    'shared',
    'session',
    'values',
    'journal',
    'report',
    'power',
    'kubernetes',
    'secrets',
    'netboot',
    'module',
    'inventory',
    'playbook',
    'engine',
    'maintenance',
    'ansible',
  ],
}

/** Longer files are two things; see the design. */
const LONGEST = 360

/** Tables: one thing, however long. */
const TABLES = ['src/values/helpers.ts']

function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8')
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((m) => m[1]!)
}

const sources = globSync('src/**/*.ts', { cwd: ROOT })
const modules = globSync('modules/**/*.ts', { cwd: ROOT })

test('folders of src/ import only what stands below them', () => {
  const wrong: string[] = []
  for (const file of sources) {
    const [, folder = ''] = file.split('/')
    const allowed = ARROWS[folder]
    assert.ok(allowed, `src/${folder} has no arrows`)
    for (const name of importsOf(join(ROOT, file))) {
      if (!name.startsWith('.')) continue
      const target = relative(ROOT, resolve(ROOT, dirname(file), name)).split('/')
      const other = target[0] === 'src' ? target[1]! : target[0]!
      if (other !== folder && !allowed.includes(other)) wrong.push(`${file} imports ${name}`)
    }
  }
  assert.deepEqual(wrong, [])
})

test('modules import #module, node and libraries', () => {
  const wrong = modules.flatMap((file) =>
    importsOf(join(ROOT, file))
      .filter((name) => name.startsWith('.') || (name.startsWith('#') && name !== '#module'))
      .map((name) => `${file} imports ${name}`),
  )
  assert.deepEqual(wrong, [])
})

test('no file is two things', () => {
  const long = [...sources, ...modules]
    .map((file) => ({ file, lines: readFileSync(join(ROOT, file), 'utf8').split('\n').length }))
    .filter(({ file, lines }) => lines > LONGEST && !TABLES.includes(file))
  assert.deepEqual(long, [])
})

test('nothing names the machine it was written on', () => {
  const files = globSync(['src/**/*', 'modules/**/*', 'test/**/*', 'docs/**/*', 'bench/**/*', '*.md', '*.json'], {
    cwd: ROOT,
    withFileTypes: true,
  })
  const wrong = files
    .filter((f) => f.isFile())
    .map((f) => join(f.parentPath, f.name))
    .filter(
      (path) =>
        !path.endsWith('architecture.test.ts') && readFileSync(path, 'latin1').includes(['/work', 'main/'].join('/')),
    )
  assert.deepEqual(wrong, [])
})
