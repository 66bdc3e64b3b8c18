import { args, type Change, change, defineModule, each, map, quote, read, TaskFailure, z } from '#module'

const FOLDER = '/etc/systemd/system'
const text = args.text.transform((t) => (t === '' || t.endsWith('\n') ? t : `${t}\n`))

export default defineModule({
  summary: 'A unit of systemd: its file, drop-ins, and state',
  description:
    `Writes ${FOLDER}/NAME and ${FOLDER}/NAME.d/*.conf, has systemd read them, and brings the unit to the state that is ` +
    'wanted. A running service keeps its old settings until it is restarted: notify a handler for that.',
  args: z
    .strictObject({
      name: z
        .string()
        .regex(
          /^[A-Za-z0-9:_.@\\-]+\.(service|socket|target|mount|automount|swap|timer|path|slice)$/,
          'must be the name of a unit with its suffix, e.g. `kubelet.service`',
        )
        .describe('name with suffix'),
      content: text.optional().describe('text of the unit file; absent: the unit comes from elsewhere'),
      drop_ins: z
        .record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, 'must be a file name'), z.union([text, z.null()]))
        .default({})
        .describe('settings on top: name (`.conf` is added) to text; null takes one away'),
      state: z
        .enum(['started', 'stopped', 'restarted', 'reloaded', 'absent'])
        .optional()
        .describe(`absent stops and disables it, and removes its file and drop-ins below ${FOLDER}`),
      enabled: args.boolean.optional().describe('whether it starts at boot'),
      masked: args.boolean.optional().describe('true: nothing can start it'),
    })
    .refine((a) => !a.masked || (a.content === undefined && a.state !== 'started' && !a.enabled), {
      message: 'what is masked has no unit file of its own and can be neither running nor enabled',
      path: ['masked'],
    })
    .refine((a) => a.state !== 'absent' || (a.content === undefined && !a.enabled), {
      message: 'what is absent has no content and is not enabled',
      path: ['state'],
    }),
  examples: [
    {
      name: 'A unit of our own',
      yaml:
        'systemd_unit:\n  name: irq-balance-nvme.service\n  content: |\n    [Unit]\n    Description=IRQ affinity of NVMe queues\n' +
        '    [Service]\n    Type=oneshot\n    RemainAfterExit=yes\n    ExecStart=/usr/local/sbin/irq-nvme\n' +
        '    [Install]\n    WantedBy=multi-user.target\n  enabled: true\n  state: started',
    },
    {
      name: 'containerd behind a proxy',
      yaml:
        'systemd_unit:\n  name: containerd.service\n  drop_ins:\n    proxy: |\n      [Service]\n' +
        '      Environment=HTTPS_PROXY=http://proxy.example.org:3128\nnotify: restart containerd',
    },
  ],
  returns: { unit: '{active, sub, file, pid}: as `systemctl show` has it' },
  probe: ({ name, content, drop_ins }) => ({
    unit: read.unit(name),
    own: map(read.link(`${FOLDER}/${name}`), (link) => ({ masked: link === '/dev/null' })),
    file:
      content === undefined
        ? map(read.stat(`${FOLDER}/${name}`), (stat) => ({ path: '', stat, content: undefined }))
        : read.file(`${FOLDER}/${name}`),
    folder: read.stat(`${FOLDER}/${name}.d`),
    dropIns: each(Object.keys(drop_ins).map((d) => read.file(dropInPath(name, d)))),
  }),
  plan: (a, { unit, own, file, folder, dropIns }) => {
    if (a.state === 'absent') return remove(a.name, unit, !own.masked && file.stat !== undefined, folder !== undefined)
    const files: Change[] = []
    const attributes = { mode: '0644', owner: 'root', group: 'root' }
    if (a.content !== undefined && own.masked) {
      if (a.masked !== false)
        throw new TaskFailure(`${a.name} is masked: set \`masked: false\` too, to give it a unit file`)
      const unmask = `rm -f -- ${quote(`${FOLDER}/${a.name}`)}`
      files.push({ summary: `unmask ${a.name}`, touches: [`file:${FOLDER}/${a.name}`, 'unit:*'], script: unmask })
      files.push(...change.put(a.content, { ...file, stat: undefined, content: undefined }, attributes))
    } else if (a.content !== undefined) files.push(...change.put(a.content, file, attributes))
    const names = Object.entries(a.drop_ins)
    if (folder === undefined && names.some(([, t]) => t !== null)) {
      files.push(change.makeFolder(`${FOLDER}/${a.name}.d`, { mode: '0755' }))
    }
    names.forEach(([name, content], i) => {
      const path = dropInPath(a.name, name)
      if (content !== null) files.push(...change.put(content, dropIns[i]!, attributes))
      else if (dropIns[i]?.stat)
        files.push(change.run(['rm', '-f', '--', path], { summary: `remove ${path}`, touches: [`file:${path}`] }))
    })
    return [
      ...files,
      ...change.unitChanges(afterUnmask(unit, own.masked && a.content !== undefined), {
        ...a,
        state: a.state,
        rewritten: files.length > 0,
      }),
    ]
  },
  result: (_args, { unit: { active, sub, file, mainPid } }) => ({ unit: { active, sub, file, pid: mainPid } }),
})

const dropInPath = (unit: string, name: string): string => `${FOLDER}/${unit}.d/${name.replace(/\.conf$/, '')}.conf`

/** The link to /dev/null is gone by the time systemd looks. */
const afterUnmask = (unit: read.UnitState, unmasked: boolean): read.UnitState =>
  unmasked ? { ...unit, load: 'loaded', file: 'disabled' } : unit

function remove(name: string, unit: read.UnitState, hasFile: boolean, hasFolder: boolean): Change[] {
  const paths = [...(hasFile ? [`${FOLDER}/${name}`] : []), ...(hasFolder ? [`${FOLDER}/${name}.d`] : [])]
  if (paths.length === 0) return []
  // Only what is ours is stopped: without its file in /etc, the unit of a package goes on without the drop-ins.
  const ends = hasFile
    ? change.unitChanges(unit, { state: 'stopped', enabled: unit.file === 'enabled' ? false : undefined })
    : []
  const gone = change.run(['rm', '-rf', '--', ...paths], {
    summary: `remove ${paths.join(', ')}`,
    touches: [...paths.map((p) => `file:${p}`), 'unit:*'],
  })
  return [...ends, gone, change.daemonReload()]
}
