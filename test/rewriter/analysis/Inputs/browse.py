# SPDX-License-Identifier: BSD-3-Clause
"""Opens a report in a real browser: browse.py CHROMIUM PAGE DIRECTORY

In a copy of the page a probe uses it as a reader would: sorts tables, searches, follows each link, and looks at the map. What
it saw is printed. Then the page's picture is taken, in light and dark, into DIRECTORY.
"""
import os
import re
import struct
import subprocess
import sys
import tempfile
import zlib

PROBE = """<script>
const log = [], say = (...words) => log.push(words.join(" "));
try {
  for (const table of document.querySelectorAll("table.sortable")) {
    const rows = table.tBodies[0].rows.length;
    [...table.tHead.rows[0].cells].forEach((th, column) => {
      const value = row => row.cells[column].dataset.key ?? row.cells[column].textContent;
      const sorted = order => {
        const v = [...table.tBodies[0].rows].map(value);
        return v.every((x, i) => !i || order * (isNaN(x) || isNaN(v[i - 1]) || x === "" || v[i - 1] === ""
          ? v[i - 1].localeCompare(x) : v[i - 1] - x) <= 0);
      };
      for (const order of [1, -1]) {
        th.querySelector("button").click();
        if (!sorted(order) || table.tBodies[0].rows.length !== rows) say("not sorted:", th.textContent, order);
      }
    });
  }
  say("tables", document.querySelectorAll("table.sortable").length);
  const search = document.querySelector("#sites .search");
  if (search) {
    search.value = "0x";
    search.dispatchEvent(new Event("input"));
    const all = [...document.querySelectorAll("#sites tbody tr")], address = all[3].cells[0].textContent;
    search.value = address;
    search.dispatchEvent(new Event("input"));
    say("found", all.filter(row => !row.hidden && row.textContent.includes(address)).length > 0,
        all.filter(row => !row.hidden).length < all.length);
    search.value = "";
    search.dispatchEvent(new Event("input"));
  }
  let links = 0, lost = 0;
  for (const a of document.querySelectorAll("a")) {
    const href = a.getAttribute("href");
    if (links === 0) location.hash = href; // a browser refuses to navigate hundreds of times
    reveal(href);
    const target = document.getElementById(href.slice(1)), box = target?.getBoundingClientRect();
    links++;
    if (!box || box.height === 0 || box.bottom < 0 || box.top > innerHeight) { lost++; say("lost", href); }
  }
  say("links", links, "lost", lost);
  const bars = [...document.querySelectorAll("#map svg rect")].map(r => r.getBBox());
  const width = document.querySelector("#map svg").viewBox.baseVal.width;
  say("map", bars.length, bars.every(b => b.x >= 0 && b.x + b.width <= width + 3) ? "inside" : "outside");
  say("wide", document.documentElement.scrollWidth <= innerWidth ? "fits" : "overflows");
  say("fetched", performance.getEntriesByType("resource").length);
} catch (error) { say("error", error); }
document.title = "PROBE " + log.join(" | ");
</script></body>"""


def browse(chromium, page, *options):
    with tempfile.TemporaryDirectory() as profile:
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        command += ["--disable-dev-shm-usage", "--hide-scrollbars", "--user-data-dir=" + profile, *options, "file://" + page]
        return subprocess.run(command, capture_output=True, timeout=600)


def colours(file):
    """Width, height and number of colours of a PNG (8 bits a channel, not interlaced)."""
    data = open(file, "rb").read()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, pixels = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", data[at + 8 : at + 21])
        elif kind == b"IDAT":
            pixels += data[at + 8 : at + 8 + size]
        at += 12 + size
    assert depth == 8 and not interlace
    # The filters only add: the raw rows are different enough to tell a picture from an empty page.
    rows = zlib.decompress(pixels)
    stride = width * {2: 3, 6: 4}[colour] + 1
    return width, height, len({rows[i : i + stride] for i in range(0, len(rows), stride)})


def main():
    chromium, page, directory = sys.argv[1], os.path.abspath(sys.argv[2]), sys.argv[3]
    os.makedirs(directory, exist_ok=True)
    probe = os.path.join(os.path.abspath(directory), "probe.html")
    text = open(page, encoding="utf-8").read()
    open(probe, "w", encoding="utf-8").write(text.replace("</body>", PROBE))
    dom = browse(chromium, probe, "--window-size=1200,900", "--dump-dom").stdout.decode(errors="replace")
    title = re.search(r"<title>PROBE (.*?)</title>", dom, re.S)
    print("\n".join(title[1].split(" | ")) if title else "no answer: " + dom[:2000])
    for name, option in ("light", []), ("dark", ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]):
        picture = os.path.join(os.path.abspath(directory), name + ".png")
        browse(chromium, page, "--window-size=1200,2400", "--screenshot=" + picture, *option)
        print("%s: %d x %d, %d different rows" % ((name,) + colours(picture)))


main()
