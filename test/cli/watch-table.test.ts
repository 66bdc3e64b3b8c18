import t from 'tap'
import { watchTable } from '../../src/cli/watch-table.ts'

const at = (name: string, time: number, more: Partial<Parameters<typeof watchTable>[0][number]> = {}) => ({
  ...{ name, phase: 'booting', last: 'GET /files/installer/initrd 200, 27 MB in 1552 ms', ago: '42s', at: time },
  next: "the installer's first report (gives up in 29m 13s)",
  ...more,
})

t.test('wide: everything', async (t) => {
  const lines = watchTable([at('n1', 1), at('storage-12', 2, { phase: 'reachable', next: '', ago: '4.0s' })], {
    columns: 160,
    rows: 24,
  })
  t.match(lines[0], /^MACHINE {5}PHASE {7}LAST +AGO {2}EXPECTED NEXT$/)
  t.match(lines[1], /^n1 .* in 1552 ms +42s {2}the installer's first report \(gives up in 29m 13s\)$/)
  t.match(lines[2], /^storage-12 {2}reachable .* 4\.0s$/)
  const column = lines[0]!.indexOf('AGO') + 3
  for (const line of lines.slice(1)) t.match(line.slice(0, column), /s$/, 'in columns')
})

t.test('80 columns: what should come, and for how long that is waited, stays', async (t) => {
  const lines = watchTable([at('n1', 1)], { columns: 80, rows: 24 })
  for (const line of lines) t.ok(line.length <= 80)
  t.match(lines[1], /^n1 +booting +GET \/files\/ins.*… +42s {2}the installer's first report$/)
})

t.test('too narrow for all of it', async (t) => {
  for (const line of watchTable([at('n1', 1)], { columns: 40, rows: 24 })) t.ok(line.length <= 40)
})

t.test('more machines than lines: those that do something', async (t) => {
  const many = Array.from({ length: 30 }, (_, i) => at(`n${i}`, i === 3 ? 1000 : i))
  const lines = watchTable(many, { columns: 80, rows: 10 })
  t.equal(lines.length, 9)
  t.same(
    lines.slice(1, -1).map((line) => line.split(' ')[0]),
    ['n3', 'n24', 'n25', 'n26', 'n27', 'n28', 'n29'],
  )
  t.equal(lines.at(-1), '… and 23 more that did nothing since; name those you want')
  t.equal(watchTable(many.slice(0, 8), { columns: 80, rows: 10 }).length, 9, 'none is left out that has room')
})
