/** An interface that has no address yet when the server starts, and one that loses it for a while. */
import { join } from 'node:path'
import t from 'tap'
import { labTest, Namespace } from './lab.ts'

t.setTimeout(180_000)

const BIN = join(import.meta.dirname, '../../bin/runbook.js')

labTest('curl and tftp reach an address that came later than the server', ['curl'], async (t) => {
  const folder = t.testdir({
    'netboot.yml': `
interfaces: [sv0, sv1]
networks: [{subnet: 10.77.0.0/24}, {subnet: 10.88.0.0/24}]
files: boot
`,
    'inventory.yml': 'all: {hosts: {n1: {netboot_mac: "52:54:00:77:00:01"}}}',
    boot: { kernel: 'the kernel' },
  })
  const server = new Namespace(t)
  const client = new Namespace(t)
  server.join('sv0', '10.77.0.1/24', client, 'cv0', '10.77.0.9/24')
  server.join('sv1', undefined, client, 'cv1', '10.88.0.9/24')
  client.ip('link set cv1 up')
  const files = ['-c', join(folder, 'netboot.yml'), '-i', join(folder, 'inventory.yml')]
  const child = server.start(process.execPath, [BIN, 'netboot', 'serve', ...files])
  let out = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text) => {
      out += text
    })
  const get = async (address: string): Promise<string> => {
    let got = ''
    for (let i = 0; i < 40; i++) {
      const http = await client.run('curl', ['-sS', '-m', '5', `http://${address}/files/kernel`])
      const tftp = await client.run('curl', ['-sS', '-m', '5', `tftp://${address}/kernel`])
      got = `${http.out}, ${tftp.out}`
      if (http.code === 0 && tftp.code === 0) break
      await new Promise((done) => setTimeout(done, 200))
    }
    return got
  }
  t.match(await get('10.77.0.1'), /^the kernel, the kernel$/)
  t.match(out, /sv1 has no address or no carrier: no service there yet/)
  server.ip('addr add 10.88.0.1/24 dev sv1')
  t.match(await get('10.88.0.1'), /^the kernel, the kernel$/)
  server.ip('addr del 10.77.0.1/24 dev sv0')
  await new Promise((done) => setTimeout(done, 3000))
  server.ip('addr add 10.77.0.1/24 dev sv0')
  t.match(await get('10.77.0.1'), /^the kernel, the kernel$/)
  t.notMatch(out, /cannot listen/)
  child.kill('SIGTERM')
  t.equal(await new Promise((done) => child.on('exit', done)), 0)
})
