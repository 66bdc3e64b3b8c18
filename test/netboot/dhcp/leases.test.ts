import { spawn, spawnSync } from 'node:child_process'
import { appendFileSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Ip4, parseIp4, parseSubnet } from '../../../src/netboot/address.ts'
import { Journal } from '../../../src/netboot/dhcp/journal.ts'
import { type Lease, Leases, LeaseTable } from '../../../src/netboot/dhcp/leases.ts'
import type { Network } from '../../../src/netboot/dhcp/network.ts'
import fc from '../../property.ts'

const ip = (text: string): Ip4 => parseIp4(text)!
const bound = (n: number, address: string, expires = 2_000_000_000_000): Lease => ({
  mac: `52:54:00:00:00:${n.toString(16).padStart(2, '0')}`,
  address: ip(address),
  state: 'bound',
  expires,
})
const pool = (from: string, to: string): Network => ({
  name: 'n',
  subnet: parseSubnet('10.0.0.0/16')!,
  pools: [{ from: ip(from), to: ip(to) }],
})

t.test('leases come back after a restart', async (t) => {
  const path = join(t.testdir(), 'leases')
  const leases = await Leases.open(path)
  const offer: Lease = { ...bound(9, '10.0.0.9'), state: 'offered' }
  t.equal(leases.set(offer), undefined, 'an offer needs no disk')
  await Promise.all([
    leases.set(bound(1, '10.0.0.1')),
    leases.set(bound(2, '10.0.0.2')),
    leases.set({ ...bound(0, '10.0.0.3'), mac: '', state: 'declined' }),
    leases.set(bound(1, '10.0.0.4')), // moved
    leases.set(bound(3, '10.0.0.2')), // taken over
  ])
  await leases.close()
  await using again = await Leases.open(path)
  t.strictSame(
    [...again],
    [{ ...bound(0, '10.0.0.3'), mac: '', state: 'declined' }, bound(1, '10.0.0.4'), bound(3, '10.0.0.2')],
  )
  t.equal(again.of(offer.mac), undefined)
  t.equal(again.of(bound(2, '').mac), undefined)
  t.equal(again.damaged, 0)
})

t.test('whatever happened, what was durable comes back', async (t) => {
  const dir = t.testdir()
  let n = 0
  const lease = fc
    .record({
      who: fc.integer({ min: 0, max: 5 }),
      address: fc.integer({ min: 0, max: 5 }),
      state: fc.constantFrom('bound', 'declined', 'offered'),
    })
    .map(({ who, address, state }): Lease => {
      const base = bound(who, `10.0.0.${address}`)
      return state === 'bound' ? base : { ...base, state, mac: state === 'declined' ? '' : base.mac }
    })
  await fc.assert(
    fc.asyncProperty(fc.array(lease, { maxLength: 30 }), fc.nat(60), async (changes, cut) => {
      const path = join(dir, `leases-${n++}`)
      // A table without offers is what the journal has to lead to.
      const expected = new LeaseTable()
      const leases = await Leases.open(path)
      for (const change of changes) {
        if (change.state !== 'offered') expected.set(change)
        await leases.set(change)
      }
      await leases.close()
      // The power goes while one more line is written.
      appendFileSync(path, 'bound 52:54:00:00:00:77 10.0.0.77 1999999999 and more than that'.slice(0, cut))
      const again = await Leases.open(path)
      t.strictSame(new Set(again), new Set(expected))
      t.equal(again.damaged, 0)
      await again.set(bound(9, '10.0.0.99'))
      await again.close()
      const last = await Leases.open(path)
      t.equal(last.of(bound(9, '').mac)?.address, ip('10.0.0.99'))
      t.equal(last.damaged, 0)
      await last.close()
    }),
    { numRuns: 40 },
  )
})

t.test('damaged lines are counted and passed over', async (t) => {
  const path = join(t.testdir(), 'leases')
  writeFileSync(path, 'bound 52:54:00:00:00:01 10.0.0.1 2000000000\n\0\0\0\0\nbound x 10.0.0.300 12\n')
  await using leases = await Leases.open(path)
  t.equal(leases.damaged, 2)
  t.strictSame([...leases], [bound(1, '10.0.0.1')])
})

t.test('the journal shrinks when it is much longer than the leases need', async (t) => {
  const path = join(t.testdir(), 'leases')
  const leases = await Leases.open(path)
  const renewals: (Promise<void> | undefined)[] = []
  for (let i = 0; i < 60_000; i++) renewals.push(leases.set(bound(i % 100, `10.0.0.${i % 100}`)))
  await Promise.all(renewals)
  for (let i = 0; i < 100; i++) await leases.set(bound(i, `10.0.1.${i}`))
  await leases.close()
  t.ok(statSync(path).size < 100_000, `${statSync(path).size} bytes`)
  await using again = await Leases.open(path)
  t.equal([...again].length, 100)
  for (const lease of again) t.ok(lease.address >= ip('10.0.1.0'))
})

t.test('a disk that is nearly full takes leases to its last block', async (t) => {
  const path = join(t.testdir(), 'leases')
  // In blocks of 512 bytes: 50 KiB, a thousand lines. The signal ignored, such a write fails as on a full disk.
  const code = `
    const { Leases } = await import(${JSON.stringify(import.meta.resolve('../../../src/netboot/dhcp/leases.ts'))})
    const leases = await Leases.open(${JSON.stringify(path)})
    let written = 0
    for (let i = 0; i < 2000; i++) {
      const lease = { mac: '52:54:00:00:00:00', address: 0x0a000001, state: 'bound', expires: 2e12 }
      if (await leases.set(lease).then(() => true, () => false)) written++
    }
    console.log(written)`
  const node = [process.execPath, '--input-type=module', '-e', code]
  // What tap has children load writes longer files.
  const { stdout, stderr } = spawnSync(
    'sh',
    ['-c', 'unset NODE_OPTIONS; trap "" XFSZ; ulimit -f 100; exec "$@"', 'sh', ...node],
    {
      encoding: 'utf8',
    },
  )
  t.ok(Number(stdout) > 900 && Number(stdout) < 1200, `${stdout} lines; ${stderr}`)
  await using leases = await Leases.open(path)
  t.strictSame([leases.damaged, [...leases].length], [0, 1])
})

