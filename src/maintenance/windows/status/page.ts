/** The status page: for a phone at three in the morning. First what needs somebody, then what goes on, then the rest. */
import { ENDED, type NodeRecord, type NodeStatus, type OccurrenceRecord } from '../state.ts'
import { fromNow, span } from '../time.ts'
import { Zone } from '../zone.ts'
import { type Html, html } from './html.ts'
import { MOST, type View, type WindowView } from './view.ts'

/** The whole document. The same without JavaScript, only not live. */
export function page(view: View): string {
  return documentOf(
    titleOf(view),
    html`<noscript><meta http-equiv="refresh" content="20"></noscript>
<script src="live.js" defer></script>`,
    html`<p id="live"><noscript>new every 20 s</noscript></p>`,
    sections(view),
  )
}

/** Every node that ever was in a window, with what was last. */
export function nodesPage({ hosts, now }: View): string {
  return documentOf(
    'nodes · maintenance',
    html`<meta http-equiv="refresh" content="20">`,
    html`<p><a href="./">back</a></p>`,
    html`<section><h2>Nodes</h2><p class="meta">${countsOf(hosts)}</p><ul class="nodes card">${hosts.map((host) => hostItem(host, now))}</ul></section>`,
  )
}

function documentOf(title: string, head: Html, aside: Html, main: Html): string {
  return `<!doctype html>\n${html`<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="stylesheet" href="style.css">
<link rel="icon" href="data:,">
${head}
</head>
<body>
<header><h1>Maintenance</h1>${aside}</header>
<main>${main}</main>
</body>
</html>
`}`
}

/** What is inside <main>: sent anew to pages that are open. */
export function sections(view: View): Html {
  return html`${now(view)}${attention(view)}${running(view)}${windows(view)}${nodes(view)}${history(view)}${log(view)}`
}

export function titleOf({ running, windows, bad }: View): string {
  if (running) {
    const done = running.nodes.filter(({ status }) => ENDED.includes(status)).length
    return `${done}/${running.nodes.length} ${running.record.window} · maintenance`
  }
  if (bad.length > 0) return `! ${bad.length} left out · maintenance`
  return windows[0] ? `next ${windows[0].window.name} · maintenance` : 'maintenance'
}

/** One sentence. */
function now({ running, windows, now }: View): Html {
  const next = windows.flatMap(({ window, next, pause }) => {
    const opens = pause ? undefined : next.find(({ blackout }) => blackout === undefined)
    return opens ? [{ window, opens }] : []
  })
  next.sort((a, b) => a.opens.opens - b.opens.opens)
  const first = next[0]
  const then = first
    ? html`Next: <b>${first.window.name}</b> ${fromNow(first.opens.opens, now)}, <time>${first.window.zone.format(first.opens.opens)}</time>`
    : 'No window will open.'
  if (!running) return html`<section id="now" class="hero"><p class="big">No window is open</p><p>${then}</p></section>`
  const { record, nodes } = running
  const done = nodes.filter(({ status }) => ENDED.includes(status)).length
  const end = record.ends > now ? `ends ${fromNow(record.ends, now)}` : `should have ended ${fromNow(record.ends, now)}`
  return html`<section id="now" class="hero on"><p class="big"><span class="pulse"></span>${record.window} is open</p>
<p><b>${done} of ${nodes.length} nodes</b>, ${end}</p><p>${then}</p></section>`
}

/** What a person has to look at. */
function attention({ running, history, bad, trouble, now }: View): Html | undefined {
  const latest =
    running ?? history.find(({ record }) => ['done', 'failed', 'cut', 'interrupted'].includes(record.status))
  const failed = latest?.nodes.filter(({ status }) => status === 'failed') ?? []
  const more = failed.length - MOST
  const finishing = running?.nodes.filter(({ status }) => status === 'finishing') ?? []
  const items = [
    ...failed.slice(0, MOST).map((node) => failedItem(node, now)),
    ...(more > 0
      ? [html`<li>and ${more} more: <code>runbook schedule history ${latest!.record.window}</code></li>`]
      : []),
    ...finishing.map((node) => html`<li><b>${node.host}</b> is being finished, past the end of the window</li>`),
    ...(trouble
      ? [
          html`<li><b>maintenance.yml or the inventory cannot be read</b>; what was read before stands<pre>${trouble}</pre></li>`,
        ]
      : []),
    ...bad.map(({ name, text }) => html`<li><b>${name}</b> is left out<pre>${text}</pre></li>`),
  ]
  if (items.length === 0) return undefined
  return html`<section id="attention" class="card bad"><h2>Needs somebody</h2><ul class="plain">${items}</ul></section>`
}

