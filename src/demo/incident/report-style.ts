/** How the report looks: light and dark, from a phone's width on, and on paper. */
export const REPORT_STYLE = `
:root { color-scheme: light; --ink: #1c2127; --quiet: #57616c; --paper: #fff; --line: #d8dee4; --good: #1a7f37; --bad: #b42318;
  --world-0: #b42318; --world-1: #c77700; --world-2: #0b7285; --world-3: #5f3dc4; --world-4: #1f6fb8; }
@media screen and (prefers-color-scheme: dark) { :root { color-scheme: dark; --ink: #e6e9ec; --quiet: #9fabb7; --paper: #15191e;
  --line: #333b44; --good: #56d364; --bad: #ff8078; --world-0: #ff8078; --world-1: #f0b23e; --world-2: #4cc9d9;
  --world-3: #b197fc; --world-4: #74b0f4; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 .5rem; }
p, dd { max-width: 50rem; }
.lead { font-size: 1.1rem; margin: 0 0 1rem; }
.note, .axis, figcaption, small { color: var(--quiet); font-size: .875rem; }
.good { color: var(--good); } .bad { color: var(--bad); }
code { font-size: .9em; overflow-wrap: anywhere; }

table { border-collapse: collapse; width: 100%; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .45rem .6rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; white-space: nowrap; }
thead th { color: var(--quiet); font-size: .8125rem; font-weight: 500; vertical-align: bottom; white-space: normal; }
tr > :first-child { text-align: left; padding-left: 0; }
tr > :last-child { padding-right: 0; }
tbody th { font-weight: 600; white-space: normal; min-width: 16rem; }
small { display: block; font-weight: 400; }

figure { margin: 0; }
.legend { list-style: none; margin: .75rem 0 1.25rem; padding: 0; display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; }
.legend li { display: flex; align-items: center; gap: .5rem; }
.swatch { width: 28px; height: 4px; flex: none; }
.swatch path, .plot path { fill: none; stroke-width: 2.5; vector-effect: non-scaling-stroke; }
.plot { position: relative; height: 20rem; margin: .5rem 1rem 0 4.75rem; }
.plot svg { position: absolute; width: 100%; height: 100%; overflow: visible; }
.plot line { stroke: var(--line); vector-effect: non-scaling-stroke; }
.plot span { position: absolute; font-size: .8125rem; color: var(--quiet); font-variant-numeric: tabular-nums; }
.plot .claims { right: calc(100% + .6rem); transform: translateY(-50%); }
.plot .minute { top: calc(100% + .4rem); transform: translateX(-50%); }
.plot .end { position: absolute; width: 10px; height: 10px; margin: -5px; border-radius: 50%; box-shadow: 0 0 0 2px var(--paper); }
.axis { margin: 0; } .below { margin: 2rem 0 0 4.75rem; text-align: center; max-width: none; }

.measures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1.75rem 3rem; margin-top: 1rem; }
figcaption { margin-bottom: .25rem; color: var(--ink); font-weight: 600; }
.bars { display: grid; grid-template-columns: max-content 1fr; gap: .2rem .75rem; margin: 0; align-items: center; font-size: .875rem; }
.bars dd { display: flex; align-items: center; gap: .5rem; margin: 0; font-variant-numeric: tabular-nums; }
.bars .bar { flex: 1; height: .9rem; } .bars .bar + span { min-width: 3.5rem; }
.bars i { display: block; height: 100%; min-width: 2px; border-radius: 2px; }
.bars i, .plot .end { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.told dt { font-weight: 600; margin-top: .75rem; } .told dd { margin: 0; overflow-wrap: anywhere; }

@media screen and (max-width: 72rem) {
  table, tbody { display: block; } thead { position: absolute; clip-path: inset(50%); }
  tr { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: .1rem 2rem; padding: .75rem 0; border-bottom: 1px solid var(--line); }
  th, td { border: 0; padding: 0; }
  tbody th { grid-column: 1 / -1; margin-bottom: .25rem; }
  td { display: flex; justify-content: space-between; gap: .5rem; white-space: normal; }
  td::before { content: attr(data-title); color: var(--quiet); font-size: .875rem; text-align: left; }
  td > span { text-align: right; }
}
@media screen and (max-width: 40rem) {
  .plot { height: 15rem; } .below { margin-left: 0; }
  .bars { grid-template-columns: 1fr; gap: 0; } .bars dt { margin-top: .35rem; } .bars .bar:empty { display: none; }
}
@media print {
  body { font-size: 10pt; } main { padding: 0; max-width: none; } h2 { break-after: avoid; }
  tr, figure, .told dd { break-inside: avoid; } .told dt { break-after: avoid; }
  table { font-size: 8.5pt; } th, td { padding: .3rem .2rem; } tbody th { min-width: 7rem; }
  thead th, small, .note, .axis, .plot span, .bars { font-size: 8pt; } .bars { gap: .1rem .5rem; } .plot { height: 14rem; }
  .measures { grid-template-columns: 1fr 1fr; gap: 1rem 1.5rem; }
}
`;
