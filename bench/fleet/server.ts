/**
 * A light SSH server on loopback for the fleet bench: any key of the bench logs in, `exec` runs a real `sh`. Every
 * connection stands for a host of its own. Prints its port. Arguments: host key, public key that may log in.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import ssh2 from 'ssh2'

const [hostKey = '', allowed = ''] = process.argv.slice(2)
const key = ssh2.utils.parseKey(readFileSync(allowed))
if (key instanceof Error) throw key

const server = new ssh2.Server({ hostKeys: [readFileSync(hostKey)] }, (client) => {
  client.on('error', () => {})
  client.on('authentication', (auth) => {
    if (auth.method !== 'publickey' || !auth.key.data.equals(key.getPublicSSH())) return auth.reject(['publickey'])
    if (auth.signature && key.verify(auth.blob!, auth.signature, auth.hashAlgo) !== true) return auth.reject()
    auth.accept()
  })
  client.on('session', (accept) => {
    accept().on('exec', (acceptExec, _reject, { command }) => {
      const channel = acceptExec()
      const child = spawn('/bin/sh', ['-c', command], { stdio: 'pipe' })
      channel.on('error', () => {})
      child.stdin.on('error', () => {})
      channel.pipe(child.stdin)
      child.stdout.pipe(channel, { end: false })
      child.stderr.pipe(channel.stderr, { end: false })
      child.on('close', (code) => {
        channel.exit(code ?? 1)
        channel.end()
      })
      channel.on('close', () => child.stdin.end())
    })
  })
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`))
process.stdin.resume().on('end', () => process.exit(0))
