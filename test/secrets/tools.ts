/** The real sops, where it is installed, and files that it made. */
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { identityToRecipient } from 'age-encryption'
import { readSource } from '../../src/shared/yaml.ts'

export const MADE = join(import.meta.dirname, 'made-by-sops')
export const KEY_FILE = join(MADE, 'key.txt')

/** Of the test key. */
export const KEY = /AGE-SECRET-KEY-\S+/.exec(readFileSync(KEY_FILE, 'utf8'))![0]
export const RECIPIENT = await identityToRecipient(KEY)

/** A path to the sops of this machine. */
const SOPS = process.env.RUNBOOK_TEST_SOPS ?? 'sops'

/** For tap's `skip`. */
export function skipWithoutSops(): string | false {
  return spawnSync(SOPS, ['--version']).status === 0
    ? false
    : 'there is no sops: go install github.com/getsops/sops/v3/cmd/sops@v3.13.3, or its path in RUNBOOK_TEST_SOPS'
}

/** For tap's `skip`. */
export function skipWithoutAge(): string | false {
  return spawnSync('age', ['--version']).status === 0 ? false : 'there is no age: apt-get install age'
}

/** Runs sops with the test key and gives what it prints. Throws when it fails. */
export function sops(...args: string[]): string {
  return execFileSync(SOPS, args, {
    encoding: 'utf8',
    env: { ...process.env, SOPS_AGE_KEY_FILE: KEY_FILE },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

export const made = (name: string) => readSource(join(MADE, name))
