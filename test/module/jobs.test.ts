import t from 'tap'
import { parseLook } from '../../src/module/jobs.ts'
import fc from '../property.ts'

t.test('what the host says of a job', async (t) => {
  const look = (text: string) => parseLook(Buffer.from(text))
  t.match(look('ended 3 12 2 1\nabc'), { state: 'ended', rc: 3, seconds: 12 })
  t.equal(String(look('running 0 -5 2 1\nabc')?.stdout), 'ab')
  t.equal(String(look('running 0 -5 2 1\nabc')?.stderr), 'c')
  t.equal(look('running 0 -5 2 1\nabc')?.seconds, 0, 'a clock that was put back')
  for (const wrong of ['', 'ended', 'sleeping 0 0 0 0\n', 'ended x 0 0 0\n', 'ended 0 0 0 0'])
    t.equal(look(wrong), undefined)
})

t.test('any output comes back as it was', async () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), fc.nat(255), (out, err, rc) => {
      const text = Buffer.concat([Buffer.from(`ended ${rc} 1 ${out.length} ${err.length}\n`), out, err])
      const look = parseLook(text)!
      return look.stdout.equals(Buffer.from(out)) && look.stderr.equals(Buffer.from(err)) && look.rc === rc
    }),
  )
})

t.test('anything else does no harm', async () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      parseLook(Buffer.from(bytes))
    }),
  )
})
