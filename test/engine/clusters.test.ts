import t from 'tap'
import { Clusters, type Ways } from '../../src/engine/clusters.ts'
import { SessionError, type Shell } from '../../src/session/session.ts'
import { Redactor } from '../../src/shared/redact.ts'

const KUBECONFIG = `apiVersion: v1
kind: Config
clusters: [{ name: c, cluster: { server: 'https://192.0.2.1:6443' } }]
users: [{ name: u, user: { token: only-a-test } }]
contexts: [{ name: x, context: { cluster: c, user: u } }]
current-context: x
`
const PATH = '/etc/kubernetes/admin.conf'

/** `has`: hosts with a kubeconfig; others have none, and `off` are off. */
function waysOf(self: string, has: readonly string[], asked: string[], off: readonly string[] = []): Ways {
  return {
    self,
    path: (path) => path,
    async shell(host) {
      asked.push(host)
      if (off.includes(host)) throw new SessionError('lost', host, `${host} is off`)
      const answer = has.includes(host)
        ? { rc: 0, stdout: Buffer.from(KUBECONFIG), stderr: Buffer.alloc(0) }
        : { rc: 66, stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) }
      return { run: async () => answer } as unknown as Shell
    },
  }
}

t.test('a kubeconfig is read once, whoever asks in which way', async (t) => {
  using clusters = new Clusters(new Redactor())
  const asked: string[] = []
  const ways = waysOf('n1', ['n1', 'n2'], asked)
  const own = await clusters.get({ path: PATH }, ways)
  t.equal(await clusters.get({ hosts: ['n1', 'n2'], path: PATH }, ways), own)
  t.equal(await clusters.get({ hosts: ['n1', 'n2'], path: PATH }, { ...ways, self: 'n3' }), own)
  t.same(asked, ['n1'])
  t.not(await clusters.get({ path: PATH }, ways, true), own, 'read again when it is another cluster since')
  t.same(asked, ['n1', 'n1'])
})

t.test('who has none, or is off, is passed over', async (t) => {
  using clusters = new Clusters(new Redactor())
  const asked: string[] = []
  const ways = waysOf('n4', ['n3'], asked, ['n1'])
  const several = { hosts: ['n1', 'n2', 'n3'], path: PATH }
  const cluster = await clusters.get(several, ways)
  t.equal(await clusters.get(several, ways), cluster)
  t.same(asked, ['n1', 'n2', 'n3'], 'each is asked once')
  await t.rejects(clusters.get({ hosts: ['n1', 'n2'], path: PATH }, ways), {
    name: 'NoCluster',
    message: /n1: n1 is off; n2: has no \/etc/,
  })
  await t.rejects(clusters.get({ hosts: ['n1'], path: PATH }, ways), SessionError)
})
