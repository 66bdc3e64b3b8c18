/** The status page of `runbook schedule run` in Chromium: live, on a phone and a screen, and without JavaScript. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { browser, hasChromium } from '../maintenance/windows/browser.ts'
import { runbook } from './runbook.ts'
import { daemon, site, window } from './schedule-support.ts'

t.setTimeout(290_000)

/** .ci/run installs it. */
const skip = !hasChromium() && process.env.RUNBOOK_REQUIRE_LAB !== '1' ? 'no chromium' : false

t.test('the page in a browser', { skip }, async (t) => {
  const { folder, write } = site(t, `windows:\n${window('workers', '    max_failures: 3\n')}`)
  write(
    'cycle.yml',
    `${readFileSync(join(folder, 'cycle.yml'), 'utf8')}    - name: Break
      fail: { msg: '<script>document.title="broken"</script><img src=x onerror=alert(1)>' }
      when: inventory_hostname == 'w2'
`,
  )
  const one = await daemon(t, folder)
  await using page = await browser()
  await page.screen(390, 'light')
  await page.open(one.address)
  await page.until('document.getElementById("live").textContent === "live"')
  t.match(
    await page.evaluate('document.body.innerText'),
    /No window is open[\s\S]*Next: workers in [\s\S]*Windows[\s\S]*workers/,
  )
  await runbook(['schedule', 'trigger', 'workers'], folder)
  await page.until('document.querySelector("#now").innerText.includes("workers is open")')
  await page.until('document.querySelector("#running .running .detail")?.innerText === "now: Wait for hands"')
  t.equal(await page.evaluate('document.title'), '0/3 workers · maintenance')
  for (const host of ['w1', 'w2', 'w3']) write(`go-${host}`, '')
  await page.until('document.querySelector("#attention")?.innerText.includes("w2")')
  await page.until('document.querySelector("#now").innerText.includes("No window is open")')
  t.match(
    await page.evaluate('document.querySelector("#attention").innerText'),
    /w2 failed .*Break[\s\S]*<script>[\s\S]*runbook node doctor w2/,
  )
  await page.evaluate('document.querySelector("#history details").open = true')
  await new Promise((resolve) => setTimeout(resolve, 6000))
  t.ok(await page.evaluate('document.querySelector("#history details").open'), 'stays folded out')
  for (const width of [390, 1280])
    for (const scheme of ['light', 'dark'] as const) {
      await page.screen(width, scheme)
      t.ok(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), `nothing sticks out at ${width}`)
    }
  t.not(await page.evaluate('document.title'), 'broken')
  t.same(page.complaints, [])
  t.ok(
    page.requests.every((url) => url.startsWith(one.address) || url.startsWith('data:')),
    page.requests.join(' '),
  )
  one.child.kill('SIGKILL')
  await page.until('document.getElementById("live").textContent.startsWith("not connected since")')
  const two = await daemon(t, folder)
  await using plain = await browser()
  await plain.withoutScript()
  await plain.screen(390, 'dark')
  await plain.open(two.address)
  t.match(
    await plain.evaluate('document.body.innerText'),
    /No window is open[\s\S]*Needs somebody[\s\S]*w2[\s\S]*History/,
    'without JavaScript',
  )
})
