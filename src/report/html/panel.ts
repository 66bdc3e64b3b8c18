/// <reference lib="dom" />
import type { Detail, PageData } from './model.ts'

/**
 * Shows the results of one host and task beside the grid. Goes into the page as its own source text. Texts become text
 * nodes only: what a host said is never read as HTML.
 */
export function panel(
  data: PageData,
  statuses: readonly string[],
  results: readonly number[],
  close: () => void,
): Node {
  const make = (tag: string, text = '', ...inside: Node[]): HTMLElement => {
    const node = document.createElement(tag)
    if (text) node.textContent = text
    node.append(...inside)
    return node
  }
  const time = (ms: number): string =>
    ms < 1000
      ? `${ms} ms`
      : ms < 120_000
        ? `${(ms / 1000).toFixed(1)} s`
        : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`
  const all = document.createDocumentFragment()
  const button = make('button', '×')
  button.className = 'close'
  button.setAttribute('aria-label', 'Close')
  button.addEventListener('click', close)
  all.append(button)
  const block = (title: string, text: string | undefined): void => {
    if (text) all.append(make('h3', title), make('pre', text))
  }
  const diff = (text: string): HTMLElement => {
    const pre = make('pre')
    for (const line of text.split('\n')) {
      const row = make('span', line || ' ')
      row.className = /^\+(?!\+\+ )/.test(line) ? 'add' : /^-(?!-- )/.test(line) ? 'del' : 'ctx'
      pre.append(row)
    }
    return pre
  }
  for (const at of results) {
    const [host, task, code, start, took, index] = data.results.slice(at, at + 6) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ]
    const one = data.tasks[task]!
    const detail: Detail = data.details[index] ?? {}
    const badge = make('span', statuses[code])
    badge.className = 'status'
    badge.style.borderColor = `var(--${statuses[code]})`
    all.append(make('h2', detail.name ?? one.name))
    all.append(make('p', '', make('b', data.hosts[host]), document.createTextNode('  '), badge))
    const when = `${time(took)}, from ${time(start)} after the start`
    const facts = make(
      'p',
      `${one.handler ? 'handler, ' : ''}${one.module} · ${data.plays[one.play]} · ${one.place} · ${when}`,
    )
    facts.className = 'facts'
    all.append(facts)
    if (detail.msg) all.append(make('h3', 'Message'), make('pre', detail.msg))
    if (detail.hint) all.append(make('p', `Hint: ${detail.hint}`))
    for (const [i, change] of (detail.changes ?? []).entries()) {
      if (i === 0) all.append(make('h3', detail.changes!.length > 1 ? `${detail.changes!.length} changes` : 'Change'))
      all.append(make('p', change.summary))
      if (change.diff) all.append(diff(change.diff))
    }
    if (detail.items) {
      all.append(make('h3', `${detail.items.length} items`))
      const list = detail.items.map(
        (item) => `${item.status.padEnd(9)} ${item.label}${item.msg ? `: ${item.msg}` : ''}`,
      )
      all.append(make('pre', list.join('\n')))
    }
    block('Command', detail.cmd)
    if (detail.rc !== undefined) all.append(make('p', `Exit status ${detail.rc}`))
    block('Output', detail.stdout)
    block('Error output', detail.stderr)
    block('In the playbook', detail.frame)
    if (detail.notRun) all.append(make('p', `Not run because of this: ${detail.notRun.join(', ')}`))
  }
  return all
}
