/** Options that every transport honours, and those that keep connections, which openssh does; ssh_config(5). */
const KNOWN = new Set([
  'connecttimeout',
  'controlmaster',
  'controlpath',
  'controlpersist',
  'globalknownhostsfile',
  'hashknownhosts',
  'hostkeyalias',
  'hostname',
  'identitiesonly',
  'identityagent',
  'identityfile',
  'port',
  'proxyjump',
  'stricthostkeychecking',
  'user',
  'userknownhostsfile',
])

/** Those that tune how the ssh program works and mean nothing to us. */
const IGNORED = new Set([
  'compression',
  'loglevel',
  'preferredauthentications',
  'serveralivecountmax',
  'serveraliveinterval',
  'tcpkeepalive',
])

const FLAGS: Readonly<Record<string, string>> = { J: 'proxyjump', i: 'identityfile', l: 'user', p: 'port' }

/**
 * Arguments of the ssh program (`-o ProxyJump=bastion -i key`) as options of ssh_config; or, as a string, what in them we
 * cannot honour. Dropping one could reach the wrong host, or trust one that should not be trusted.
 */
export function parseSshArguments(text: string): [name: string, value: string][] | string {
  const words = [...text.matchAll(/"([^"]*)"|'([^']*)'|([^\s"']+)/g)].reduce<string[]>((all, m) => {
    const glued = m.index > 0 && !/\s/.test(text[m.index - 1]!)
    const part = m[1] ?? m[2] ?? m[3] ?? ''
    if (glued) all.push((all.pop() ?? '') + part)
    else all.push(part)
    return all
  }, [])
  const options: [string, string][] = []
  while (words.length > 0) {
    const word = words.shift()!
    const m = /^-([A-Za-z])(.*)$/.exec(word)
    const flag = m?.[1] ?? ''
    if (flag === 'C' || flag === 'q' || flag === 'v' || flag === 'T') continue
    if (flag !== 'o' && !FLAGS[flag]) return `"${word}" is not supported`
    const value = m![2] || words.shift() || ''
    const [name = '', given = ''] = flag === 'o' ? value.split(/\s*[=\s]\s*(.*)/s) : [FLAGS[flag]!, value]
    const key = name.toLowerCase()
    if (IGNORED.has(key)) continue
    if (!KNOWN.has(key)) return `the option ${name || word} is not supported`
    if (key === 'stricthostkeychecking' && /^(no|off)$/i.test(given)) {
      return 'StrictHostKeyChecking=no would trust whoever answers; use accept-new, or --accept-new-host-keys once'
    }
    options.push([key, given])
  }
  return options
}
