"""How the page of results looks: on paper, in the light and in the dark."""

STYLE = """
:root { --ink: #16202c; --soft: #5c6875; --line: #e3e7ec; --paper: #fff; --tint: #f4f6f9;
  --good: #16794a; --bad: #b3261e; --good-tint: #e2f4ea; --bad-tint: #fde7e5;
  --v0: #8592a3; --v1: #1d5fd0; --v2: #c2560c; --v3: #7a3fc4; --v4: #0c7f86; --v5: #a8306f }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf3; --soft: #98a4b3; --line: #2b3542;
  --paper: #161c24; --tint: #0e1319; --good: #5fd197; --bad: #ff8a80; --good-tint: #143626;
  --bad-tint: #43201e; --v0: #77859a; --v1: #6ba3ff; --v2: #ff9a55; --v3: #b98cff; --v4: #45c4cc;
  --v5: #ff7fbe } }
* { box-sizing: border-box }
body { margin: 0; background: var(--tint); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif;
  -webkit-print-color-adjust: exact; print-color-adjust: exact }
main { max-width: 1080px; margin: 40px auto; padding: 52px 56px; background: var(--paper);
  border-radius: 14px; box-shadow: 0 1px 2px #0001, 0 12px 40px #16202c14 }
h1 { margin: 0; font-size: 30px; letter-spacing: -.02em; overflow-wrap: anywhere }
h2 { margin: 44px 0 0; font-size: 20px; letter-spacing: -.01em }
h3 { margin: 22px 0 4px; font-size: 16px } h3 small, .soft { color: var(--soft); font-weight: 400 }
.hypothesis { margin: 8px 0 0; max-width: 70ch; color: var(--soft); font-size: 16px }
.decision { margin: 24px 0 0; padding: 12px 16px; border-left: 3px solid var(--v1);
  background: var(--tint); border-radius: 0 8px 8px 0 } .decision b { margin-right: 8px }
.state { display: inline-block; margin-left: 12px; padding: 2px 10px; border-radius: 99px;
  font-size: 12px; font-weight: 600; vertical-align: middle; background: var(--tint);
  color: var(--soft); text-transform: uppercase; letter-spacing: .04em }
.state.running { background: var(--good-tint); color: var(--good) }
dl { display: flex; flex-wrap: wrap; gap: 14px 44px; margin: 26px 0 0 }
dt { color: var(--soft); font-size: 13px }
dd { margin: 0; font-weight: 500; font-variant-numeric: tabular-nums }
.split { margin: 28px 0 0; padding: 16px 20px; border-radius: 12px; background: var(--tint) }
.split p { margin: 0 } .split.broken { background: var(--bad-tint); color: var(--bad) }
.split.broken p { font-weight: 600 }
.parts { display: flex; gap: 2px; height: 8px; margin: 12px 0 10px; border-radius: 99px;
  overflow: hidden; background: var(--line) }
.legend { display: flex; flex-wrap: wrap; gap: 4px 22px; font-size: 13px }
.legend b { display: inline-block; width: 10px;
  height: 10px; margin-right: 7px; border-radius: 3px }
i.v0, b.v0 { background: var(--v0) } i.v1, b.v1 { background: var(--v1) }
i.v2, b.v2 { background: var(--v2) } i.v3, b.v3 { background: var(--v3) }
i.v4, b.v4 { background: var(--v4) } i.v5, b.v5 { background: var(--v5) }
.wide { overflow-x: auto }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }
th { text-align: right; color: var(--soft); font-size: 12.5px; font-weight: 500;
  white-space: nowrap }
th, td { padding: 7px 0 7px 18px; border-bottom: 1px solid var(--line) }
td { text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left; padding-left: 0; font-weight: 500 }
th.chart, td.chart { text-align: center; width: 300px; min-width: 220px }
td.chart small { display: block; color: var(--soft); font-size: 12px; line-height: 1.3 }
tr:last-child td { border-bottom: 0 }
.verdict { padding: 2px 9px; border-radius: 99px; font-size: 12.5px; background: var(--tint);
  color: var(--soft) } .verdict.control { background: none; padding-right: 0 }
.verdict.better { background: var(--good-tint); color: var(--good); font-weight: 600 }
.verdict.worse { background: var(--bad-tint); color: var(--bad); font-weight: 600 }
svg { display: block; width: 100% } svg.bar { height: 26px; color: var(--soft) }
svg.better { color: var(--good) } svg.worse { color: var(--bad) }
.span { fill: currentColor; opacity: .28 } .dot { fill: currentColor }
.zero { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 3 3 }
.grid { stroke: var(--line); stroke-width: 1 }
svg.course { margin: 12px 0 4px } svg text { fill: var(--soft); font-size: 11.5px }
svg .end { text-anchor: end } .band { opacity: .16 } .line { fill: none; stroke-width: 2 }
.band.v0 { fill: var(--v0) } .line.v0 { stroke: var(--v0) }
.band.v1 { fill: var(--v1) } .line.v1 { stroke: var(--v1) }
.band.v2 { fill: var(--v2) } .line.v2 { stroke: var(--v2) }
.band.v3 { fill: var(--v3) } .line.v3 { stroke: var(--v3) }
.band.v4 { fill: var(--v4) } .line.v4 { stroke: var(--v4) }
.band.v5 { fill: var(--v5) } .line.v5 { stroke: var(--v5) }
details { margin-top: 44px; color: var(--soft); font-size: 13.5px }
details p { max-width: 90ch } summary { cursor: pointer; color: var(--ink); font-weight: 500 }
@media (max-width: 720px) { main { margin: 0; padding: 28px 20px; border-radius: 0 } }
@media print { :root { --paper: #fff; --tint: #f4f6f9; --ink: #16202c; --soft: #5c6875;
  --line: #e3e7ec; --good: #16794a; --bad: #b3261e; --good-tint: #e2f4ea; --bad-tint: #fde7e5;
  --v0: #8592a3; --v1: #1d5fd0; --v2: #c2560c; --v3: #7a3fc4; --v4: #0c7f86; --v5: #a8306f }
  body { background: none; font-size: 12px } main { margin: 0; padding: 0; box-shadow: none;
  max-width: none } h2, h3 { break-after: avoid } article { break-inside: avoid }
  th, td { padding-left: 10px } th.chart, td.chart { width: 200px; min-width: 150px } }
"""
