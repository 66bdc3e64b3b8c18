import t from 'tap'
import { kubeadm } from '../../../src/module/index.ts'

const v = (text: string) => kubeadm.parseVersion(text)!

t.test('versions', (t) => {
  const rows: readonly (readonly [text: string, as: string | undefined])[] = [
    ['v1.34.4', 'v1.34.4'],
    ['1.34.4\n', 'v1.34.4'],
    ['v1.35.0-rc.1', 'v1.35.0-rc.1'],
    ['1.34', undefined],
    ['latest', undefined],
    ['v1.34.4; reboot', undefined],
  ]
  for (const [text, as] of rows) t.equal(kubeadm.parseVersion(text)?.text, as, text)
  t.throws(() => kubeadm.mustParse('stable', 'kubeadm version'), {
    message: /kubeadm version gives no version: "stable"/,
  })
  t.end()
})

t.test('the configuration API goes by the version of kubeadm', (t) => {
  t.equal(kubeadm.configApi(v('v1.30.14')), 'kubeadm.k8s.io/v1beta3')
  t.equal(kubeadm.configApi(v('v1.31.0')), 'kubeadm.k8s.io/v1beta4')
  t.end()
})

t.test('skew', (t) => {
  const can = (kubeadmVersion: string, cluster: string) =>
    kubeadm.kubeadmSkew(v(kubeadmVersion), v(cluster)) === undefined
  t.ok(can('1.34.4', '1.34.0'))
  t.ok(can('1.34.4', '1.33.9'))
  t.notOk(can('1.34.4', '1.32.0'))
  t.notOk(can('1.33.4', '1.34.0'))

  const serves = (kubelet: string, api: string) => kubeadm.kubeletSkew(v(kubelet), v(api)) === undefined
  t.ok(serves('1.31.0', '1.34.0'))
  t.notOk(serves('1.30.0', '1.34.0'), 'four minors behind')
  t.notOk(serves('1.24.0', '1.27.0'), 'before 1.25 it was two')
  t.notOk(serves('1.35.0', '1.34.0'), 'never newer')
  t.end()
})

t.test('upgrades go up, one minor at a time', (t) => {
  const rows: readonly (readonly [from: string, to: string, why: RegExp | undefined])[] = [
    ['1.33.4', '1.34.0', undefined],
    ['1.34.0', '1.34.4', undefined],
    ['1.34.4', '1.34.4', undefined],
    ['1.32.1', '1.34.0', /skips a minor version: go to the newest 1\.33 first/],
    ['1.34.4', '1.34.3', /cannot be taken back/],
    ['1.34.4', '2.0.0', /another major/],
  ]
  for (const [from, to, why] of rows) {
    const said = kubeadm.upgradeTrouble(v(from), v(to))
    if (why) t.match(said, why, `${from} to ${to}`)
    else t.equal(said, undefined, `${from} to ${to}`)
  }
  t.end()
})
