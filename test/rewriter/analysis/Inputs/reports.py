# SPDX-License-Identifier: BSD-3-Clause
"""Holds the reports of one inspection against each other: reports.py JSON SARIF HTML"""
import html.parser
import json
import sys

report = json.load(open(sys.argv[1]))
sarif = json.load(open(sys.argv[2]))
page = open(sys.argv[3], encoding="utf-8").read()

assert report["schema"] == "osv-rewrite-report" and report["version"] == 1
for key in ("verdict", "input", "program", "tls_template", "diagnostics", "syscall_sites", "syscalls", "thread_pointer"):
    assert key in report, key
assert report["verdict"] in ("accept", "reject")
for diagnostic in report["diagnostics"]:
    assert {"id", "severity", "address", "function", "message", "notes"} <= set(diagnostic), diagnostic
for site in report["syscall_sites"]:
    assert {"address", "function", "number", "tactic"} <= set(site), site
    assert site["address"].startswith("0x")
assert sum(c["count"] for c in report["fs_accesses"].values()) > 0
assert 0 < report["code_coverage"]["share"] <= 1

# SARIF 2.1.0: what its schema requires, and that rules and results belong together.
assert sarif["version"] == "2.1.0" and len(sarif["runs"]) == 1
run = sarif["runs"][0]
rules = run["tool"]["driver"]["rules"]
assert len({rule["id"] for rule in rules}) == len(rules)
for result, diagnostic in zip(run["results"], report["diagnostics"], strict=True):
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == diagnostic["id"]
    assert result["level"] == diagnostic["severity"]
    assert result["message"]["text"].startswith(diagnostic["message"])
    address = result["locations"][0]["physicalLocation"].get("address")
    assert (address and hex(address["absoluteAddress"])) == diagnostic["address"]


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.ids, self.links, self.open = set(), set(), []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                assert value not in self.ids, value
                self.ids.add(value)
            if name == "href":
                assert value.startswith("#"), value
                self.links.add(value[1:])
            assert name != "src", value
        if tag not in ("meta", "br", "link", "img", "input", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag != "rect":
            assert self.open.pop() == tag, tag


parsed = Page()
parsed.feed(page)
assert not parsed.open, parsed.open
assert parsed.links <= parsed.ids, parsed.links - parsed.ids
assert all("d" + site["address"] in parsed.ids for site in report["syscall_sites"])
assert "http" not in page and "@import" not in page and "url(" not in page
print("%s: %d findings, %d sites" % (report["verdict"], len(report["diagnostics"]), len(report["syscall_sites"])))
