/** The page's style sheet. Colours are told apart by lightness and by their marks too, not by hue alone. */
export const STYLE = `
:root { color-scheme: light dark; --bg: #fff; --fg: #1c1f24; --dim: #667080; --line: #dfe3e8; --soft: #f5f6f8; --accent: #0b61c9;
  --ok: #b9dfc3; --changed: #e8a317; --skipped: #e6e8ec; --failed: #c8202f; --ignored: #c98bd0; --rescued: #8f6fd6; --unreachable: #7a1160;
  --add: #e2f4e6; --del: #fbe5e7 }
@media (prefers-color-scheme: dark) { :root { --bg: #14171b; --fg: #e4e7ec; --dim: #97a1b0; --line: #2d333b; --soft: #1c2026; --accent: #6cb0ff;
  --ok: #2c5a3b; --changed: #d69a1a; --skipped: #2a2f37; --failed: #f0525f; --ignored: #a566b0; --rescued: #8f7be0; --unreachable: #e05cc0;
  --add: #16331f; --del: #3c1a1e } }
* { box-sizing: border-box }
html, body { height: 100%; margin: 0 }
body { display: flex; flex-direction: column; background: var(--bg); color: var(--fg); font: 14px/1.45 system-ui, sans-serif }
header { padding: 10px 16px 8px; border-bottom: 1px solid var(--line) }
h1 { display: inline; margin: 0 10px 0 0; font-size: 17px }
h2 { margin: 0 0 6px; font-size: 15px; overflow-wrap: anywhere }
h3 { margin: 12px 0 4px; font-size: 12px; color: var(--dim); font-weight: 600 }
.facts { color: var(--dim); overflow-wrap: anywhere }
.bar { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; margin-top: 8px }
button, input, select { font: inherit; color: inherit; background: var(--bg); border: 1px solid var(--line); border-radius: 6px; padding: 3px 9px; min-height: 30px }
button { cursor: pointer }
button[aria-pressed=true] { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent) }
button:focus-visible, input:focus-visible, select:focus-visible, #scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: -1px }
input { width: 150px }
.dot { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 5px; border: 1px solid rgb(0 0 0 / .15) }
#problems { max-height: 24vh; overflow: auto; border-bottom: 1px solid var(--line); padding: 4px 16px }
#problems summary { cursor: pointer; font-weight: 600 }
#problems button { display: block; width: 100%; border: 0; border-radius: 0; border-top: 1px solid var(--line); text-align: left; padding: 5px 0 }
#problems b { color: var(--failed); font-weight: 600 }
#problems span { display: block; color: var(--dim); white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
main { flex: 1; min-height: 0; display: flex }
#scroll { flex: 1; min-width: 0; overflow: auto; position: relative; touch-action: pan-x pan-y }
#scroll canvas { position: sticky; top: 0; left: 0; display: block }
#space { position: absolute; top: 0; left: 0; pointer-events: none }
#tip { position: fixed; z-index: 2; pointer-events: none; max-width: 340px; padding: 5px 9px; border-radius: 6px; background: var(--fg); color: var(--bg); font-size: 12.5px; white-space: pre-line; overflow-wrap: anywhere }
aside { width: 440px; max-width: 45vw; overflow: auto; padding: 12px 16px; border-left: 1px solid var(--line) }
aside .close { float: right }
aside p { margin: 4px 0; overflow-wrap: anywhere }
pre { margin: 0; padding: 7px 9px; border-radius: 6px; background: var(--soft); font: 12px/1.45 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 50vh; overflow: auto }
pre .add { display: block; background: var(--add) }
pre .del { display: block; background: var(--del) }
pre .ctx { display: block }
.status { display: inline-block; padding: 0 7px; border-radius: 5px; border: 1px solid var(--line) }
[hidden] { display: none !important }
@media (max-width: 720px) {
  header { padding: 8px 10px } #problems { padding: 4px 10px } input { flex: 1; min-width: 110px }
  aside { position: fixed; z-index: 1; left: 0; right: 0; bottom: 0; width: auto; max-width: none; height: 62vh; border: 0; border-top: 2px solid var(--line);
    background: var(--bg); box-shadow: 0 -6px 24px rgb(0 0 0 / .25) }
}
`
