import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { parseJump } from '../../src/session/connect.ts'
import { lookupHost } from '../../src/session/ssh-config.ts'

const folder = mkdtempSync(join(tmpdir(), 'session-config-'))
t.teardown(() => rmSync(folder, { recursive: true }))
let files = 0
function configFile(text: string): string {
  const file = join(folder, `config-${files++}`)
  writeFileSync(file, text)
  return file
}

writeFileSync(join(folder, 'included-1'), 'Host inc*\n  User included\nHost *\n  Port 2001\n')
writeFileSync(join(folder, 'included-2'), 'User second\nHost db1\n  HostName fromtwo\n')

const CONFIGS: Record<string, string> = {
  'the first value wins': 'Host a\n  Port 1\n  User one\nHost *\n  Port 2\n  User two\n  HostName %h.example\n',
  'keywords in any case, equals signs, quotes':
    'hOsT = a\n  pOrT=77\n  USER "some one"\n  identityfile = "/tmp/my key"\n',
  patterns: 'Host *.lab !bad.lab\n  User lab\nHost n?\n  User short\nHost 10.0.0.*\n  User ten\n',
  'identity files add up':
    'IdentityFile ~/.ssh/one\nHost a\n  IdentityFile %d/.ssh/%h-%r-%n\n  IdentitiesOnly yes\nHost *\n  IdentityFile /abs/%%x\n',
  'jump hosts': 'Host a\n  ProxyJump one@j1:22,j2\nHost *\n  ProxyJump none\n',
  'known_hosts files':
    'Host a\n  UserKnownHostsFile ~/x /tmp/%h.known\n  GlobalKnownHostsFile /etc/a /etc/b\n  HostKeyAlias alias\n  StrictHostKeyChecking accept-new\nHost *\n  HashKnownHosts yes\n',
  'an include': `Include ${folder}/included-1\nHost *\n  User outer\n`,
  'an include by pattern': `Include ${folder}/included-*\nUser outer\n`,
  'an include inside a block': `Host db1\n  Include ${folder}/included-2\nHost *\n  User outer\n  HostName x\n`,
  match:
    'Match host a\n  User byhost\nMatch originalhost n1,n2 user root\n  Port 99\nMatch !host a\n  Port 98\nMatch all\n  Port 97\n',
  'match by the name after HostName':
    'Host a\n  HostName real\nMatch host real\n  User real\nMatch originalhost real\n  User wrong\n',
  'match exec': 'Match exec "test %n = a"\n  User yes\nMatch exec false\n  Port 9\n',
  'match final': 'Match final host a\n  User final\nHost *\n  Port 5\n',
  'match user': 'Host n1\n  User deploy\nMatch user deploy\n  Port 8022\n',
  comments: '# Host a\nHost a # the first\n  # Port 1\n  Port 5022 # comment\n\n  User x\n',
  'the connection timeout': 'ConnectTimeout 7\n',
}
const NAMES = ['a', 'n1', 'db1', 'x.lab', 'bad.lab', '10.0.0.9', 'inc1', 'real']

const noSsh = spawnSync('ssh', ['-V']).error ? 'ssh is not installed' : false

t.test('the same as ssh -G', { skip: noSsh }, async (t) => {
  for (const [title, text] of Object.entries(CONFIGS)) {
    const file = configFile(text)
    for (const name of NAMES) {
      const run = spawnSync('ssh', ['-G', '-F', file, name], { encoding: 'utf8' })
      t.equal(run.status, 0, run.stderr)
      const theirs = new Map<string, string[]>()
      for (const line of run.stdout.split('\n')) {
        const space = line.indexOf(' ')
        const key = line.slice(0, space)
        theirs.set(key, [...(theirs.get(key) ?? []), line.slice(space + 1)])
      }
      const one = (key: string) => theirs.get(key)?.[0]
      const ours = lookupHost(name, file)
      const said = `${title}: ${name}`
      t.equal(ours.hostName, one('hostname'), `${said}: HostName`)
      t.equal(ours.user ?? process.env.USER ?? 'root', one('user'), `${said}: User`)
      t.equal(String(ours.port ?? 22), one('port'), `${said}: Port`)
      t.equal(ours.identitiesOnly ? 'yes' : 'no', one('identitiesonly'), `${said}: IdentitiesOnly`)
      t.equal(ours.proxyJump.join(',') || undefined, one('proxyjump'), `${said}: ProxyJump`)
      t.equal(ours.hostKeyAlias, one('hostkeyalias'), `${said}: HostKeyAlias`)
      t.equal(ours.hashKnownHosts ? 'yes' : 'no', one('hashknownhosts'), `${said}: HashKnownHosts`)
      t.equal(
        ours.connectTimeoutMs === undefined ? 'none' : String(ours.connectTimeoutMs / 1000),
        one('connecttimeout') ?? 'none',
        said,
      )
      // ssh -G leaves tokens and ~ in the names of files as they are.
      t.equal(
        ours.userKnownHostsFiles.length,
        one('userknownhostsfile')?.split(' ').length,
        `${said}: UserKnownHostsFile`,
      )
      t.equal(ours.globalKnownHostsFiles.join(' '), one('globalknownhostsfile'), `${said}: GlobalKnownHostsFile`)
      if (ours.identityFiles.length > 0)
        t.equal(ours.identityFiles.length, theirs.get('identityfile')?.length, `${said}: IdentityFile`)
      const strict = one('stricthostkeychecking')
      if (ours.strictHostKeyChecking) t.equal(ours.strictHostKeyChecking, strict, `${said}: StrictHostKeyChecking`)
    }
  }
})

t.test('tokens in the names of files', async (t) => {
  const file = configFile(CONFIGS['identity files add up']!)
  t.strictSame(lookupHost('a', file, 'deploy').identityFiles, [
    join(homedir(), '.ssh/one'),
    join(homedir(), '.ssh/a-deploy-a'),
    '/abs/%x',
  ])
  const known = lookupHost('a', configFile(CONFIGS['known_hosts files']!))
  t.strictSame(known.userKnownHostsFiles, [join(homedir(), 'x'), '/tmp/a.known'])
})

t.test('no configuration', async (t) => {
  t.match(lookupHost('h1', 'none'), { hostName: 'h1', user: undefined, port: undefined, proxyJump: [] })
  t.throws(() => lookupHost('h1', join(folder, 'missing')), {
    name: 'UserError',
    message: /cannot read the ssh configuration/,
  })
  t.throws(() => lookupHost('h1', configFile('Match tagged x\n  User y\n')), {
    name: 'UserError',
    message: /Match tagged/,
  })
})

t.test('words of ProxyJump', async (t) => {
  const table: [text: string, user: string | undefined, host: string, port: number | undefined][] = [
    ['j', undefined, 'j', undefined],
    ['me@j:2222', 'me', 'j', 2222],
    ['me@corp@j', 'me@corp', 'j', undefined],
    ['[fe80::1]:22', undefined, 'fe80::1', 22],
    ['ssh://me@j:9', 'me', 'j', 9],
  ]
  for (const [text, user, host, port] of table) t.strictSame(parseJump(text), { host, user, port }, text)
  t.throws(() => parseJump('j:x'), { name: 'UserError' })
})
