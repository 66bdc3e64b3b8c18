/** The page of `--report`: what it holds, and that a browser shows it. */
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Model, type PageData } from '../../src/report/html/model.ts'
import { htmlReport } from '../../src/report/html/page.ts'
import { UserError } from '../../src/shared/errors.ts'
import { openBrowser, skipWithoutBrowser } from './browser.ts'
import { HOSTILE, htmlEvents } from './html-events.ts'

t.setTimeout(180_000)

const folder = mkdtempSync(join(tmpdir(), 'runbook-html-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

/** Writes the page of a made-up run, and gives its path. */
function pageOf(hosts: number, tasks: number, hostile = ''): string {
  const path = join(folder, `${hosts}x${tasks}${hostile && '-hostile'}.html`)
  const report = htmlReport(path, '--report')
  for (const event of htmlEvents(hosts, tasks, hostile)) report.event(event)
  report.close((text) => t.fail(text))
  return path
}

function dataIn(path: string): PageData {
  const [, json] = /<script type="application\/json" id="data">(.*)<\/script>/.exec(readFileSync(path, 'utf8')) ?? []
  return JSON.parse(json!) as PageData
}

t.test('what is in it', async (t) => {
  const model = new Model()
  const events = [...htmlEvents(4, 12)]
  for (const event of events) model.event(event)
  const data = model.data()
  const results = events.filter((e) => e.type === 'task_result')
  t.equal(data.results.length, results.length * 6)
  for (const [i, event] of results.entries()) {
    const [host, task, , start, took] = data.results.slice(i * 6, i * 6 + 6) as [number, number, number, number, number]
    t.match({ host: data.hosts[host], task: data.tasks[task]!.name }, { host: event.host, task: event.task })
    t.ok(Math.abs(data.at + start + took - event.at) <= 2)
  }
  t.same(
    data.tasks.map(({ play }) => play),
    data.tasks.map(({ play }) => play).toSorted((a, b) => a - b),
    'columns stand by play',
  )
  const path = pageOf(4, 12)
  t.same(dataIn(path), JSON.parse(JSON.stringify(data)))
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.notMatch(readFileSync(path, 'utf8'), /(src|href)=["']?(https?:)?\/\//, 'nothing from elsewhere')
})

t.test('a file that cannot be written is known before the run', async (t) => {
  t.throws(() => htmlReport(join(folder, 'no/such/run.html'), '--report'), UserError)
  const path = join(folder, 'never.html')
  htmlReport(path, '--report').close(() => {})
  t.throws(() => statSync(path), 'no run, no file')
})

t.test('in a browser', { skip: skipWithoutBrowser() }, async (t) => {
  await using page = await openBrowser()
  const count = (selector: string) =>
    page.evaluate<number>(`document.querySelectorAll(${JSON.stringify(selector)}).length`)
  const text = (selector: string) =>
    page.evaluate<string>(`document.querySelector(${JSON.stringify(selector)}).innerText`)
  /** How many different colours a part of the canvas has: nothing drawn is one. */
  const colours = (x: number, y: number) =>
    page.evaluate<number>(
      `new Set(new Uint32Array(document.getElementById('view').getContext('2d').getImageData(${x}, ${y}, 400, 200).data.buffer)).size`,
    )

  await t.test('300 hosts by 100 tasks', async (t) => {
    const path = pageOf(300, 100)
    t.ok(statSync(path).size < 2_000_000, `${statSync(path).size} bytes`)
    await page.size(1280, 800)
    const ms = await page.open(path)
    t.comment(`${statSync(path).size} bytes, shown after ${Math.round(ms)} ms`)
    t.ok(ms < 15_000)
    t.ok((await count('*')) < 300, 'what is out of sight costs nothing')
    t.ok((await colours(190, 130)) > 4)
    const worst = await page.evaluate<number>(`(async () => {
      const s = document.getElementById('scroll')
      let worst = 0
      for (let i = 0; i < 40; i++) {
        s.scrollTop = i * 150
        s.scrollLeft = i * 10
        const began = performance.now()
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
        worst = Math.max(worst, performance.now() - began)
      }
      return worst
    })()`)
    t.comment(`two frames while scrolling: ${Math.round(worst)} ms at the most`)
    t.ok(worst < 3000)
    t.ok((await colours(190, 130)) > 4, 'drawn where it was scrolled to')
  })

  await t.test('details by click and by key, filters, time', async (t) => {
    await page.size(1280, 800)
    await page.open(pageOf(300, 100))
    await page.evaluate("document.querySelector('#problems button').click()")
    t.match(await text('#detail'), /failed[\s\S]*apt-get install[\s\S]*Exit status 100[\s\S]*was not found/)
    await page.key('Escape')
    t.equal(await page.evaluate("document.getElementById('detail').hidden"), true)
    const box = await page.evaluate<{ x: number; y: number }>(
      "document.getElementById('view').getBoundingClientRect().toJSON()",
    )
    await page.evaluate("document.getElementById('scroll').scrollTo(0, 0)")
    await page.click(box.x + 188, box.y + 135)
    t.match(await text('#detail h2'), /Kernel parameters 0/)
    await page.key('Escape')
    await page.evaluate("document.getElementById('scroll').focus()")
    await page.key('ArrowDown')
    await page.key('ArrowRight')
    t.match(await text('#detail h2'), /Kernel modules 1/)
    await page.evaluate("document.querySelector('#chips button[title*=unreachable]').click()")
    t.match(await text('#count'), /^\d+ of 300 hosts$/)
    await page.evaluate(
      `(() => { const s = document.getElementById('search'); s.value = 'no such'; s.dispatchEvent(new Event('input')) })()`,
    )
    t.equal(await text('#count'), '0 of 300 hosts')
    await page.evaluate(
      `(() => { const s = document.getElementById('search'); s.value = ''; s.dispatchEvent(new Event('input')) })()`,
    )
    await page.evaluate("document.getElementById('time').click()")
    t.ok((await colours(190, 60)) > 2)
    t.same(page.complaints, [])
  })

  await t.test('on a phone, in the dark, with three hosts', async (t) => {
    await page.size(390, 844, { phone: true, dark: true })
    await page.open(pageOf(3, 20))
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), 390, 'nothing hangs over')
    t.equal(await page.evaluate('getComputedStyle(document.body).backgroundColor'), 'rgb(20, 23, 27)')
    t.ok((await colours(300, 200)) > 2)
  })

  await t.test('nothing that a host says runs', async (t) => {
    await page.size(1280, 800)
    await page.open(pageOf(60, 20, HOSTILE))
    await page.evaluate("for (const one of document.querySelectorAll('#problems button')) one.click()")
    await page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    t.match(await text('#detail'), /<img src=x onerror/, 'it is shown as text')
    t.notMatch(await page.evaluate('document.title'), /^owned$/)
    t.equal(await count('img'), 0)
    t.equal(await count('script'), 2)
    t.same(page.complaints, [])
  })
})
