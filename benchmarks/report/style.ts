// The looks of report.html: calm, readable from a telephone to paper, light and dark.
import { paletteVariables } from './plots/palette.ts'

/** The style sheet of the page. */
export const styleSheet = `
:root {
  --paper: #fcfbf8; --panel: #f4f2ec; --band: #f4f2ec; --line: #e2dfd6; --ink: #1c2126; --quiet: #5d6670;
  --link: #00598c; --good: #00694d; --bad: #a83c00; --bad-paper: #fbeee6;
  ${paletteVariables('light')}
  --text: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif;
  --code: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --panel: #1c2024; --band: #1b1f23; --line: #2e343a; --ink: #e8e6e1; --quiet: #9aa4ae;
    --link: #7cc0ec; --good: #4fcda5; --bad: #ff9f63; --bad-paper: #33231a;
    ${paletteVariables('dark')}
  }
}
* { box-sizing: border-box }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; scroll-behavior: smooth }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 var(--text); overflow-wrap: anywhere }
header, main, footer { max-width: 1220px; margin: 0 auto; padding: 0 clamp(16px, 4vw, 40px) }
header { padding-top: clamp(28px, 6vw, 64px) }
a { color: var(--link) }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 2px }
.skip { position: absolute; left: -999px; top: 0; background: var(--paper); padding: 8px 16px; z-index: 2 }
.skip:focus { left: 8px; top: 8px }
.product { margin: 0; color: var(--quiet); font-size: .875rem; letter-spacing: .02em }
h1 { margin: 2px 0 6px; font-size: clamp(1.75rem, 5vw, 2.75rem); line-height: 1.15; letter-spacing: -.02em; font-weight: 650; text-wrap: balance }
.facts { margin: 0; color: var(--quiet); font-size: .9375rem }
.facts span + span::before { content: "· " }
nav ul { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 24px 0 0; padding: 12px 0; list-style: none; border-block: 1px solid var(--line); font-size: .9375rem }
nav a { text-decoration: none; display: inline-block; padding: 2px 0 }
nav a:hover { text-decoration: underline }
section { margin-top: clamp(40px, 7vw, 72px) }
section:first-child { margin-top: 32px }
h2 { margin: 0 0 6px; font-size: 1.375rem; line-height: 1.25; letter-spacing: -.01em; font-weight: 620; scroll-margin-top: 16px }
#verdict h2 { color: var(--quiet); font-size: .9375rem; font-weight: 500; letter-spacing: 0 }
main p, main ul { max-width: 72ch }
.intro { margin: 0 0 18px; color: var(--quiet) }
.statement { margin: 0 0 28px; max-width: 34em; font-size: clamp(1.25rem, 3.2vw, 1.75rem); line-height: 1.35; letter-spacing: -.012em; font-weight: 500; text-wrap: pretty }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 200px), 1fr)); gap: 1px; margin: 0 0 32px; background: var(--line); border: 1px solid var(--line); border-radius: 10px; overflow: hidden }
.figures div { display: flex; flex-direction: column; padding: 18px 20px; background: var(--paper) }
.figures dt { order: 2; font-weight: 550; line-height: 1.35 }
.figures dd { margin: 0 }
.figures .value { order: 1; font-size: clamp(1.75rem, 4vw, 2.375rem); line-height: 1.15; letter-spacing: -.02em; font-weight: 600; font-variant-numeric: tabular-nums; margin-bottom: 4px }
.figures .note { order: 3; margin-top: 2px; color: var(--quiet); font-size: .875rem; line-height: 1.4 }
.figures .bad .value { color: var(--bad) }
.scroll { overflow-x: auto; margin: 0 0 24px; max-width: 100%; width: fit-content; min-width: min(100%, 34rem) }
table { border-collapse: collapse; font-size: .875rem; line-height: 1.35; font-variant-numeric: tabular-nums; width: 100% }
caption { caption-side: top; text-align: left; font-weight: 550; font-size: .9375rem; padding: 0 0 8px }
caption span { position: sticky; left: 0; display: inline-block; max-width: min(60ch, calc(100vw - 32px)) }
caption, figcaption { text-wrap: pretty }
th, td { padding: 8px 12px; text-align: left; vertical-align: top; border-top: 1px solid var(--line); overflow-wrap: normal }
th:last-child, td:last-child { padding-right: 4px }
thead th { border-top: 0; color: var(--quiet); font-weight: 500; white-space: nowrap }
thead .name { white-space: normal; min-width: 9rem; overflow-wrap: anywhere }
tbody tr:last-child > * { border-bottom: 1px solid var(--line) }
tbody th { font-weight: 550; position: sticky; left: 0; z-index: 1; background: var(--paper); padding-left: 2px; min-width: 7rem; max-width: 15rem; overflow-wrap: anywhere }
tbody th.long { min-width: 12rem }
thead th:first-child { padding-left: 2px }
td { min-width: 4.5rem }
td.left { min-width: 8.5rem; max-width: 30rem; overflow-wrap: anywhere }
td.right, td.word, .option { white-space: nowrap }
td.right .long { white-space: normal; width: max-content; max-width: 11rem; margin-left: auto }
th.right, td.right { text-align: right }
small { display: block; color: var(--quiet); font-size: .8125rem; font-weight: 400; margin-top: 1px }
td.good { color: var(--good) }
td.bad { color: var(--bad) }
td.muted { color: var(--quiet) }
tbody tr:hover > * { background: var(--panel) }
.swatch { display: inline-block; width: .8125em; height: .8125em; margin-right: .375em; vertical-align: -.05em; overflow: visible; print-color-adjust: exact; -webkit-print-color-adjust: exact }
tbody th:has(.swatch) { padding-left: 1.3em; text-indent: -1.1875em }
tbody th small { text-indent: 0 }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 500px), 1fr)); gap: 32px 24px; margin: 0 0 28px }
figure { margin: 0 }
figcaption { font-weight: 550; font-size: .9375rem; max-width: 60ch; margin-bottom: 6px }
.plot-figure { max-width: 640px; break-inside: avoid }
.plot { display: block; width: 100%; height: auto; max-width: 640px; overflow: visible; font-variant-numeric: tabular-nums }
.plot text { white-space: pre; paint-order: stroke; stroke-linejoin: round }
.drawn { position: relative; max-width: 640px }
.cards { margin: 0; padding: 0; list-style: none }
.point { position: absolute; left: var(--left); top: var(--top); width: 24px; height: 24px; margin: -12px 0 0 -12px; border-radius: 50% }
.point:hover, .point:focus { outline: 2px solid var(--ink); outline-offset: -3px }
.card { display: none; position: absolute; z-index: 3; width: 252px; left: clamp(0px, var(--left) - 126px, 100% - 252px); padding: 10px 14px; background: var(--paper); border: 1px solid var(--line); border-radius: 8px; box-shadow: 0 4px 18px rgb(0 0 0 / .16); font-size: .8125rem; line-height: 1.4 }
.card.below { top: calc(var(--top) + 12px) }
.card.above { bottom: calc(100% - var(--top) + 12px) }
.point:hover + .card, .point:focus + .card, .card:hover { display: block }
.point:hover + .card, .card:hover { z-index: 4 }
.card p { margin: 0 0 4px; font-weight: 600 }
.card dl { display: grid; grid-template-columns: auto 1fr; gap: 1px 12px; margin: 0 }
.card dt { color: var(--quiet) }
.card dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums }
.narrow { display: none }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 0 0 4px; padding: 0; list-style: none; font-size: .875rem; color: var(--quiet) }
.samples-title { margin: 0 0 8px; font-weight: 550; font-size: .9375rem }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 9.5rem), 1fr)); gap: 12px; margin: 0 0 16px; padding: 0; max-width: none; list-style: none }
.samples > li { display: flex; flex-direction: column; gap: 6px; padding: 10px 12px; border: 1px solid var(--line); border-radius: 8px; min-width: 0; break-inside: avoid }
.samples:has(audio) { grid-template-columns: repeat(auto-fill, minmax(min(100%, 11rem), 1fr)) }
.samples:has(.wordy) { grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)) }
.samples ul li { padding-left: 1.2em; text-indent: -1.2em }
.samples ul { margin: 0; padding: 0; list-style: none; font-size: .8125rem; line-height: 1.45; color: var(--quiet) }
.sample-class { margin: 0; font-weight: 600; line-height: 1.3 }
.samples img { display: block; border-radius: 3px }
.samples .pixelated { image-rendering: pixelated }
.samples audio { width: 100%; height: 32px }
.samples blockquote { margin: 0; font-size: .875rem; line-height: 1.45 }
.wave { display: block; width: 100%; height: 32px; color: var(--quiet) }
.code { margin: 0 0 24px }
pre { margin: 0; padding: 14px 16px; background: var(--panel); border-radius: 8px; overflow-x: auto; font: .8125rem/1.55 var(--code); overflow-wrap: normal; max-width: 52rem }
footer { margin-top: 64px; padding-bottom: 48px; color: var(--quiet); font-size: .875rem }
@media (max-width: 600px) {
  .wide { display: none }
  .narrow { display: block }
  .figures div { padding: 14px 16px }
  .samples:not(:has(.wordy)) { grid-template-columns: repeat(2, minmax(0, 1fr)) }
  tbody th { max-width: 9.5rem }
  tbody th.long { min-width: 8.5rem }
}
@media print {
  @page { size: A4 landscape; margin: 12mm }
  :root { --paper: #fff }
  html { font-size: 12px }
  body { font-size: 1rem }
  header, main, footer { max-width: none; padding-inline: 0 }
  header { padding-top: 0 }
  nav, .skip, .cards { display: none }
  section { margin-top: 28px }
  h2, .intro, figcaption, caption, .samples-title, p:has(+ ul) { break-after: avoid }
  p, tr, figure, .figures, .scroll, li { break-inside: avoid }
  .scroll { overflow: visible }
  /* Of a table that does not fit on a page no row stands alone, and each page has the head. */
  .scroll.long { break-inside: auto }
  .long tr:nth-child(-n + 3) { break-after: avoid }
  .long tr:nth-last-child(-n + 2) { break-before: avoid }
  thead { display: table-header-group; break-after: avoid }
  tbody { break-before: avoid }
  th, td { padding: 4px 8px }
  thead th, td.right { white-space: normal }
  td, td.left, thead .name { min-width: 0 }
  tbody th, tbody th.long { min-width: 7rem }
  .plot { max-height: 135mm }
  tbody th { position: static }
  .figures div { padding: 12px 16px }
  .samples audio { display: none }
  /* Inside a grid a page would break between a heading and its plots. */
  .plots { display: block }
  .plot-figure { display: inline-block; vertical-align: top; width: 48%; margin: 0 1.5% 20px 0 }
  figure.code { break-inside: auto }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; max-width: none; columns: 2 24rem; column-gap: 2rem; font-size: .75rem }
  footer { margin-top: 32px; padding-bottom: 0 }
}
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto } }
`
