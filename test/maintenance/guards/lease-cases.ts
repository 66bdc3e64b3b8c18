/** What the locks rely on, put to an API server: the fake one and the real one have to answer the same. */
import type { Transport } from '../../../src/kubernetes/index.ts'
import { KubernetesError } from '../../../src/shared/kubernetes.ts'

const FOLDER = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases'
const NAME = 'runbook-test-lease'
const labels = { 'app.kubernetes.io/managed-by': 'runbook-test' }

/** Each request in one line, with what was answered. */
export async function leaseAnswers(transport: Transport): Promise<string[]> {
  const said: string[] = []
  const versions: string[] = []
  const send = async (
    what: string,
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
    path: string,
    body?: object,
    query?: Record<string, string>,
  ): Promise<unknown> => {
    try {
      const answer = await transport.send<{ metadata?: { resourceVersion?: string } }>({
        method,
        path,
        body,
        ...(method === 'PATCH' ? { contentType: 'application/merge-patch+json' } : {}),
        ...(query ? { query } : {}),
      })
      const version = answer.metadata?.resourceVersion
      if (version !== undefined && method !== 'GET') versions.push(version)
      said.push(`${what}: ok`)
      return answer
    } catch (error) {
      if (!(error instanceof KubernetesError)) throw error
      said.push(`${what}: ${error.status} ${error.reason}`)
      return undefined
    }
  }
  const lease = (version: string | undefined, spec: object, name = NAME): object => ({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      name,
      namespace: 'kube-system',
      labels,
      annotations: { a: '{"x":1}' },
      ...(version ? { resourceVersion: version } : {}),
    },
    spec,
  })
  const micro = '2026-11-21T03:00:00.123456Z'
  const one = `${FOLDER}/${NAME}`
  await send('change what is not there', 'PATCH', one, lease('1', {}))
  await send('delete what is not there', 'DELETE', one, { kind: 'DeleteOptions', apiVersion: 'v1' })
  await send('create with milliseconds', 'POST', FOLDER, lease(undefined, { renewTime: '2026-11-21T03:00:00.123Z' }))
  await send(
    'create',
    'POST',
    FOLDER,
    lease(undefined, { holderIdentity: 'a', leaseDurationSeconds: 60, renewTime: micro, leaseTransitions: 7 }),
  )
  await send('create again', 'POST', FOLDER, lease(undefined, {}))
  await send('change', 'PATCH', one, lease(versions.at(-1), { holderIdentity: 'b', renewTime: micro }))
  const old = versions.at(-2)!
  await send('change the version before', 'PATCH', one, lease(old, { holderIdentity: 'c' }))
  const got = (await send('get', 'GET', one)) as { metadata: { annotations: object }; spec: object }
  said.push(JSON.stringify([got.metadata.annotations, Object.fromEntries(Object.entries(got.spec).sort())]))
  const list = (await send('list', 'GET', FOLDER, undefined, {
    labelSelector: 'app.kubernetes.io/managed-by=runbook-test',
    limit: '500',
  })) as {
    items: { metadata: { name: string } }[]
  }
  said.push(JSON.stringify(list.items.map(({ metadata }) => metadata.name)))
  const options = (version: string): object => ({
    kind: 'DeleteOptions',
    apiVersion: 'v1',
    preconditions: { resourceVersion: version },
  })
  await send('delete the version before', 'DELETE', one, options(old))
  await send('delete', 'DELETE', one, options(versions.at(-1)!))
  await send('change what was deleted', 'PATCH', one, lease(versions.at(-1), {}))
  await send('create where there is no namespace', 'POST', FOLDER.replace('kube-system', 'none'), {
    ...lease(undefined, {}),
    metadata: { name: NAME, namespace: 'none' },
  })
  return said
}

export const EXPECTED = [
  'change what is not there: 404 NotFound',
  'delete what is not there: 404 NotFound',
  'create with milliseconds: 400 BadRequest',
  'create: ok',
  'create again: 409 AlreadyExists',
  'change: ok',
  'change the version before: 409 Conflict',
  'get: ok',
  '[{"a":"{\\"x\\":1}"},{"holderIdentity":"b","leaseDurationSeconds":60,"leaseTransitions":7,"renewTime":"2026-11-21T03:00:00.123456Z"}]',
  'list: ok',
  '["runbook-test-lease"]',
  'delete the version before: 409 Conflict',
  'delete: ok',
  'change what was deleted: 404 NotFound',
  'create where there is no namespace: 404 NotFound',
]
