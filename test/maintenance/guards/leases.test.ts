import t from 'tap'
import { REAL_CLOCK } from '../../../src/kubernetes/drain/clock.ts'
import { EXPECTED, leaseAnswers } from './lease-cases.ts'
import { Site } from './setting.ts'

t.test('the fake API answers as the real one does (guards.kubernetes.test.ts)', async (t) => {
  t.same(await leaseAnswers(new Site(t).world.transport(REAL_CLOCK)), EXPECTED)
})
