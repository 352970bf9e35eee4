// SPDX-License-Identifier: BSD-3-Clause
//
// Style and script of the HTML report: no font, image or script from anywhere else.
#pragma once

namespace osv::report {

inline constexpr char kStyle[] = R"css(
:root { color-scheme: light dark; --line: #8884; --code: #2f9e5f; --hole: #e8a33d; --data: #4a7fd0; --ro: #8fb0dc;
  --zero: #b9a4d8; --kernel: #555; --site: #d0342c; --gap: #8882; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1100px; margin: 1.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.35rem; margin: 0 0 .2rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 1.8rem 0 .5rem; }
.verdict { display: inline-block; padding: .1rem .7rem; border-radius: 1rem; color: #fff; font-weight: 600; }
.accept { background: #2a8a4f; } .reject { background: #b3261e; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; } dt { opacity: .7; } dd { margin: 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; } th, td { text-align: left; padding: .2rem .6rem;
  border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
th { cursor: pointer; user-select: none; white-space: nowrap; } th[aria-sort=ascending]::after { content: " \25b4"; }
th[aria-sort=descending]::after { content: " \25be"; } td.n { text-align: right; font-variant-numeric: tabular-nums; }
code, pre, .a { font-family: ui-monospace, monospace; font-size: .85rem; } pre { margin: .3rem 0; overflow-x: auto; }
pre b { color: var(--site); } .error { color: #c62828; font-weight: 600; } .warning { color: #b26a00; font-weight: 600; }
.scroll { max-height: 26rem; overflow: auto; border: 1px solid var(--line); border-radius: .3rem; }
.scroll th { position: sticky; top: 0; background: Canvas; } :target { outline: 2px solid var(--site); }
svg { width: 100%; height: auto; display: block; } svg text { font: 11px system-ui, sans-serif; fill: CanvasText; }
.key span { display: inline-block; margin-right: 1rem; } .key i { display: inline-block; width: .8rem; height: .8rem;
  margin-right: .3rem; vertical-align: -1px; border-radius: 2px; } details > summary { cursor: pointer; }
)css";

inline constexpr char kScript[] = R"js(
for (const table of document.querySelectorAll("table.sortable"))
  table.tHead.addEventListener("click", event => {
    const th = event.target.closest("th");
    if (!th) return;
    const up = th.getAttribute("aria-sort") !== "ascending", column = th.cellIndex, body = table.tBodies[0];
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    th.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = row => row.cells[column].dataset.key ?? row.cells[column].textContent;
    const compare = (a, b) => {
      const x = key(a), y = key(b), m = Number(x), n = Number(y);
      return x !== "" && y !== "" && !isNaN(m) && !isNaN(n) ? m - n : x.localeCompare(y);
    };
    body.append(...[...body.rows].sort((a, b) => up ? compare(a, b) : compare(b, a)));
  });
addEventListener("hashchange", open); open();
function open() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  for (let e = target; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
  target?.scrollIntoView({ block: "center" });
}
)js";

} // namespace osv::report
