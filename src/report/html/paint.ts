/// <reference lib="dom" />
import type { PageData } from './model.ts'

/** What the canvas shows, all in CSS pixels. */
export interface View {
  readonly context: CanvasRenderingContext2D
  readonly width: number
  readonly height: number
  readonly left: number
  readonly top: number
  readonly mode: 'grid' | 'time'
  /** Of the columns, or of a second. */
  readonly step: number
  readonly row: number
  readonly labels: number
  readonly head: number
  /** Hosts in the order of the rows. */
  readonly order: readonly number[]
  /** Indexes into `results` (of its first number), by host. */
  readonly byHost: readonly (readonly number[])[]
  readonly selected: number
  readonly colours: Readonly<Record<string, string>>
  readonly statuses: readonly string[]
}

/**
 * Draws what of the grid can be seen. It goes into the page as its own source text, so it uses nothing from outside itself.
 */
export function paint(data: PageData, view: View): void {
  const { context: c, width, height, left, top, mode, step, row, labels, head, order, byHost, colours, statuses } = view
  const colour = (name: string): string => colours[name] ?? '#888'
  const marks: Readonly<Record<string, string>> = { failed: '×', unreachable: '!', ignored: '~', rescued: '~' }
  const fit = (text: string, room: number): string => {
    if (c.measureText(text).width <= room) return text
    let [low, high] = [0, text.length]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (c.measureText(`${text.slice(0, middle)}…`).width <= room) low = middle
      else high = middle - 1
    }
    return `${text.slice(0, low)}…`
  }
  /** Names of hosts differ at their ends. */
  const ending = (text: string, room: number): string => {
    let from = 0
    while (from < text.length && c.measureText(from > 0 ? `…${text.slice(from)}` : text).width > room) from++
    return from > 0 ? `…${text.slice(from)}` : text
  }
  c.clearRect(0, 0, width, height)
  c.textBaseline = 'middle'
  c.font = '12px system-ui, sans-serif'
  const first = Math.floor(top / row)
  const last = Math.min(order.length - 1, Math.ceil((top + height - head) / row))
  const seconds = (ms: number): number => labels + (ms / 1000) * step - left
  const columnAt = (task: number): number => labels + task * step - left

  c.save()
  c.beginPath()
  c.rect(labels, head, width - labels, height - head)
  c.clip()
  for (let i = first; i <= last; i++) {
    const y = head + i * row - top
    c.fillStyle = colour('line')
    c.fillRect(labels, y + row - 1, width, 0.5)
    for (const at of byHost[order[i]!] ?? []) {
      const [task, code, start, took] = [1, 2, 3, 4].map((n) => data.results[at + n]!) as [
        number,
        number,
        number,
        number,
      ]
      const name = statuses[code]!
      const x = mode === 'grid' ? columnAt(task) : seconds(start)
      const wide = mode === 'grid' ? step - 1 : Math.max(2, (took / 1000) * step)
      if (x > width || x + wide < labels) continue
      c.fillStyle = colour(name)
      // Neighbours of one colour are told apart by the gap.
      c.fillRect(x, y + 2, mode === 'time' && wide > 4 ? wide - 1 : wide, row - 4)
      const mark = marks[name]
      if (mark && wide >= 7) {
        c.fillStyle = colour('bg')
        c.textAlign = 'center'
        c.font = 'bold 13px system-ui, sans-serif'
        c.fillText(mark, x + wide / 2, y + row / 2 + 0.5)
        c.font = '12px system-ui, sans-serif'
      }
      if (at === view.selected) {
        c.strokeStyle = colour('fg')
        c.lineWidth = 2
        c.strokeRect(x, y + 1.5, wide, row - 3)
      }
    }
  }
  c.restore()

  c.fillStyle = colour('bg')
  c.fillRect(0, head, labels - 4, height - head)
  c.textAlign = 'left'
  for (let i = first; i <= last; i++) {
    c.fillStyle = colour('fg')
    c.fillText(ending(data.hosts[order[i]!]!, labels - 18), 10, head + i * row - top + row / 2)
  }

  c.fillStyle = colour('bg')
  c.fillRect(0, 0, width, head)
  c.fillStyle = colour('line')
  c.fillRect(0, head - 1, width, 1)
  c.save()
  c.beginPath()
  c.rect(labels - 4, 0, width - labels + 4, head)
  c.clip()
  if (mode === 'grid') {
    let play = -1
    for (let task = 0; task < data.tasks.length; task++) {
      const x = columnAt(task)
      const one = data.tasks[task]!
      if (one.play !== play) {
        play = one.play
        c.fillStyle = colour('line')
        if (task > 0) c.fillRect(x - 1, 0, 1, height)
        let end = task
        while (data.tasks[end]?.play === play) end++
        const room = (end - task) * step - 8
        c.fillStyle = colour('fg')
        c.font = '600 12px system-ui, sans-serif'
        // The name stays in sight while its columns are.
        const shift = Math.min(Math.max(0, labels - x), Math.max(0, room - 60))
        if (x + room > 0 && room > 12) c.fillText(fit(data.plays[play] ?? '', room - shift), x + shift + 3, 10)
        c.font = '12px system-ui, sans-serif'
      }
      if (x < labels - step || x > width + head) continue
      c.save()
      c.translate(x + step / 2 + 2, head - 6)
      c.rotate(-Math.PI / 3)
      c.fillStyle = one.handler ? colour('accent') : colour('dim')
      c.fillText(fit(one.name, (head - 30) * 1.1), 0, 0)
      c.restore()
    }
  } else {
    const apart =
      [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200].find((s) => s * step >= 70) ?? 14400
    for (let s = Math.floor(left / step / apart) * apart; seconds(s * 1000) < width; s += apart) {
      const x = seconds(s * 1000)
      c.fillStyle = colour('line')
      c.fillRect(x, head - 8, 1, 8)
      c.fillStyle = colour('dim')
      const whole = Math.round(s * 10) / 10
      const text = whole < 120 ? `${whole} s` : `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ''}`
      c.fillText(text, x + 3, head - 14)
    }
  }
  c.restore()
}
