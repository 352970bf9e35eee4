// SPDX-License-Identifier: BSD-3-Clause
//
// Style and script of the HTML report: no font, image or script from anywhere else. Light or dark as the reader's
// system is.
#pragma once

namespace osv::report {

inline constexpr char kStyle[] = R"css(
:root { color-scheme: light dark; --back: #f6f7f9; --card: #fff; --ink: #1c2128; --soft: #5c6672; --line: #d9dee4;
  --link: #0b5cad; --good: #1a7f43; --bad: #b3261e; --warn: #9a5b00; --mark: #fff3c4;
  --code: #3f9b6b; --hole: #e3a13a; --ro: #93b5dd; --data: #4777b8; --zero: #b8a5d6; --kernel: #39424e; --site: #b3261e;
  --gap: #e6e9ed; --badge: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --back: #14181d; --card: #1c2229; --ink: #e4e8ec; --soft: #98a3ae; --line: #323a44; --link: #7db7f2;
    --good: #2f9e5f; --bad: #e0675f; --warn: #dba13f; --mark: #4a3f16; --code: #3b8a61; --hole: #c98a28;
    --ro: #6f93bd; --data: #3f6aa5; --zero: #8d7bb0; --kernel: #c3ccd6; --site: #ff7b72; --gap: #262d35; --badge: #111; }
}
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; background: var(--back);
  color: var(--ink); max-width: 1160px; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1rem; }
h1 { font: 600 1.5rem/1.25 ui-monospace, "DejaVu Sans Mono", monospace; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; } h3 { font-size: 1rem; margin: 0; font-weight: 600; }
small { color: var(--soft); font-weight: 400; font-size: .85rem; } a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
.verdict { margin: 0; padding: .15rem .9rem; border-radius: 2rem; color: var(--badge); font-weight: 600; }
.verdict.accept { background: var(--good); } .verdict.reject { background: var(--bad); }
nav { position: sticky; top: 0; z-index: 2; background: var(--back); display: flex; flex-wrap: wrap; gap: .25rem 1.1rem;
  padding: .6rem 0; margin-top: .4rem; border-bottom: 1px solid var(--line); }
section, article, [id] { scroll-margin-top: 3.2rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .8rem; margin: 1rem 0 .4rem; }
.fact, article, details, figure, .scroll { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
.fact { padding: .7rem .9rem; display: grid; align-content: start; } .fact span { color: var(--soft); font-size: .85rem; }
.fact strong { font-size: 1.05rem; } .made { color: var(--soft); font-size: .85rem; margin: .2rem 0; }
article { padding: .7rem 1rem; margin: .7rem 0; border-left: .3rem solid var(--soft); }
article p { margin: .35rem 0; } article.error { border-left-color: var(--bad); }
article.warning { border-left-color: var(--warn); } .severity { font-weight: 700; }
.error .severity { color: var(--bad); } .warning .severity { color: var(--warn); } .note .severity { color: var(--soft); }
code, pre, .a { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .83rem; }
pre { margin: .4rem 0; padding: .6rem .8rem; overflow-x: auto; background: var(--back); border-radius: .35rem;
  line-height: 1.45; } pre b { background: var(--mark); font-weight: 600; } pre i { color: var(--soft); }
figure { margin: 0; padding: 1rem 1rem .6rem; } svg { width: 100%; height: auto; display: block; }
svg text { font: 12px ui-monospace, "DejaVu Sans Mono", monospace; fill: var(--ink); } svg .far { fill: var(--soft); }
figcaption { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin-top: .5rem; font-size: .85rem; }
figcaption i { display: inline-block; width: .8rem; height: .8rem; margin-right: .4rem; vertical-align: -1px;
  border-radius: 2px; }
.scroll { max-height: 27rem; overflow: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .28rem .8rem; vertical-align: top; overflow-wrap: anywhere; }
td { border-top: 1px solid var(--line); } tbody tr:hover { background: var(--back); }
th { position: sticky; top: 0; background: var(--card); box-shadow: 0 1px var(--line); padding: 0; }
th button { all: unset; cursor: pointer; padding: .4rem .8rem; font-weight: 600; white-space: nowrap; }
th button:focus-visible, a:focus-visible { outline: 2px solid var(--link); }
th[aria-sort=ascending] button::after { content: " \25b4"; } th[aria-sort=descending] button::after { content: " \25be"; }
td.n { font-variant-numeric: tabular-nums; } td.a { white-space: nowrap; }
td.a + td.a { white-space: normal; } .search { float: right; margin-top: -2.2rem; font: inherit; font-size: .9rem;
  padding: .2rem .6rem; border: 1px solid var(--line); border-radius: .35rem; background: var(--card); color: inherit; }
.tag { padding: 0 .5rem; border-radius: 1rem; font-size: .82rem; border: 1px solid; } .tag.full { color: var(--good); }
.tag.partial { color: var(--warn); } .tag.none { color: var(--bad); }
details { margin: .35rem 0; padding: .3rem .8rem; } summary { cursor: pointer; overflow-wrap: anywhere; }
:target { outline: 2px solid var(--link); outline-offset: 2px; }
)css";

inline constexpr char kScript[] = R"js(
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.tHead.addEventListener("click", event => {
    const th = event.target.closest("th");
    if (!th) return;
    const up = th.getAttribute("aria-sort") !== "ascending", column = th.cellIndex;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    th.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = row => row.cells[column].dataset.key ?? row.cells[column].textContent;
    const compare = (a, b) => {
      const x = key(a), y = key(b), m = Number(x), n = Number(y);
      return x !== "" && y !== "" && !isNaN(m) && !isNaN(n) ? m - n : x.localeCompare(y);
    };
    body.append(...[...body.rows].sort((a, b) => up ? compare(a, b) : compare(b, a)));
  });
  table.closest("section").querySelector(".search")?.addEventListener("input", event => {
    const wanted = event.target.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
}
function reveal(hash) {
  const target = hash && document.getElementById(hash.slice(1));
  for (let e = target; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
  if (target) target.scrollIntoView({ block: target.tagName === "B" ? "center" : "start" });
}
addEventListener("hashchange", () => reveal(location.hash));
reveal(location.hash);
)js";

} // namespace osv::report
