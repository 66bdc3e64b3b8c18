/** The same playbook by ansible-playbook and, imported, by runbook: on a fresh host each. */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Lab } from '../lab/index.ts'
import { ROOT } from '../playbooks/runbook.ts'
import { COLLECTIONS_FOLDER } from './ansible.ts'

export interface Ran {
  readonly rc: number
  readonly out: string
}

export function program(argv: readonly string[], env: Readonly<Record<string, string>> = {}, cwd = ROOT): Promise<Ran> {
  const child = spawn(argv[0]!, argv.slice(1), {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      out += text
    })
  return new Promise((done) => child.on('close', (code) => done({ rc: code ?? 1, out })))
}

/** An inventory in which the host of both is called the same, so that its name tells them apart nowhere. */
export function inventoryOf(
  lab: Lab,
  host: string,
  folder: string,
  groups: readonly string[] = [],
  more: Readonly<Record<string, unknown>> = {},
): string {
  const { address } = lab.hosts.find(({ name }) => name === host)!
  const path = join(folder, `${host}.yml`)
  const vars = {
    ...more,
    ansible_host: address,
    ansible_user: 'root',
    ansible_ssh_private_key_file: lab.privateKeyFile,
    ansible_ssh_common_args: `-o UserKnownHostsFile=${lab.knownHostsFile} -o GlobalKnownHostsFile=/dev/null`,
  }
  const others = Object.fromEntries(groups.map((group) => [group, { hosts: { node1: {} } }]))
  writeFileSync(path, JSON.stringify({ all: { children: { k8s: { hosts: { node1: vars } }, ...others } } }))
  return path
}

export function runAnsible(
  ansible: string,
  playbook: string,
  inventory: string,
  more: readonly string[] = [],
): Promise<Ran> {
  return program([join(ansible, 'bin/ansible-playbook'), '-i', inventory, playbook, ...more], {
    PATH: `${join(ansible, 'bin')}:${process.env.PATH}`,
    LC_ALL: 'C.UTF-8',
    ANSIBLE_COLLECTIONS_PATH: [process.env.ANSIBLE_COLLECTIONS_PATH, join(ansible, COLLECTIONS_FOLDER)]
      .filter(Boolean)
      .join(':'),
    ANSIBLE_PIPELINING: '1',
    ANSIBLE_PYTHON_INTERPRETER: '/usr/bin/python3',
    ANSIBLE_NOCOLOR: '1',
    ANSIBLE_HOME: join(ansible, 'home'),
  })
}

export function runRunbook(args: readonly string[]): Promise<Ran> {
  return program([process.execPath, join(ROOT, 'bin/runbook.js'), ...args], { RUNBOOK_INVENTORY: '', NO_COLOR: '1' })
}
