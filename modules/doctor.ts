import { defineModule, doctor, TaskFailure, z } from '#module'

export default defineModule({
  summary: 'Why a Kubernetes node does not work',
  description:
    'Looks along the chain kernel, disk, containerd, its socket, kubelet, CNI, API, and fails with the first link that is ' +
    'broken, what was found, how one thing led to the next, and what to do. Reads only. `runbook node doctor NODE` is the ' +
    'same from the command line.',
  args: z.strictObject({}),
  readOnly: true,
  returns: {
    chain: 'list of {link, state: ok or broken, message, mend: list}',
    broken: 'the name of the first broken link; absent when the chain holds',
    cascade: 'how one thing led to the next, where that can be told',
    msg: 'all of it, for people',
  },
  examples: [{ name: 'Before a maintenance', yaml: 'doctor: {}' }],
  probe: () => ({ signs: doctor.look() }),
  plan: (_args, { signs }) => {
    const diagnosis = doctor.diagnose(signs)
    if (diagnosis.broken) throw new TaskFailure(doctor.describe(diagnosis), data(diagnosis))
    return []
  },
  result: (_args, { signs }) => {
    const diagnosis = doctor.diagnose(signs)
    return { ...data(diagnosis), msg: doctor.describe(diagnosis) }
  },
})

const data = ({ chain, broken, cascade }: doctor.Diagnosis): Record<string, unknown> => ({
  chain: chain.map((link) => ({ ...link })),
  ...(broken ? { broken: broken.link } : {}),
  ...(cascade ? { cascade } : {}),
})
