import { createHash } from 'node:crypto'
import type { RunEvent } from '../../shared/events.ts'
import { escapeHtml } from '../../shared/html.ts'
import { duration } from '../duration.ts'
import { openOutputFile } from '../output-file.ts'
import { client } from './client.ts'
import { Model, type PageData } from './model.ts'
import { paint } from './paint.ts'
import { panel } from './panel.ts'
import { STYLE } from './style.ts'

export interface HtmlReport {
  event(event: RunEvent): void
  /** Writes what came; a file that was there before is replaced whole, or left when no run began. Does not throw. */
  close(warn: (text: string) => void): void
}

/**
 * `--report FILE`: one page with hosts by tasks, that needs nothing beside itself. Readable by its owner only, as the journal
 * is: it holds diffs. Throws UserError at once when it cannot be written. `option` is what the user wrote, for messages.
 */
export function htmlReport(path: string, option: string): HtmlReport {
  const file = openOutputFile(path, option, 0o600)
  const model = new Model()
  return {
    event: (event) => model.event(event),
    close(warn) {
      if (model.began) file.write([page(model.data())], warn)
      else file.discard()
    },
  }
}

/** The whole page. Its script is known by its hash; nothing else may run in it, whatever a host has said. */
export function page(data: PageData): string {
  const script = `(${client})(JSON.parse(document.getElementById('data').textContent), ${paint}, ${panel})`
  const hash = createHash('sha256').update(script).digest('base64')
  const csp = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`
  // The only way out of a script element is "</script" or "<!--"; in JSON a "<" can always be written so.
  const json = JSON.stringify(data).replaceAll('<', '\\u003c')
  const title = data.playbooks.map((one) => one.split('/').at(-1)).join(', ')
  const words = [
    `run ${data.run}`,
    new Date(data.at).toISOString().slice(0, 19).replace('T', ' ').concat(' UTC'),
    duration(data.elapsedMs),
    `${data.hosts.length} ${data.hosts.length === 1 ? 'host' : 'hosts'}, ${data.tasks.length} tasks`,
    ...(data.check ? ['check mode: nothing was changed'] : []),
    ...(data.interrupted ? ['interrupted'] : []),
    ...(data.ended ? [] : ['did not end']),
  ]
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${csp}">
<meta name="referrer" content="no-referrer">
<title>${escapeHtml(title)} · runbook</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>${escapeHtml(title)}</h1><span class="facts">${words.map(escapeHtml).join(' · ')}</span>
<div class="bar">
<span id="chips" class="bar" style="margin:0" role="group" aria-label="Hosts by status"></span>
<input id="search" type="search" placeholder="Find hosts" aria-label="Find hosts"><span id="count" class="facts"></span>
<select id="sort" aria-label="Order of hosts"><option value="run">In order</option><option value="problems">Problems first</option><option value="slow">Slowest first</option></select>
<span id="mode" role="group" aria-label="View"><button id="grid">Tasks</button> <button id="time">Time</button></span>
<button id="out" aria-label="Zoom out">−</button><button id="in" aria-label="Zoom in">+</button>
</div>
${notes(data)}</header>
<details id="problems" hidden><summary></summary></details>
<noscript><p>This page needs JavaScript. <code>runbook history show ${escapeHtml(data.run)}</code> says the same.</p></noscript>
<main>
<div id="scroll" tabindex="0" role="grid" aria-label="Hosts by tasks; arrow keys move, Escape closes the details"><div id="space"></div><canvas id="view"></canvas></div>
<aside id="detail" aria-live="polite" hidden></aside>
</main>
<div id="tip" role="tooltip" hidden></div>
<script type="application/json" id="data">${json}</script>
<script>${script}</script>
</body>
</html>
`
}

function notes({ notes }: PageData): string {
  if (notes.length === 0) return ''
  const lines = notes.slice(0, 200).map(({ host, msg }) => `<br>${escapeHtml(host)}: ${escapeHtml(msg)}`)
  return `<details class="facts"><summary>${notes.length} ${notes.length === 1 ? 'note' : 'notes'}</summary>${lines.join('')}</details>\n`
}
