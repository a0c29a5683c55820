"""Pictures of the console for its page in docs: `screenshots.py URL TOKEN FOLDER`. The daemon of `screenshots` in tests/e2e/console.rs has
the messages that they show."""

import random
import re
import sys
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import parse_qs, urlparse

from browser import console, expect

MOST = 150_000
RULE = """# Pumps of the works.
[[rule]]
id = "pump-pressure"
syslog = { program = "pump", message = '^pressure (?<bar>[0-9]+) bar at (?<valve>\\S+)$' }

[rule.check]
service = "Pressure {{ valve }}"
state = "'warning' if bar|int > 1 else 'ok'"
output = "{{ bar }} bar"

[[rule.test]]
line = "<35>Nov 20 12:00:01 h1 pump[7]: pressure 2 bar at valve-1"
expect = { service = "Pressure valve-1" }
"""


def shoot(c, folder, name):
    c.page.wait_for_timeout(300)
    path = Path(folder) / f"{name}.png"
    c.page.screenshot(path=path, animations="disabled", caret="hide")
    assert path.stat().st_size < MOST, f"{path} has {path.stat().st_size} bytes"


def group(c, what):
    groups = c.page.evaluate("async () => (await (await fetch('api/v1/inbox')).json()).groups")
    return next(group["id"] for group in groups if what in str(group["what"]))


def example(route):
    """An hour of outcomes or messages: the daemon of the test has only run for seconds."""
    asked = parse_qs(urlparse(route.request.url).query)
    chance = random.Random(7)
    rows = []
    if asked["metric"] == ["messages"]:
        for minute in range(60):
            storm = 300 if 33 < minute < 38 else 0
            at = datetime.fromtimestamp(1_795_737_600 + 60 * minute, timezone.utc).isoformat()
            for series, most in (("received", 500 + 3 * storm), ("matched", 440 + 2 * storm), ("unmatched", 60), ("kernel", 0), ("malformed", 1), ("refused", 2), ("lost", 0)):
                rows.append({"time": at, "series": series, "value": chance.randint(most * 2 // 3, most)})
        return route.fulfill(json=rows)
    start, end, step = (int(asked[name][0]) for name in ("from", "to", "step"))
    for at in range(start - start % step, end, step):
        storm = 12 if 0.55 < (at - start) / (end - start) < 0.63 else 0
        for series, most in (("critical", 2 + storm), ("warning", 4 + storm // 2), ("ok", 9)):
            rows.append({"time": datetime.fromtimestamp(at, timezone.utc).isoformat(), "series": series, "value": chance.randint(most // 3, most)})
    return route.fulfill(json=rows)


def main(url, token, folder):
    Path(folder).mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        with console(url, token, scheme=scheme, width=1100, height=680) as c:
            c.page.route(re.compile("/api/v1/series"), example)
            c.page.reload()
            c.open("overview")
            c.page.wait_for_timeout(7000)
            shoot(c, folder, f"overview-{scheme}")
            if scheme == "light":
                c.open("history")
                expect(c.page.locator("main tbody tr").first).to_be_visible()
                c.page.locator("details.facets summary").click()
                expect(c.page.locator(".facet-lists section").first).to_be_visible()
                c.page.set_viewport_size({"width": 1100, "height": 900})
                shoot(c, folder, "history-light")
                c.page.set_viewport_size({"width": 1100, "height": 680})
                c.open("mibs")
                shoot(c, folder, "mibs-light")
                c.open("rules/console")
                c.page.locator(".editor textarea").fill(RULE)
                expect(c.page.locator("main")).to_contain_text("1 test passed")
                expect(c.page.get_by_role("button", name="Save…")).to_be_enabled()
                shoot(c, folder, "editing-light")
                c.open("inbox")
                shoot(c, folder, "inbox-light")
            c.page.set_viewport_size({"width": 1300, "height": 740})
            c.open(f"maker/{group(c, 'pump')}" if scheme == "light" else f"maker/{group(c, '99999.0.1')}")
            expect(c.page.locator(".matches")).to_contain_text("here")
            if scheme == "light":
                c.page.get_by_role("button", name="word to service").click()
            else:
                c.page.get_by_role("button", name="v[1] to service").click()
            expect(c.page.locator(".outcome")).to_contain_text("pressure valve" if scheme == "light" else "99999.0.1 fan")
            expect(c.page.get_by_role("button", name="Save…")).to_be_enabled()
            shoot(c, folder, f"maker-{scheme}")
    with console(url, token, width=320, height=640) as c:
        c.page.route(re.compile("/api/v1/series"), example)
        c.page.reload()
        for path, name in (("overview", "overview-narrow"), (f"maker/{group(c, 'pump')}", "maker-narrow"), ("history", "history-narrow"), ("mibs", "mibs-narrow")):
            c.open(path)
            c.page.wait_for_timeout(2500)
            shoot(c, folder, name)


if __name__ == "__main__":
    main(*sys.argv[1:4])