/** With the one command that goes on, and the one that looks. */
function failedItem({ host, ended_at, phase, detail, next }: NodeRecord, now: number): Html {
  const at = phase.replace(/(: failed| …)$/, '') || 'its start'
  return html`<li><b>${host}</b> failed ${ended_at ? fromNow(ended_at, now) : ''} at <i>${at}</i>
<span class="detail">${detail}</span>
${next && html`<p class="do">Go on <code>${next}</code></p>`}
<p class="do">Look <code>runbook node doctor ${host}</code></p></li>`
}

const WORDS: Readonly<Record<NodeStatus, string>> = {
  waiting: 'waits',
  running: 'under way',
  stopping: 'is stopped',
  rolling_back: 'rolls back',
  finishing: 'is finished late',
  done: 'done',
  failed: 'failed',
  rolled_back: 'rolled back',
  left_out: 'next time',
}

function running({ running, windows, now }: View): Html | undefined {
  if (!running) return undefined
  const { record, nodes } = running
  const view = windows.find(({ window }) => window.name === record.window)
  const zone = view?.window.zone ?? new Zone('UTC')
  const done = nodes.filter(({ status }) => ENDED.includes(status)).length
  const lastStart = view && record.ends - view.margin
  return html`<section id="running" class="card">
<h2>${record.window} <small>${record.actor === 'schedule' ? '' : `triggered by ${record.actor}`}</small></h2>
<progress max="${nodes.length}" value="${done}">${done} of ${nodes.length}</progress>
<dl>
<div><dt>Nodes</dt><dd>${done} of ${nodes.length}</dd></div>
<div><dt>Ends</dt><dd>${fromNow(record.ends, now)}<small>${zone.format(record.ends)}</small></dd></div>
${lastStart && html`<div><dt>Last start</dt><dd>${fromNow(lastStart, now)}<small>${zone.format(lastStart)}</small></dd></div>`}
</dl>
${view?.pause && html`<p class="note">Paused by ${view.pause.actor}${view.pause.reason && `: ${view.pause.reason}`}. No further node is started.</p>`}
${record.starts > now && html`<p class="note">The first node starts ${fromNow(record.starts, now)}.</p>`}
<ul class="nodes">${nodeItems(nodes, now)}</ul>
</section>`
}

/** Few of them all; of many those under way and failed, and the others counted. */
function nodeItems(nodes: readonly NodeRecord[], now: number): Html[] {
  if (nodes.length <= MOST) return nodes.map((node) => nodeItem(node, now))
  const quiet: readonly NodeStatus[] = ['done', 'waiting', 'rolled_back', 'left_out']
  const notable = nodes.filter(({ status }) => !quiet.includes(status))
  const failed = notable.filter(({ status }) => status === 'failed')
  const shown = [...notable.filter(({ status }) => status !== 'failed'), ...failed.slice(0, MOST)]
  const groups = quiet.flatMap((status) => {
    const group = nodes.filter((node) => node.status === status)
    const names = (status === 'waiting' ? group : group.toReversed()).slice(0, 3).map(({ host }) => host)
    const first = status === 'waiting' ? 'next' : 'last'
    return group.length === 0
      ? []
      : [
          html`<li class="${status}"><span class="dot"></span><b>${group.length} ${group.length === 1 ? 'node' : 'nodes'}</b><span class="state">${WORDS[status]}</span><span class="detail">${first}: ${names.join(', ')}</span></li>`,
        ]
  })
  const more = failed.length - MOST
  return [
    ...shown.map((node) => nodeItem(node, now)),
    ...(more > 0
      ? [
          html`<li class="failed"><span class="dot"></span><b>and ${more} more</b><span class="state">failed</span></li>`,
        ]
      : []),
    ...groups,
  ]
}

function nodeItem({ host, status, phase, detail, started_at, ended_at }: NodeRecord, now: number): Html {
  const took = started_at === null ? '' : span((ended_at ?? now) - started_at)
  const step = phase.endsWith(' …') ? `now: ${phase.slice(0, -2)}` : phase && `last step: ${phase}`
  const words = ENDED.includes(status) ? detail : step
  return html`<li class="${status}"><span class="dot"></span><b>${host}</b><span class="state">${WORDS[status]} ${took}</span>${words && html`<span class="detail">${words}</span>`}</li>`
}

