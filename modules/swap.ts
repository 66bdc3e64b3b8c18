import { args, type Change, change, defineModule, read, TaskFailure, z } from '#module'

const FSTAB = '/etc/fstab'
const ZRAM = '/etc/systemd/zram-generator.conf'
/** Services of Debian's zram-tools and of Raspberry Pi OS that make swap at boot, without unit files of type swap. */
const MAKERS = ['zramswap.service', 'dphys-swapfile.service']

export default defineModule({
  summary: 'Swap: off, now and after every boot',
  description:
    'Kubernetes wants no swap unless its kubelet is set up for it. A line in fstab is only one of the ways to it: systemd ' +
    'also finds swap partitions by their GPT type, and generators make compressed swap in memory. All of these are turned ' +
    'off, and /proc/swaps is looked at again.',
  args: z.strictObject({
    state: z.enum(['off']).default('off').describe('the only one: swap is off'),
    fstab: z
      .enum(['comment', 'remove', 'keep'])
      .default('comment')
      .describe('what becomes of the lines of swap in /etc/fstab; with keep, the units that they make are masked'),
    mask: args.boolean
      .default(true)
      .describe('mask swap.target and the units of swap, so that nothing turns it on at boot'),
  }),
  examples: [
    { name: 'No swap', yaml: 'swap: {}' },
    { name: 'No swap, and no trace of it in fstab', yaml: 'swap:\n  state: off\n  fstab: remove' },
  ],
  returns: { devices: 'what the host still swaps to: always []' },
  probe: ({ fstab }) => ({
    swap: read.swap(),
    fstab: fstab === 'keep' ? undefined : read.text(FSTAB),
    makers: read.unitsIfSystemd(MAKERS),
  }),
  plan: (a, { swap, fstab, makers }) => {
    const changes: Change[] = []
    if (fstab) {
      const after = editFstab(fstab.text, a.fstab === 'remove')
      if (after !== fstab.text) changes.push(...change.editText(FSTAB, fstab, after, {}))
    }
    if (swap.zramGenerator) {
      const summary = `turn zram-generator off (empty ${ZRAM})`
      changes.push(change.write(ZRAM, '', { mode: 0o644, summary, touches: [`file:${ZRAM}`, 'swap'], backup: true }))
    }
    if (swap.systemd && changes.length > 0) changes.push(change.daemonReload())
    if (swap.systemd && a.mask) {
      changes.push(
        ...makers
          .filter((m) => m.load === 'loaded')
          .flatMap((m) => change.unitChanges(m, { state: 'stopped', masked: true })),
      )
      const units = swap.units
        .filter((u) => !u.file.startsWith('masked') && (u.source !== FSTAB || a.fstab === 'keep'))
        .map((u) => u.name)
      const names = [...units, ...(swap.targetMasked ? [] : ['swap.target'])]
      if (names.length > 0) {
        changes.push(
          change.run(['systemctl', '-q', 'mask', '--', ...names], {
            summary: `mask ${names.join(', ')}`,
            touches: ['swap', 'unit:*', 'file:/etc/systemd/system/*'],
          }),
        )
      }
    }
    if (swap.devices.length > 0) changes.push(swapOff(swap))
    return changes
  },
  result: (_args, { swap }) => ({ devices: swap.devices.map((d) => d.device) }),
})

function swapOff({ devices, availableMemory }: read.SwapState): Change {
  const used = devices.reduce((sum, d) => sum + d.used, 0)
  const mib = (kib: number): string => `${Math.round(kib / 1024)} MiB`
  if (used > availableMemory) {
    throw new TaskFailure(
      `${mib(used)} are swapped out and only ${mib(availableMemory)} of memory are free to take them back: ` +
        'stop what uses the memory (drain the node) first',
    )
  }
  return change.run(['swapoff', '-a'], {
    summary: `turn swap off (${devices.map((d) => d.device).join(', ')})`,
    diff: { kind: 'value', from: devices.map((d) => d.device), to: [] },
    touches: ['swap', 'fact:*', 'unit:*'],
  })
}

/** Comments out or removes the lines whose type (third field) is swap; see fstab(5). */
export function editFstab(text: string, remove: boolean): string {
  return text
    .split('\n')
    .flatMap((line) => {
      const fields = line.trim().split(/\s+/)
      if (line.trim().startsWith('#') || fields[2] !== 'swap') return [line]
      return remove ? [] : [`#${line}`]
    })
    .join('\n')
}
