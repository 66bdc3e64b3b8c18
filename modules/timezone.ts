import { type Change, change, defineModule, quote, read, TaskFailure, z } from '#module'

const ZONES = '/usr/share/zoneinfo'

export default defineModule({
  summary: 'The time zone of the host',
  description: 'Services that run already keep the zone they started with: cron, for one, wants a restart.',
  freeForm: 'name',
  args: z.strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9+_-]+(\/[A-Za-z0-9+_-]+)*$/, 'must be the name of a zone such as Europe/Vienna')
      .describe('name in the tz database: `Etc/UTC`, `Europe/Vienna`'),
  }),
  examples: [{ name: 'Servers count in UTC', yaml: 'timezone:\n  name: Etc/UTC' }],
  returns: { name: 'the zone' },
  probe: ({ name }) => ({
    link: read.link('/etc/localtime'),
    zone: read.stat(`${ZONES}/${name}`, { follow: true }),
    // Debian's own file, which its tzdata package goes by
    named: read.text('/etc/timezone'),
  }),
  plan: ({ name }, { link, zone, named }) => {
    if (zone?.type !== 'file') {
      throw new TaskFailure(`this host knows no time zone ${name}: mend the name, or install the package tzdata`)
    }
    const changes: Change[] = []
    if (named.exists && named.text.trim() !== name)
      changes.push(...change.editText('/etc/timezone', named, `${name}\n`, {}))
    const now = link === undefined ? undefined : /\/zoneinfo\/(.*)$/.exec(link)?.[1]
    if (now === name) return changes
    const temporary = '/etc/.rb-localtime'
    changes.push({
      summary: `set the time zone to ${name}`,
      diff: { kind: 'value', from: now ?? 'unknown', to: name },
      touches: ['file:/etc/localtime', 'fact:*'],
      script: `ln -snf ${quote(`${ZONES}/${name}`)} ${temporary} && mv -f ${temporary} /etc/localtime`,
    })
    return changes
  },
  result: ({ name }) => ({ name }),
})
