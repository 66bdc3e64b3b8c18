/** Orders from the examples of rpm's own tests/rpmvercmp.at and of rpm-version(7). */
import t from 'tap'
import { compareRpm } from '../../src/module/reads/rpm-version.ts'

const rows: readonly (readonly [string, string, number])[] = [
  ['1.0', '1.0', 0],
  ['1.0', '2.0', -1],
  ['2.0.1', '2.0', 1],
  ['2.0.1a', '2.0.1', 1],
  ['5.5p1', '5.5p10', -1],
  ['10xyz', '10.1xyz', -1],
  ['xyz10', 'xyz10.1', -1],
  ['xyz.4', '8', -1],
  ['1.0~rc1', '1.0', -1],
  ['1.0~rc1', '1.0~rc2', -1],
  ['1.0^', '1.0', 1],
  ['1.0^git1', '1.0^git2', -1],
  ['1.0^git1', '1.01', -1],
  ['1.0~rc1^git1', '1.0~rc1', 1],
  ['20101121', '20101122', -1],
  ['1.05', '1.5', 0],
  ['1:1.0-1', '2.0-1', 1],
  ['1.0-1', '1.0-2', -1],
  ['1.0-10.el9', '1.0-9.el9', 1],
]
for (const [a, b, order] of rows) {
  t.equal(compareRpm(a, b), order, `${a} ${b}`)
  t.equal(compareRpm(b, a), -order || 0, `${b} ${a}`)
}
