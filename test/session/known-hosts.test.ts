import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { checkHostKey, hostKeysFor, keyAlgorithms } from '../../src/session/host-key.ts'
import { fingerprint, KnownHosts, keyType, knownName, parseKnownHosts } from '../../src/session/known-hosts.ts'
import { matchPatterns } from '../../src/session/patterns.ts'
import { pinHostKeys } from '../../src/session/pin-host-keys.ts'
import fc from '../property.ts'
import { sessionError } from './match.ts'
import { keygen, noSshd } from './sshd.ts'

/** A public key blob of a type with a filler that tells keys apart. */
function key(type: string, filler: string): Buffer {
  const part = (text: string) => Buffer.concat([Buffer.from([0, 0, 0, text.length]), Buffer.from(text)])
  return Buffer.concat([part(type), part(filler)])
}

const [A, B] = [key('ssh-ed25519', 'a'), key('ssh-ed25519', 'b')]
const RSA = key('ssh-rsa', 'r')
const line = (names: string, blob: Buffer) => `${names} ${keyType(blob)} ${blob.toString('base64')}`

function knownHosts(...lines: string[]): KnownHosts {
  const known = new KnownHosts([])
  known.add(parseKnownHosts(lines.join('\n'), 'kh'))
  return known
}

t.test('verdicts', async (t) => {
  const table: [title: string, lines: string[], host: string, port: number, offered: Buffer, verdict: string][] = [
    ['known', [line('h1', A)], 'h1', 22, A, 'ok'],
    ['case does not matter', [line('Host.Example', A)], 'hOST.example', 22, A, 'ok'],
    ['unknown', [line('h2', A)], 'h1', 22, A, 'unknown'],
    ['changed', [line('h1', A)], 'h1', 22, B, 'changed'],
    ['one of several', [line('h1', A), line('h1', B)], 'h1', 22, B, 'ok'],
    ['a stranger with a key of another type', [line('h1', A)], 'h1', 22, RSA, 'changed'],
    ['a list of names', [line('x,h1,10.0.0.1', A)], '10.0.0.1', 22, A, 'ok'],
    ['a pattern', [line('*.lab,!bad.lab', A)], 'n1.lab', 22, A, 'ok'],
    ['a negated pattern', [line('*.lab,!bad.lab', A)], 'bad.lab', 22, A, 'unknown'],
    ['a port', [line('[h1]:2222', A)], 'h1', 2222, A, 'ok'],
    ['another port', [line('[h1]:2222', A)], 'h1', 22, A, 'unknown'],
    ['a port under its plain name', [line('h1', A)], 'h1', 2222, A, 'ok'],
    ['a port under its plain name, another key', [line('h1', B)], 'h1', 2222, A, 'unknown'],
    ['revoked', [line('h1', A), line('@revoked *', A)], 'h1', 22, A, 'revoked'],
    ['another key is revoked', [line('h1', A), line('@revoked *', B)], 'h1', 22, A, 'ok'],
    ['an authority', [line('@cert-authority *', B)], 'h1', 22, A, 'cert-authority'],
    ['an authority and the key', [line('@cert-authority *', B), line('h1', A)], 'h1', 22, A, 'ok'],
    ['an unknown marker', [line('@other h1', A)], 'h1', 22, A, 'unknown'],
    ['junk', ['', '# h1', 'h1', 'h1 ssh-ed25519', 'h1 ssh-rsa AAAA', '|1|x h1', line('h1', A)], 'h1', 22, A, 'ok'],
    ['a comment after the key', [`${line('h1', A)} me@here`], 'h1', 22, A, 'ok'],
  ]
  for (const [title, lines, host, port, offered, verdict] of table) {
    t.equal(knownHosts(...lines).check(knownName(host, port), host.toLowerCase(), offered).verdict, verdict, title)
  }
})

t.test('errors name the line and both fingerprints', async (t) => {
  const keys = (known: KnownHosts, policy: 'check' | 'accept-new') =>
    hostKeysFor(known, 'h1', 22, undefined, policy, false)
  const changed = keys(knownHosts('', line('h1', A)), 'accept-new')
  await t.rejects(
    checkHostKey('h1', changed, B),
    sessionError('host_key', /CHANGED: known is kh:2 \(ssh-ed25519 SHA256:.*the host shows ssh-ed25519 SHA256:/),
  )
  const unknown = keys(knownHosts(), 'check')
  await t.rejects(
    checkHostKey('h1', unknown, B),
    sessionError('host_key', /not known: ssh-ed25519 SHA256:/, /--accept-new-host-keys/),
  )
  const revoked = keys(knownHosts(line('@revoked *', A)), 'accept-new')
  await t.rejects(checkHostKey('h1', revoked, A), sessionError('host_key', /REVOKED by kh:1/))
  const authority = keys(knownHosts(line('@cert-authority *', A)), 'accept-new')
  await t.rejects(checkHostKey('h1', authority, B), sessionError('host_key', /certificate authority/, /openssh/))
})

t.test('algorithms of known key types come first', async (t) => {
  const of = (...lines: string[]) =>
    keyAlgorithms(hostKeysFor(knownHosts(...lines), 'h1', 2222, undefined, 'check', false))
  t.equal(of()[0], 'ssh-ed25519')
  t.strictSame(of(line('[h1]:2222', RSA)).slice(0, 3), ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa'])
  t.strictSame(of(line('h1', key('ecdsa-sha2-nistp384', 'e')))[0], 'ecdsa-sha2-nistp384')
  t.equal(of(line('[h1]:2222', RSA)).length, of().length, 'nothing is left out')
})

t.test('patterns', async (t) => {
  const table: [patterns: string, name: string, matches: boolean][] = [
    ['*', '', true],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['*a*b', 'xxaxxab', true],
    ['*a*b', 'xxaxxabc', false],
    ['h[1]', 'h1', false],
    ['!*', 'h', false],
    ['h1,!h1', 'h1', false],
    ['!h2', 'h1', false],
    ['10.0.0.*', '10.0.0.17', true],
  ]
  for (const [patterns, name, matches] of table)
    t.equal(matchPatterns(patterns.split(','), name), matches, `${patterns} ${name}`)
  const begin = performance.now()
  matchPatterns(['*a'.repeat(60)], 'a'.repeat(5000))
  t.ok(performance.now() - begin < 1000, 'no pattern takes exponential time')
})

t.test('parsing never throws', async () => {
  const word = fc.constantFrom(
    'h1',
    '@revoked',
    '|1|YQ==|Yg==',
    'ssh-ed25519',
    A.toString('base64'),
    '#',
    '*',
    '\t',
    '\0',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(word).map((words) => words.join(' ')),
      ),
      (text) => {
        const known = knownHosts(text)
        known.check('h1', 'h1', A)
      },
    ),
  )
})

