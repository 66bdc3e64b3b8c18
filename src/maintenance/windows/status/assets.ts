/** Style and script of the status page. Nothing is loaded from elsewhere. */

export const STYLE = `
:root{color-scheme:light dark;--bg:#f5f6f8;--card:#fff;--ink:#16191d;--dim:#5c6470;--line:#dfe3e8;--accent:#1659c7;
--good:#14743a;--bad:#b3261e;--warn:#8a5200;--badbg:#fdeceb;--onbg:#e8f0fe}
@media (prefers-color-scheme:dark){:root{--bg:#0f1215;--card:#181c21;--ink:#e7eaee;--dim:#9aa4b0;--line:#2b323a;
--accent:#8ab4f8;--good:#6fcf8e;--bad:#ff8a80;--warn:#f0b45a;--badbg:#2d1715;--onbg:#16243d}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:.75rem 1rem 3rem;background:var(--bg);color:var(--ink);
font:1rem/1.45 system-ui,sans-serif;overflow-wrap:anywhere}
header{display:flex;justify-content:space-between;align-items:baseline;gap:1rem}
h1{font-size:1rem;margin:.25rem 0;color:var(--dim);font-weight:600}
header p{margin:0;font-size:.875rem;color:var(--dim)}
h2{font-size:1.0625rem;margin:1.5rem 0 .5rem}
.card>h2{margin-top:0}
h3{font-size:1rem;margin:0}
p{margin:.25rem 0}
small{color:var(--dim);font-size:.875rem;font-weight:400}
.card,.hero{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:.875rem 1rem}
.card{margin:.75rem 0}
.hero{border-left:.375rem solid var(--good)}
.hero.on{border-left-color:var(--accent);background:var(--onbg)}
.big{font-size:1.375rem;font-weight:650;margin:0;line-height:1.25}
.bad{border-color:var(--bad);background:var(--badbg)}
.bad h2{color:var(--bad)}
.note{color:var(--warn);font-weight:550}
.meta,.detail{color:var(--dim);font-size:.875rem}
.detail{display:block}
a{color:var(--accent)}
.do{margin-top:.5rem;font-size:.875rem;color:var(--dim)}
.do code{display:block;color:var(--ink)}
ul{list-style:none;margin:0;padding:0}
.plain>li{padding:.5rem 0;border-top:1px solid var(--line)}
.plain>li:first-child{border-top:0;padding-top:0}
.plain>li:last-child{padding-bottom:0}
time{white-space:nowrap}
.bad.card .plain>li{border-color:color-mix(in srgb,var(--bad) 30%,transparent)}
code,pre{font:.8125rem/1.4 ui-monospace,monospace;background:color-mix(in srgb,var(--ink) 8%,transparent);border-radius:.375rem}
code{display:inline-block;padding:.25rem .5rem;margin-top:.375rem;user-select:all}
pre{padding:.5rem;margin:.375rem 0 0;white-space:pre-wrap}
progress{width:100%;height:.75rem;accent-color:var(--accent)}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(8rem,1fr));gap:.5rem 1rem;margin:.5rem 0}
dt{color:var(--dim);font-size:.875rem}
dd{margin:0;font-weight:600}
dd small{display:block}
.nodes li{display:grid;grid-template-columns:1rem 1fr auto;column-gap:.5rem;align-items:baseline;padding:.5rem 0;
border-top:1px solid var(--line)}
.nodes li:first-child{border-top:0;padding-top:0}
.nodes li:last-child{padding-bottom:0}
details .nodes{padding:.5rem 0 .5rem .25rem}
.nodes .detail{grid-column:2/-1}
.state{color:var(--dim);font-size:.875rem;text-align:right}
.dot{width:.625rem;height:.625rem;border-radius:50%;background:var(--dim);align-self:center}
.waiting .dot,.left_out .dot{background:transparent;border:2px solid var(--dim)}
.running .dot{background:var(--accent)}
.done .dot{background:var(--good)}
.failed .dot{background:var(--bad)}
.finishing .dot,.stopping .dot,.rolling_back .dot,.rolled_back .dot{background:var(--warn)}
.failed .state{color:var(--bad);font-weight:600}
.tag{display:inline-block;font-size:.8125rem;font-weight:600;padding:.0625rem .5rem;border-radius:1rem;
border:1px solid currentColor;color:var(--dim)}
.tag.done{color:var(--good)}.tag.failed,.tag.interrupted{color:var(--bad)}.tag.cut,.tag.missed{color:var(--warn)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,20rem),1fr));gap:.75rem}
.cards .card{margin:0}
.when{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1rem;font-weight:600}
.when span{color:var(--accent)}
summary{cursor:pointer;min-height:2.75rem;padding:.25rem 0}
summary h2{display:inline}
.log{font-size:.875rem}
.log time,.history time{color:var(--dim)}
.log .trouble,.log .node_failed,.log .missed{color:var(--bad)}
.pulse{display:inline-block;width:.75rem;height:.75rem;border-radius:50%;background:var(--accent);margin-right:.5rem}
.lost{color:var(--bad);font-weight:600}
@media (prefers-reduced-motion:no-preference){.pulse{animation:pulse 2s infinite}}
@keyframes pulse{50%{opacity:.25}}
@media (min-width:60rem){main{display:grid;grid-template-columns:1fr 1fr;column-gap:1.5rem;align-items:start}
#now,#attention,#running,#windows,#log{grid-column:1/-1}}
`

export const SCRIPT = `
'use strict'
const main = document.querySelector('main')
const live = document.getElementById('live')
const source = new EventSource('events')
let heard = Date.now()
source.addEventListener('page', (event) => {
  heard = Date.now()
  const { title, html } = JSON.parse(event.data)
  document.title = title
  const fresh = document.createElement('main')
  fresh.innerHTML = html
  // What is folded out stays so.
  for (const open of main.querySelectorAll('details[open][id]')) {
    const same = fresh.querySelector('#' + CSS.escape(open.id))
    if (same) same.open = true
  }
  // Only what has changed, so that a reader's place and selection stay.
  const old = new Map([...main.children].map((one) => [one.id, one]))
  for (const one of [...fresh.children]) {
    const before = old.get(one.id)
    old.delete(one.id)
    main.append(before && before.outerHTML === one.outerHTML ? before : one)
    if (before && before.outerHTML !== one.outerHTML) before.remove()
  }
  for (const gone of old.values()) gone.remove()
  say()
})
function say() {
  const lost = source.readyState !== EventSource.OPEN || Date.now() - heard > 30000
  live.className = lost ? 'lost' : ''
  live.textContent = lost ? 'not connected since ' + new Date(heard).toTimeString().slice(0, 5) : 'live'
}
source.addEventListener('open', say)
source.addEventListener('error', say)
setInterval(say, 5000)
say()
`