function windows({ windows, now }: View): Html {
  const cards = windows.map(({ window, next, pause, margin }: WindowView) => {
    const [first, ...rest] = next
    const when = first
      ? html`<p class="when"><time>${window.zone.format(first.opens)}</time> <span>${fromNow(first.opens, now)}</span></p>`
      : html`<p class="when">never again</p>`
    const closed = first?.blackout && html`<p class="note">Stays closed: ${first.blackout}</p>`
    const shifted = first?.shifted && html`<p class="note">Moved: the clock jumps over its time.</p>`
    return html`<li class="card"><h3>${window.name}</h3>${when}${closed}${shifted}
${pause && html`<p class="note">Paused by ${pause.actor}${pause.until ? ` until ${window.zone.format(pause.until)}` : ''}${pause.reason && `: ${pause.reason}`}</p>`}
<p class="meta">${window.hosts} · ${window.concurrency} at a time · ${span(window.duration)} long · last start ${span(margin)} before the end</p>
${rest.length > 0 && html`<p class="meta">then ${rest.map(({ opens, blackout }, i) => html`${i > 0 && ', '}<time>${window.zone.format(opens)}</time>${blackout && ' (blackout)'}`)}</p>`}</li>`
  })
  return html`<section id="windows"><h2>Windows</h2>${cards.length > 0 ? html`<ul class="cards">${cards}</ul>` : html`<p>None.</p>`}</section>`
}

function nodes({ hosts, now }: View): Html | undefined {
  if (hosts.length === 0) return undefined
  const few = hosts.length <= MOST
  const shown = few ? hosts : hosts.filter(({ status }) => status === 'failed').slice(0, MOST)
  const all = html`<p class="meta">${countsOf(hosts)}. <a href="nodes">All of them</a></p>`
  return html`<section id="nodes"><h2>Nodes</h2>${!few && all}${shown.length > 0 && html`<ul class="nodes card">${shown.map((host) => hostItem(host, now))}</ul>`}</section>`
}

const hostItem = ({ host, status, window, ended_at }: View['hosts'][number], now: number): Html =>
  html`<li class="${status}"><span class="dot"></span><b>${host}</b><span class="state">${WORDS[status]} ${when(ended_at, now)}</span><span class="detail">${window}</span></li>`

function countsOf(hosts: View['hosts']): string {
  const by = Object.groupBy(hosts, ({ status }) => status)
  const counts = Object.entries(WORDS).flatMap(([status, words]) => {
    const count = by[status as NodeStatus]?.length ?? 0
    return count > 0 ? [`${count} ${words}`] : []
  })
  return `${hosts.length} nodes: ${counts.join(', ')}`
}

const when = (at: number | null, now: number): string => (at === null ? '' : fromNow(at, now))

function history({ history, windows }: View): Html | undefined {
  if (history.length === 0) return undefined
  const items = history.map(({ record, nodes }) => {
    const zone = windows.find(({ window }) => window.name === record.window)?.window.zone ?? new Zone('UTC')
    const head = html`<span class="tag ${record.status}">${record.status}</span> <b>${record.window}</b> <time>${zone.format(record.opens)}</time>
<span class="detail">${record.reason}${by(record)}</span>`
    return nodes.length === 0
      ? html`<li>${head}</li>`
      : html`<li><details id="o-${record.id}"><summary>${head}</summary><ul class="nodes">${nodes.map((node) => nodeItem(node, record.closed_at ?? 0))}</ul></details></li>`
  })
  return html`<section id="history"><h2>History</h2><ul class="plain card">${items}</ul></section>`
}

const by = ({ actor }: OccurrenceRecord): string => (actor === 'schedule' ? '' : ` (triggered by ${actor})`)

function log({ events }: View): Html | undefined {
  if (events.length === 0) return undefined
  const items = events.map(
    ({ at, kind, text }) =>
      html`<li class="${kind}"><time>${new Date(at).toISOString().slice(5, 19).replace('T', ' ')}</time> ${text}</li>`,
  )
  return html`<section id="log"><details id="log-all"><summary><h2>Log</h2> <small>UTC, newest first</small></summary><ul class="plain log card">${items}</ul></details></section>`
}
