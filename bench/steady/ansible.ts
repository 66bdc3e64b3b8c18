import { execFileSync } from 'node:child_process'
import { existsSync, globSync, symlinkSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'

/** Ansible with the collections that the play needs, and Mitogen. */
const PACKAGES = ['ansible==12.3.0', 'mitogen==0.3.54']

/** A Python environment with Ansible and Mitogen, made once in the user's cache; its `mitogen` is the plugins' folder. */
export async function ansibleFolder(progress: (line: string) => void): Promise<string> {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'runbook-bench')
  const folder = join(cache, PACKAGES.join('-').replaceAll('==', '-'))
  const done = join(folder, 'complete')
  if (existsSync(done)) return folder
  progress(`installing ${PACKAGES.join(' and ')} from the Python package index, once`)
  execFileSync('python3', ['-m', 'venv', '--clear', folder], { stdio: 'inherit' })
  execFileSync(join(folder, 'bin/pip'), ['install', '--quiet', ...PACKAGES], { stdio: 'inherit' })
  const [plugin] = globSync(
    join(folder, 'lib/python*/site-packages/ansible_mitogen/plugins/strategy/mitogen_linear.py'),
  )
  if (!plugin) throw new Error('Mitogen came without its strategy plugins')
  symlinkSync(dirname(plugin), join(folder, 'mitogen'))
  writeFileSync(done, '')
  return folder
}
