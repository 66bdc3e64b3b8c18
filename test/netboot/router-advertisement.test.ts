/** Router Advertisements, and the kernel of a machine that believes them. */
import t, { type Test } from 'tap'
import { labTest, Namespace } from './lab.ts'
import { missing } from './namespace.ts'

t.setTimeout(120_000)

/** Runs the advertiser until its standard input ends. */
const ADVERTISE = `
import { RouterAdvertiser } from '${new URL('../../src/netboot/router-advertisement.ts', import.meta.url)}'
using one = new RouterAdvertiser(process.argv.slice(1), (message) => console.log(message))
one.start()
const timer = setInterval(() => console.log(JSON.stringify(one.counters)), 100)
await new Promise((done) => process.once('SIGTERM', done))
clearInterval(timer)
`

function wire(t: Test) {
  const [server, client] = [new Namespace(t), new Namespace(t)]
  server.join('sv0', undefined, client, 'cv0')
  const advertise = () => {
    const child = server.start(process.execPath, ['--input-type=module', '-e', ADVERTISE, 'sv0'])
    let out = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text) => {
        out += text
      })
    }
    return { child, out: () => out }
  }
  const count = async (space: Namespace, name: string): Promise<number> => {
    const { out } = await space.run('cat', ['/proc/net/snmp6'])
    return Number(new RegExp(`^Icmp6${name}\\s+(\\d+)`, 'm').exec(out)?.[1])
  }
  const until = async (what: () => Promise<boolean>, seconds = 40): Promise<boolean> => {
    for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
      if (await what()) return true
      await new Promise((done) => setTimeout(done, 200))
    }
    return false
  }
  return { server, client, advertise, count, until }
}

labTest('a Linux host stops asking once it is told, and has no router', ['perl'], async (t) => {
  const { client, advertise, count, until } = wire(t)
  // Asks every four seconds for as long as nobody answers (net.ipv6.conf.*.router_solicitations is -1).
  t.ok(await until(async () => (await count(client, 'OutRouterSolicits')) >= 2), 'nobody answers: asked again')
  const { child, out } = advertise()
  t.ok(await until(async () => (await count(client, 'InRouterAdvertisements')) >= 1), out())
  t.ok(await until(async () => /"answered":1/.test(out())), out())
  const asked = await count(client, 'OutRouterSolicits')
  await new Promise((done) => setTimeout(done, 10_000))
  t.equal(await count(client, 'OutRouterSolicits'), asked, 'the advertisement was taken for one')
  t.equal((await client.run('ip', ['-6', 'route', 'show', 'default'])).out, '', 'and not for a router')
  t.equal(await count(client, 'InErrors'), 0)
  const ended = new Promise((done) => child.once('close', done))
  child.kill('SIGTERM')
  await ended
})

// The one above has a kernel as its peer; this one only shows more.
t.test('what goes over the wire', { skip: missing('perl', 'tcpdump') ?? false }, async (t) => {
  const { client, advertise, until } = wire(t)
  const dump = client.start('tcpdump', ['-l', '-n', '-v', '-i', 'cv0', 'icmp6 and ip6[40] == 134'])
  let seen = ''
  dump.stdout?.setEncoding('utf8').on('data', (text) => {
    seen += text
  })
  advertise()
  t.ok(await until(async () => /router lifetime 0s/.test(seen)), seen)
  t.match(seen, /hlim 255.*fe80::.* > (fe80::|ff02::1).*router advertisement/s)
  t.match(seen, /hop limit 0, Flags \[none\], pref medium, router lifetime 0s, reachable time 0ms, retrans timer 0ms/)
})

labTest('an interface that is not there', ['perl'], async (t) => {
  const { server, advertise, until } = wire(t)
  server.ip('link del sv0')
  const { out } = advertise()
  t.ok(await until(async () => /Router Advertisements: there is no interface sv0/.test(out())), out())
})
