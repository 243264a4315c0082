"""The style sheet of the report: one set of colours for light and one for dark.

Series colours carry white figures in light and dark ones in dark with a contrast of at least 4.5.
"""

#: Classes of the strategies, in their order; more strategies than colours start again.
STRATEGY_COLOURS = ("c0", "c1", "c2", "c3", "c4", "c5")
#: Classes of figures that are no strategy.
MAIN, SIDE, NEUTRAL = "main", "side", "none"

CSS = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --card: #f6f7f9; --ink: #1b1f27; --muted: #565e6c; --rule: #d9dde4; --on-bar: #ffffff;
  --c0: #1f5fbf; --c1: #b04a12; --c2: #17734f; --c3: #83399a; --c4: #7a5c00; --c5: #a3264f; --none: #6a7180;
  --good: #17734f; --bad: #b3261e; --busy: #7a5c00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14161b; --card: #1d2027; --ink: #e8eaf0; --muted: #a4acba; --rule: #373c47; --on-bar: #14161b;
    --c0: #7fb2ff; --c1: #f2a56b; --c2: #6fd1a6; --c3: #d0a0ea; --c4: #dcc15a; --c5: #f08fae; --none: #98a1b0;
    --good: #6fd1a6; --bad: #ff8f85; --busy: #dcc15a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 72rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
}
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; padding-bottom: .3rem; border-bottom: 1px solid var(--rule); }
.status { font-weight: 600; }
.finished { color: var(--good); } .failed { color: var(--bad); } .running { color: var(--busy); }
.facts { color: var(--muted); margin: 0; overflow-wrap: anywhere; }
.reading { font-size: 1.05rem; max-width: 46rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; padding: .9rem 1rem; background: var(--card); border-radius: .5rem; min-width: 0; }
figcaption { font-weight: 600; font-size: .95rem; margin-bottom: .4rem; }
.note, .legend { color: var(--muted); font-size: .85rem; margin: .35rem 0 0; }
.legend { display: flex; flex-wrap: wrap; gap: .15rem .9rem; margin: 0 0 .4rem; }
.key { display: inline-block; width: .75em; height: .75em; border-radius: 2px; margin-right: .4em;
  background: var(--colour); }
svg { display: block; width: 100%; height: auto; }
svg text { font-size: 11px; fill: var(--muted); font-variant-numeric: tabular-nums; }
svg text.name { fill: var(--ink); }
svg text.inside { fill: var(--on-bar); }
.grid, .axis { stroke: var(--rule); stroke-width: 1; }
.axis { stroke: var(--muted); }
.line { fill: none; stroke: var(--colour); stroke-width: 2; stroke-linejoin: round; }
.dashed { stroke-dasharray: 5 3; }
.whisker { stroke: var(--colour); stroke-width: 6; opacity: .22; }
circle { fill: var(--colour); stroke: var(--card); stroke-width: 1; }
.bar { fill: var(--colour); stroke: var(--card); stroke-width: 1; }
.c0 { --colour: var(--c0); } .c1 { --colour: var(--c1); } .c2 { --colour: var(--c2); }
.c3 { --colour: var(--c3); } .c4 { --colour: var(--c4); } .c5 { --colour: var(--c5); }
.none { --colour: var(--none); } .side { --colour: var(--muted); }
.main { --colour: var(--ink); } .main .line, .main.line { stroke-width: 3; }
.scroll { overflow-x: auto; margin-top: 1rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
th { color: var(--muted); font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child, .text { text-align: left; }
caption { text-align: left; font-weight: 600; font-size: .95rem; padding: .3rem 0; white-space: nowrap; }
td.text { white-space: normal; min-width: 7.5rem; max-width: 34rem; }
td.text:first-child { min-width: 0; }
.examples { display: grid; gap: 1rem; margin-top: 1rem; }
article { padding: .9rem 1rem; background: var(--card); border-radius: .5rem; min-width: 0; }
article p { margin: 0 0 .35rem; }
.question { font-weight: 600; overflow-wrap: anywhere; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: .75rem; }
.pair > div { min-width: 0; }
.pair pre { background: var(--page); margin: 0; padding: .6rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
tr.best td { font-weight: 600; background: var(--card); }
details { margin-top: 1rem; }
summary { cursor: pointer; font-weight: 600; }
pre { overflow-x: auto; padding: 1rem; background: var(--card); border-radius: .5rem; font-size: .85rem; }
"""
