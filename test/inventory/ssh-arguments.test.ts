import t from 'tap'
import { parseSshArguments } from '../../src/inventory/ssh-arguments.ts'

const rows: readonly (readonly [string, ReturnType<typeof parseSshArguments>])[] = [
  ['', []],
  ['-o ProxyJump=bastion', [['proxyjump', 'bastion']]],
  [
    '-oProxyJump=bastion -J b,c',
    [
      ['proxyjump', 'bastion'],
      ['proxyjump', 'b,c'],
    ],
  ],
  [
    '-o "UserKnownHostsFile=/a b/known" -i ~/.ssh/key',
    [
      ['userknownhostsfile', '/a b/known'],
      ['identityfile', '~/.ssh/key'],
    ],
  ],
  ["-o 'Port 2222' -C -o Compression=yes", [['port', '2222']]],
  [
    '-o ControlMaster=auto -o ControlPersist=60s -o ControlPath=~/.ssh/%C',
    [
      ['controlmaster', 'auto'],
      ['controlpersist', '60s'],
      ['controlpath', '~/.ssh/%C'],
    ],
  ],
  ['-o UserKnownHostsFile="/a b"', [['userknownhostsfile', '/a b']]],
  ['-W %h:%p', '"-W" is not supported'],
  ['-o Ciphers=aes', 'the option Ciphers is not supported'],
]

for (const [text, expected] of rows) t.strictSame(parseSshArguments(text), expected, text)
