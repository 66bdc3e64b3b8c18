import { args, defineAction, kubeadm, z } from '#module'

export default defineAction({
  summary: 'Make a bootstrap token, for a join by hand',
  description:
    'kubeadm_join makes its own. The token is a secret: it is kept out of everything shown or stored, so pass it on ' +
    'within the play (to copy with no_log, for example). Makes a new one each time.',
  controllerOnly: true,
  args: z.strictObject({
    ...kubeadm.clusterArgs,
    ttl: args.seconds.default(3600).describe('seconds after which it expires'),
    description: z.string().default('made by runbook').describe('what kubeadm token list shows'),
  }),
  returns: {
    token: 'the token, a secret',
    token_id: 'its first part, which is none',
    endpoint: 'HOST:PORT to join at',
    ca_cert_hashes: 'for --discovery-token-ca-cert-hash',
  },
  examples: [
    {
      name: 'For a host that somebody else joins',
      yaml: 'kubeadm_token:\n  control_planes: [cp1]\n  ttl: 900\nregister: join\nno_log: true',
    },
  ],
  async run(ctx, a) {
    const api = await ctx.kubernetes(kubeadm.clusterSource(a))
    const token = kubeadm.makeToken()
    ctx.secret(token.text)
    ctx.secret(token.secret)
    await api.create(kubeadm.tokenSecret(token, { ttlSeconds: a.ttl, description: a.description }))
    return {
      changed: true,
      msg: `token ${token.id} for ${a.ttl} s`,
      data: {
        token: token.text,
        token_id: token.id,
        endpoint: kubeadm.endpointOf(api.server),
        ca_cert_hashes: kubeadm.mustPin(api),
      },
    }
  },
  preview: async () => ({ changed: true, changes: [{ summary: 'make a bootstrap token' }] }),
})
