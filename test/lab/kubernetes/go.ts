import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { run } from '../run.ts'

/** The Go command: from the path, or where its own installer and Debian put it. */
export function findGo(): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/local/go/bin', '/usr/lib/go/bin']
  return folders.map((folder) => path.join(folder, 'go')).find((file) => existsSync(file))
}

function requireGo(): string {
  const go = findGo()
  if (!go)
    throw new Error(
      'the Kubernetes lab builds its binaries and needs Go 1.25 or later (https://go.dev/dl/): no `go` found',
    )
  return go
}

/**
 * No cgo: binaries have to be static. GOGC: less garbage collection in the compilers, 11 % less CPU time for some hundred
 * MB. GOTOOLCHAIN: an older Go says so instead of fetching another. GONOSUMDB: the checksum database has no entry of
 * these two; what go/*.sum pins of them was compared, file by file, with the commits that their tags name
 * (kube-vip v0.9.2: b56b80cd3049, cri-tools v1.34.0: ca0237b9fec5).
 */
const ENV = {
  CGO_ENABLED: '0',
  GOFLAGS: '-buildvcs=false',
  GOGC: '400',
  GOTOOLCHAIN: 'local',
  GOWORK: 'off',
  GONOSUMDB: 'github.com/kube-vip/kube-vip,sigs.k8s.io/cri-tools',
}

/**
 * No debugging information (nobody debugs these): another 8 % less CPU time. Inlining stays: without it compiling takes a
 * quarter less, but the API's JSON codec twice as long, on machines that five nodes share.
 */
export const BUILD_FLAGS = ['-trimpath', '-gcflags=all=-dwarf=false'] as const

const environment = (): NodeJS.ProcessEnv => ({ ...process.env, ...ENV })

/** Runs a quick go command in a folder; returns its standard output. */
export async function goOutput(folder: string, args: readonly string[]): Promise<string> {
  return run([requireGo(), '-C', folder, ...args], { env: environment() })
}

export interface GoBuild {
  /** Folder with go.mod. */
  readonly folder: string
  readonly packages: readonly string[]
  /** Folder for the binaries. */
  readonly output: string
  readonly tags?: readonly string[]
  /** `-X` definitions of the linker: variable -> text. */
  readonly define?: Readonly<Record<string, string>>
}

/** Compiles and links, at the lowest priority, saying every ten seconds how many packages are done. */
export async function goBuild(build: GoBuild, progress: (line: string) => void): Promise<void> {
  const ldflags = ['-s', '-w', ...Object.entries(build.define ?? {}).map(([name, text]) => `-X ${name}=${text}`)]
  // A build does not outlive the process that wants it: it would write into a folder that the next one removes.
  const argv = [
    '--pdeathsig',
    'KILL',
    'nice',
    '-n',
    '19',
    requireGo(),
    '-C',
    build.folder,
    'build',
    '-v',
    ...BUILD_FLAGS,
  ]
  argv.push(`-ldflags=${ldflags.join(' ')}`, `-tags=${(build.tags ?? []).join(',')}`)
  argv.push('-o', `${build.output}/`, ...build.packages)
  const child = spawn('setpriv', argv, { env: environment(), stdio: ['ignore', 'ignore', 'pipe'] })
  let compiled = 0
  const errors: string[] = []
  const timer = setInterval(() => progress(`${compiled} packages compiled`), 10_000)
  try {
    const ended = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve))
    for await (const line of createInterface({ input: child.stderr })) {
      // `-v` prints the import path of each package as it is compiled; what has a blank is something else.
      if (/^\S+$/.test(line)) compiled++
      else if (!line.startsWith('go: downloading ')) errors.push(line)
    }
    const rc = await ended
    if (rc !== 0) throw new Error(`go build in ${build.folder}: exit status ${rc}\n${errors.slice(-30).join('\n')}`)
  } finally {
    clearInterval(timer)
  }
}