t.test('a process that is killed loses nothing that it was told is safe', async (t) => {
  const path = join(t.testdir(), 'leases')
  const script = `
    import { Leases } from ${JSON.stringify(new URL('../../../src/netboot/dhcp/leases.ts', import.meta.url).href)}
    const leases = await Leases.open(process.argv[1])
    const mac = (n) => '52:54:00:00:' + (n >> 8).toString(16).padStart(2, '0') + ':' + (n & 255).toString(16).padStart(2, '0')
    for (let n = 0; ; n++) {
      leases.set({ mac: mac(n & 0xffff), address: 0x0a000000 + (n & 0xffff), state: 'bound', expires: 2e12 })
        .then(() => process.stdout.write(n + '\\n'))
      if (n % 50 === 0) await new Promise((done) => setTimeout(done, 1))
    }`
  for (let round = 0; round < 3; round++) {
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script, path])
    let told = ''
    child.stdout.on('data', (text) => {
      told += text
    })
    const ended = new Promise((done) => child.on('close', done))
    await new Promise((done) => child.stdout.once('data', done))
    await new Promise((done) => setTimeout(done, 100 * (round + 1)))
    child.kill('SIGKILL')
    await ended
    const safe = told.slice(0, told.lastIndexOf('\n')).split('\n').map(Number)
    t.ok(safe.length > 50, `${safe.length} leases were confirmed`)
    await using leases = await Leases.open(path)
    t.equal(leases.damaged, 0)
    t.strictSame(
      safe.filter((n) => leases.at(0x0a000000 + (n & 0xffff)) === undefined),
      [],
    )
  }
})

t.test('pools', async (t) => {
  const now = 1000
  const table = new LeaseTable((address) => address === ip('10.0.0.2'))
  const network = pool('10.0.0.1', '10.0.0.3')
  const take = (n: number, expires: number): Ip4 | undefined => {
    const address = table.free(network, undefined, now)
    if (address !== undefined) table.set({ ...bound(n, '10.0.0.0'), address, expires })
    return address
  }
  t.equal(take(1, 2000), ip('10.0.0.1'))
  t.equal(take(2, 3000), ip('10.0.0.3'), 'a configured address is left out')
  t.equal(take(3, 9000), undefined, 'full')
  t.equal(table.free(network, ip('10.0.0.2'), now), undefined, 'nor can it be had by wanting it')
  t.equal(table.free(network, undefined, 1999), undefined)
  t.equal(table.free(network, undefined, 2000), ip('10.0.0.1'), 'the first to expire')
  t.equal(table.free(network, ip('10.0.0.3'), 2500), ip('10.0.0.1'), 'wanting does not take it from its holder')
  table.set({ ...bound(2, '10.0.0.3'), expires: 1500 })
  t.equal(table.free(network, undefined, 1600), ip('10.0.0.3'), 'given back early')
})

t.test('a disk that cannot take a line', async (t) => {
  // A limit on the size of files fails a write half-way, as a disk that is full does.
  const path = join(t.testdir(), 'leases')
  const script = `
    import { Journal } from ${JSON.stringify(new URL('../../../src/netboot/dhcp/journal.ts', import.meta.url).href)}
    process.on('SIGXFSZ', () => {})
    const journal = await Journal.open(process.argv[1], () => {})
    const results = []
    for (let i = 0; i < 3; i++) results.push(await journal.append('line ' + i + ' ' + 'x'.repeat(i * 3000000)).then(() => 'safe', (e) => e.code))
    results.push(await journal.append('last').then(() => 'safe', (e) => e.code))
    console.log(results.join(' '))
    // As in a crash: closing it would cut off what is behind the last line.
    process.exit()`
  const node = [process.execPath, '--input-type=module-typescript', '-e', script, path]
  const child = spawn('bash', ['-c', 'ulimit -f 2048; exec "$@"', 'bash', ...node])
  let out = ''
  child.stdout.on('data', (text) => {
    out += text
  })
  child.stderr.pipe(process.stderr)
  await new Promise((done) => child.on('close', done))
  t.equal(out.trim(), 'safe EFBIG EFBIG safe')
  const bytes = readFileSync(path)
  const text = bytes.toString('utf8', 0, bytes.findLastIndex((byte) => byte !== 0) + 1)
  t.ok(text === 'line 0 \nlast\n', `nothing of the lines that failed: ${text.length} characters`)
})

t.test('lines appended while a write is under way share the next one', async (t) => {
  const path = join(t.testdir(), 'journal')
  const journal = await Journal.open(path, () => {})
  const batches = new Set(Array.from({ length: 1000 }, (_, i) => journal.append(`line ${i}`)))
  t.ok(batches.size <= 2, `${batches.size} writes for 1000 lines`)
  await Promise.all(batches)
  await journal.close()
  const lines: string[] = []
  const again = await Journal.open(path, (line) => lines.push(line))
  await again.close()
  t.strictSame(
    lines,
    Array.from({ length: 1000 }, (_, i) => `line ${i}`),
  )
  truncateSync(path, 10)
  const cut: string[] = []
  await (await Journal.open(path, (line) => cut.push(line))).close()
  t.strictSame(cut, ['line 0'])
})
