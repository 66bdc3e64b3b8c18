/// <reference lib="dom" />
import type { PageData } from './model.ts'
import type { paint as Paint } from './paint.ts'
import type { panel as Panel } from './panel.ts'

/**
 * The page's script: reads the data, keeps what is selected and shown, and draws when something has changed. It goes into
 * the page as its own source text, so it uses nothing from outside itself.
 */
export function client(data: PageData, paint: typeof Paint, panel: typeof Panel): void {
  const statuses = ['ok', 'changed', 'skipped', 'failed', 'ignored', 'rescued', 'unreachable']
  const bad = [3, 6]
  const find = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T
  const [scroll, canvas, space, aside, tip] = ['scroll', 'view', 'space', 'detail', 'tip'].map(find) as [
    HTMLElement,
    HTMLCanvasElement,
    HTMLElement,
    HTMLElement,
    HTMLElement,
  ]
  const [search, sort, zoomOut, zoomIn, modes] = [
    find<HTMLInputElement>('search'),
    find<HTMLSelectElement>('sort'),
    find('out'),
    find('in'),
    find('mode'),
  ]

  const size = 6
  const byHost: number[][] = data.hosts.map(() => [])
  const has = data.hosts.map(() => new Set<number>())
  const busy = data.hosts.map(() => 0)
  let end = data.elapsedMs
  for (let at = 0; at < data.results.length; at += size) {
    const [host, , code, start, took] = data.results.slice(at, at + size) as [number, number, number, number, number]
    byHost[host]!.push(at)
    has[host]!.add(code)
    busy[host]! += took
    end = Math.max(end, start + took)
  }

  let mode: 'grid' | 'time' = 'grid'
  let zoom = 1
  let selected = -1
  let wanted: number | undefined
  let order: number[] = []
  let colours: Record<string, string> = {}
  const row = 22
  const narrow = (): boolean => innerWidth <= 720
  const labels = (): number => (narrow() ? 104 : 180)
  const head = (): number => (mode === 'time' ? 34 : narrow() ? 92 : 124)
  const step = (): number => {
    const room = scroll.clientWidth - labels() - 16
    if (mode === 'time') return (room / Math.max(1, end / 1000)) * zoom
    return Math.min(60, Math.max(15, Math.floor(room / Math.max(1, data.tasks.length)))) * zoom
  }

  const readColours = (): void => {
    const style = getComputedStyle(document.documentElement)
    for (const name of [...statuses, 'bg', 'fg', 'dim', 'line', 'accent'])
      colours[name] = style.getPropertyValue(`--${name}`).trim()
  }
  const arrange = (): void => {
    const text = search.value.trim().toLowerCase()
    order = data.hosts
      .map((_, i) => i)
      .filter((i) => data.hosts[i]!.toLowerCase().includes(text) && (wanted === undefined || has[i]!.has(wanted)))
    const trouble = (i: number): number => Number(!bad.some((code) => has[i]!.has(code)))
    if (sort.value === 'problems') order.sort((a, b) => trouble(a) - trouble(b) || a - b)
    if (sort.value === 'slow') order.sort((a, b) => busy[b]! - busy[a]! || a - b)
    find('count').textContent =
      order.length === data.hosts.length ? '' : `${order.length} of ${data.hosts.length} hosts`
    draw()
  }

  let due = false
  const draw = (): void => {
    if (due) return
    due = true
    requestAnimationFrame(() => {
      due = false
      const columns = mode === 'time' ? (end / 1000) * step() : data.tasks.length * step()
      // Names that lean over the last column need room as well.
      space.style.width = `${labels() + columns + (mode === 'grid' ? 60 : 16)}px`
      space.style.height = `${head() + order.length * row + 8}px`
      const [width, height] = [scroll.clientWidth, scroll.clientHeight]
      const ratio = devicePixelRatio || 1
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        canvas.width = Math.round(width * ratio)
        canvas.height = Math.round(height * ratio)
        canvas.style.width = `${width}px`
        canvas.style.height = `${height}px`
      }
      const context = canvas.getContext('2d')!
      context.setTransform(ratio, 0, 0, ratio, 0, 0)
      const [left, top] = [scroll.scrollLeft, scroll.scrollTop]
      const sizes = { width, height, left, top, mode, step: step(), row, labels: labels(), head: head() }
      paint(data, { context, ...sizes, order, byHost, selected, colours, statuses })
    })
  }

  /** The result under a point of the canvas; where tasks overlap in time the last one, which is drawn on top. */
  const resultAt = (x: number, y: number): number => {
    const host = order[Math.floor((y - head() + scroll.scrollTop) / row)]
    if (host === undefined || x < labels() || y < head()) return -1
    const along = x - labels() + scroll.scrollLeft
    const near = mode === 'time' ? 3 : 0
    return (
      byHost[host]!.findLast((at) => {
        const from = mode === 'grid' ? data.results[at + 1]! * step() : (data.results[at + 3]! / 1000) * step()
        const wide = mode === 'grid' ? step() : Math.max(2, (data.results[at + 4]! / 1000) * step())
        return along >= from - near && along < from + wide + near
      }) ?? -1
    )
  }
  const show = (at: number): void => {
    selected = at
    aside.hidden = at < 0
    aside.replaceChildren()
    if (at >= 0) {
      const [host, task] = [data.results[at], data.results[at + 1]]
      const same = byHost[host!]!.filter((one) => data.results[one + 1] === task)
      aside.append(panel(data, statuses, same, () => show(-1)))
      aside.scrollTop = 0
    }
    draw()
  }
  const reveal = (at: number): void => {
    const y = order.indexOf(data.results[at]!) * row
    const x = mode === 'grid' ? data.results[at + 1]! * step() : (data.results[at + 3]! / 1000) * step()
    const [high, wide] = [scroll.clientHeight - head() - row, scroll.clientWidth - labels() - step()]
    if (y < scroll.scrollTop || y > scroll.scrollTop + high) scroll.scrollTop = y - high / 2
    if (x < scroll.scrollLeft || x > scroll.scrollLeft + wide) scroll.scrollLeft = x - wide / 2
  }

  const point = (event: MouseEvent): [number, number] => {
    const box = canvas.getBoundingClientRect()
    return [event.clientX - box.left, event.clientY - box.top]
  }
  canvas.addEventListener('mousemove', (event) => {
    const [x, y] = point(event)
    const at = resultAt(x, y)
    const column = Math.floor((x - labels() + scroll.scrollLeft) / step())
    const name = mode === 'grid' && y < head() && x > labels() ? data.tasks[column] : undefined
    tip.hidden = at < 0 && !name
    if (name) tip.textContent = `${name.name}\n${name.module}, ${name.place}`
    if (at >= 0) {
      const [host, task, code, , took] = data.results.slice(at, at + size) as [number, number, number, number, number]
      tip.textContent = `${data.hosts[host]} · ${statuses[code]} · ${took} ms\n${data.tasks[task]!.name}`
    }
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8))}px`
    tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`
  })
  canvas.addEventListener('mouseleave', () => {
    tip.hidden = true
  })
  canvas.addEventListener('click', (event) => {
    const at = resultAt(...point(event))
    tip.hidden = true
    show(at === selected ? -1 : at)
  })
  scroll.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') return show(-1)
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key]
    if (!step || order.length === 0) return
    event.preventDefault()
    const now = Math.max(0, order.indexOf(data.results[selected] ?? order[0]!))
    const host = order[Math.min(order.length - 1, Math.max(0, now + (selected < 0 ? 0 : step[0]!)))]!
    const own = byHost[host]!
    const task = data.results[selected + 1] ?? 0
    const place =
      selected < 0 ? 0 : own.findIndex((at) => (step[0] === 0 ? at === selected : data.results[at + 1]! >= task))
    const next =
      own[Math.min(own.length - 1, Math.max(0, (place < 0 ? own.length - 1 : place) + (selected < 0 ? 0 : step[1]!)))]
    if (next === undefined) return
    show(next)
    reveal(next)
  })
  addEventListener('keydown', (event) => {
    if (event.key === 'Escape') show(-1)
  })

  /** Failures by what they say: one line for a hundred hosts with the same trouble. */
  const problems = (): void => {
    const groups = new Map<string, number[]>()
    for (let at = 0; at < data.results.length; at += size) {
      if (!bad.includes(data.results[at + 2]!)) continue
      const msg = data.details[data.results[at + 5]!]?.msg ?? ''
      // Hosts name themselves in what they say.
      const key = `${data.results[at + 1]} ${msg.replaceAll(data.hosts[data.results[at]!]!, '')}`
      groups.set(key, [...(groups.get(key) ?? []), at])
    }
    const box = find<HTMLDetailsElement>('problems')
    box.hidden = groups.size === 0
    box.open = !narrow()
    const hosts = new Set([...groups.values()].flat().map((at) => data.results[at]!))
    box.querySelector('summary')!.textContent = `Problems on ${hosts.size} of ${data.hosts.length} hosts`
    for (const group of [...groups.values()].sort((a, b) => b.length - a.length).slice(0, 100)) {
      const [at] = group as [number]
      const line = document.createElement('button')
      const title = document.createElement('b')
      const task = data.tasks[data.results[at + 1]!]!
      title.textContent = task.name
      const play = data.plays.length > 1 ? ` in ${data.plays[task.play]}` : ''
      const names = group.slice(0, 5).map((one) => data.hosts[data.results[one]!])
      const more = group.length > 5 ? ` and ${group.length - 5} more` : ''
      const text = document.createElement('span')
      text.textContent = (data.details[data.results[at + 5]!]?.msg ?? '').split('\n')[0]!
      line.append(title, `${play} on ${names.join(', ')}${more}`, text)
      line.addEventListener('click', () => {
        show(at)
        reveal(at)
      })
      box.append(line)
    }
  }

  const chips = (): void => {
    for (const [code, name] of statuses.entries()) {
      const n = has.filter((codes) => codes.has(code)).length
      if (n === 0) continue
      const chip = document.createElement('button')
      const dot = document.createElement('span')
      dot.className = 'dot'
      dot.style.background = `var(--${name})`
      chip.append(dot, `${name} ${n}`)
      chip.title = `${n} hosts with ${name} tasks; click to show only them`
      chip.setAttribute('aria-pressed', 'false')
      chip.addEventListener('click', () => {
        wanted = wanted === code ? undefined : code
        for (const other of find('chips').children)
          other.setAttribute('aria-pressed', String(other === chip && wanted !== undefined))
        arrange()
      })
      find('chips').append(chip)
    }
  }

  const turn = (to: typeof mode): void => {
    mode = to
    zoom = 1
    scroll.scrollLeft = 0
    for (const button of modes.children) button.setAttribute('aria-pressed', String(button.id === to))
    draw()
  }
  for (const button of modes.children) button.addEventListener('click', () => turn(button.id as typeof mode))
  const zoomBy = (factor: number): void => {
    const middle = (scroll.scrollLeft + scroll.clientWidth / 2) / zoom
    zoom = Math.min(200, Math.max(mode === 'time' ? 1 : 0.5, zoom * factor))
    draw()
    requestAnimationFrame(() => {
      scroll.scrollLeft = middle * zoom - scroll.clientWidth / 2
    })
  }
  zoomIn.addEventListener('click', () => zoomBy(1.6))
  zoomOut.addEventListener('click', () => zoomBy(1 / 1.6))
  search.addEventListener('input', arrange)
  sort.addEventListener('change', arrange)
  scroll.addEventListener('scroll', draw, { passive: true })
  new ResizeObserver(draw).observe(scroll)
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    colours = {}
    readColours()
    draw()
  })
  sort.value = data.hosts.length > 20 ? 'problems' : 'run'
  readColours()
  chips()
  problems()
  turn('grid')
  arrange()
  document.documentElement.dataset.ready = 'yes'
}
