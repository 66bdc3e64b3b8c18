/** `npm run demo -- kubernetes`: three bare hosts become a cluster by the shipped playbooks, and pods reach each other. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { step, title } from '../demo-step.ts'
import { listLabs, removeLab } from '../registry.ts'
import { kubectl } from './cluster.ts'
import { findGo } from './go.ts'
import { bootKubernetesLab, type KubernetesLab } from './index.ts'
import { writeInventory } from './inventory.ts'

const MANIFEST = path.join(import.meta.dirname, 'manifests/hello.yml')

/** `name` is the lab's; one that is up from before goes. */
export async function kubernetesDemo(name: string): Promise<void> {
  if (!findGo()) {
    process.stderr.write(
      'This demo builds Kubernetes from its sources, and needs Go 1.25 or later: https://go.dev/dl/\n',
    )
    process.exit(3)
  }
  if ((await listLabs()).some((lab) => lab.name === name)) {
    title(`A lab ${name} is up from before; it goes first`)
    await removeLab(name)
  }
  title('Three hosts with systemd and sshd, Kubernetes’ programs as its packages bring them, nothing configured')
  process.stdout.write('  The first time Kubernetes is built for it: about ten minutes on two cores.\n\n')
  const site = await bootKubernetesLab({ controlPlanes: 1, workers: 2, name, keep: true })
  const inventory = await writeInventory(site)
  for (const host of site.lab.hosts) process.stdout.write(`  ${host.name}  ${host.address}\n`)

  const apply = ['npx', 'runbook', 'apply', 'playbooks/site.yml', '-i', inventory]
  const started = performance.now()
  step('From bare hosts to a cluster', apply)
  process.stdout.write(`\n  three nodes Ready after ${((performance.now() - started) / 1000).toFixed(0)} s\n`)
  // So that kubectl on the first host needs no more words.
  await site.lab.exec('n1', [
    'sh',
    '-c',
    'mkdir -p /root/.kube && ln -sf /etc/kubernetes/admin.conf /root/.kube/config',
  ])
  const onFirst = ['npm', 'run', '-s', 'lab', '--', 'ssh', '--name', name, '1']
  step('The nodes', [...onFirst, 'kubectl', 'get', 'nodes', '-o', 'wide'])
  await podsReachEachOther(site)
  step('Apply the playbook again: nothing is left to do', apply)

  process.stdout.write(`
Look around:
  npm run lab -- ssh --name ${name} 1 kubectl get pods -A -o wide    everything that runs
  npm run lab -- ssh --name ${name} 2                                log in to a worker
  npx runbook node doctor n2 -i ${inventory}       each link from kernel to API
  npx runbook apply playbooks/reset.yml -e nodes=n3 -i ${inventory}    take a worker out; then apply site.yml again
Break something (systemctl stop kubelet on n2) and ask the doctor; cut the power with: npm run lab -- kill --name ${name} 3
Take the hosts down:
  npm run lab -- down --name ${name}
`)
}

interface Pod {
  readonly name: string
  readonly node: string
  readonly address: string
}

async function podsReachEachOther(site: KubernetesLab): Promise<void> {
  title('One pod a node, and each reaches the one on the next node')
  await kubectl(site, ['apply', '-f', '-'], { input: readFileSync(MANIFEST, 'utf8') })
  await kubectl(site, ['rollout', 'status', 'daemonset/hello', '--timeout=180s'])
  const jsonpath = 'jsonpath={range .items[*]}{.spec.nodeName} {.metadata.name} {.status.podIP}{"\\n"}{end}'
  const lines = (await kubectl(site, ['get', 'pods', '-l', 'app=hello', '-o', jsonpath])).trim().split('\n').sort()
  const pods = lines.map((line): Pod => {
    const [node, name, address] = line.split(' ') as [string, string, string]
    return { node, name, address }
  })
  for (const [i, from] of pods.entries()) {
    const to = pods[(i + 1) % pods.length]!
    const url = `http://${to.address}:8080/`
    const answer = (await kubectl(site, ['exec', from.name, '--', '/test-server', 'get', url])).trim()
    process.stdout.write(`  ${from.name} on ${from.node} asks ${url} on ${to.node}: “${answer}” answers\n`)
    if (answer !== to.name) throw new Error(`${to.name} should have answered`)
  }
}