t.test('with ssh-keygen', { skip: noSshd }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'session-known-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'sub', 'known_hosts')
  keygen('-t', 'ed25519', '-f', join(folder, 'k'), '-N', '')
  const blob = Buffer.from(readFileSync(join(folder, 'k.pub'), 'utf8').split(' ')[1]!, 'base64')
  const print = () => spawnSync('ssh-keygen', ['-lf', join(folder, 'k.pub')], { encoding: 'utf8' }).stdout.split(' ')[1]
  t.equal(fingerprint(blob), print())

  t.test('a new key is recorded, privately, once', async (t) => {
    const keys = () => hostKeysFor(new KnownHosts([file]), 'h1', 2222, undefined, 'accept-new', false)
    await Promise.all(Array.from({ length: 8 }, () => checkHostKey('h1', keys(), blob)))
    t.equal(readFileSync(file, 'utf8').split('\n').length, 2, 'one line')
    t.equal(statSync(file).mode & 0o777, 0o600)
    t.equal(statSync(join(folder, 'sub')).mode & 0o777, 0o700)
    t.match(spawnSync('ssh-keygen', ['-F', '[h1]:2222', '-f', file], { encoding: 'utf8' }).stdout, /found: line 1/)
    // A file without a newline at its end.
    writeFileSync(file, readFileSync(file, 'utf8').trim())
    await checkHostKey('h2', hostKeysFor(new KnownHosts([file]), 'h2', 22, undefined, 'accept-new', true), blob)
    t.match(readFileSync(file, 'utf8'), /^\[h1\]:2222 .*\n\|1\|.*\n$/)
    t.match(
      spawnSync('ssh-keygen', ['-F', 'h2', '-f', file], { encoding: 'utf8' }).stdout,
      /found: line 2/,
      'hashed as ssh does',
    )
  })

  t.test('a lock file that a dead process left behind, by a clock that was ahead', async (t) => {
    const other = join(folder, 'other')
    writeFileSync(`${other}.lock`, '')
    utimesSync(`${other}.lock`, new Date('2100-01-01'), new Date('2100-01-01'))
    await checkHostKey('h3', hostKeysFor(new KnownHosts([other]), 'h3', 22, undefined, 'accept-new', false), blob)
    t.match(readFileSync(other, 'utf8'), /^h3 /)
  })

  t.test('what is no regular file remembers nothing, and stays as it is', async (t) => {
    const device = join(folder, 'null')
    if (spawnSync('sh', ['-c', 'mknod -m 666 "$1" c 1 3 && : < "$1"', 'sh', device]).status !== 0)
      return void t.pass('no devices can be made here')
    const known = new KnownHosts([device])
    const keys = hostKeysFor(known, 'h4', 22, undefined, 'accept-new', false)
    await checkHostKey('h4', keys, blob)
    t.equal(statSync(device).mode & 0o777, 0o666)
    t.ok(statSync(device).isCharacterDevice())
    await t.rejects(checkHostKey('h4', keys, B), sessionError('host_key', /CHANGED/), 'the key holds for this process')
    await t.rejects(pinHostKeys(device, 'h4', [`ssh-ed25519 ${blob.toString('base64')}`]), /is no regular file/)
    t.ok(statSync(device).isCharacterDevice(), 'nor is it replaced')
  })

  t.test('a file that cannot be read or written', async (t) => {
    const keys = (path: string) => hostKeysFor(new KnownHosts([path]), 'h5', 22, undefined, 'accept-new', false)
    // A folder, since root may read everything.
    await t.rejects(
      checkHostKey('h5', keys(folder), blob),
      sessionError('host_key', /whether the key of h5 is known cannot be told: EISDIR/),
    )
    await t.rejects(
      checkHostKey('h5', keys(join(folder, 'k', 'known_hosts')), blob),
      sessionError('host_key', /the key of h5 is not known, and cannot be recorded: E/),
    )
  })

  t.test('names hashed by ssh-keygen -H are found', async (t) => {
    spawnSync('ssh-keygen', ['-H', '-f', file])
    t.match(readFileSync(file, 'utf8'), /^\|1\|.*\n\|1\|/)
    const known = new KnownHosts([file])
    t.equal(known.check('[h1]:2222', 'h1', blob).verdict, 'ok')
    t.equal(known.check('[h1]:2222', 'h1', B).verdict, 'changed')
    t.equal(known.check('h2', 'h2', blob).verdict, 'ok')
    t.equal(known.check('h3', 'h3', blob).verdict, 'unknown')
  })
})
