"""The checks of the console in a browser: `checks.py CHECK URL TOKEN`. Prints what a check measured; fails with the reason."""

import json
import os
import re
import struct
import sys
import time

from axe_playwright_python.sync_playwright import Axe

from browser import PAGES, PATIENCE, Console, console, expect


def rule_by_mouse(url, token):
    """From an unmatched trap with binary varbinds to a rule in force, by clicks."""
    with console(url, token) as c:
        page = c.page
        began = time.monotonic()
        c.click(page.locator("nav a", has_text="Inbox"))
        c.click(page.locator("main tr[data-row]", has_text="99999.0.1").get_by_role("link", name="Make a rule"))
        c.click(page.get_by_role("button", name="v[1] to service"))
        expect(page.locator(".editor textarea")).to_have_value(re.compile(r"service = .*v\[1\]"))
        c.click(page.get_by_role("button", name="v[2] as condition"))
        expect(page.locator(".editor textarea")).to_have_value(re.compile(r"where = .*v\[2\]"))
        expect(page.locator(".matches")).to_contain_text("matches 3 of 3 here, 0 elsewhere")
        save(c, lambda: c.click(page.get_by_role("button", name="Save…")), lambda: c.click(page.locator("dialog").get_by_role("button", name="Save")))
        done("a trap by mouse", c, began)
        c.open("inbox")
        expect(page.locator("main tr[data-row]", has_text="99999.0.1")).to_have_count(0)


def line_by_mouse(url, token):
    """The same from a line: selected text becomes a part."""
    with console(url, token) as c:
        page = c.page
        began = time.monotonic()
        c.click(page.locator("nav a", has_text="Inbox"))
        c.click(page.locator("main tr[data-row]", has_text="pump").get_by_role("link", name="Make a rule"))
        field = page.locator("textarea.line-field")
        expect(page.locator(".matches")).to_contain_text("here")
        # A double click selects a word, here the first one.
        c.actions += 1
        field.dblclick(position={"x": 20, "y": 12})
        c.click(page.get_by_role("button", name="Make it a part"))
        expect(page.locator(".editor textarea")).to_have_value(re.compile(r"\(\?<[a-z0-9_]+>\S+pressure|\(\?<value>"))
        c.click(page.get_by_role("button", name="value to service"))
        expect(page.locator(".editor textarea")).to_have_value(re.compile(r"service = .*\{\{ value \}\}"))
        expect(page.locator(".matches")).to_contain_text("matches 3 of 3 here")
        save(c, lambda: c.click(page.get_by_role("button", name="Save…")), lambda: c.click(page.locator("dialog").get_by_role("button", name="Save")))
        done("a line by mouse", c, began)


def rule_by_keyboard(url, token):
    """The whole way for a trap and a line with keys alone, a mistake in between, and undo."""
    with console(url, token) as c:
        page = c.page
        began = time.monotonic()
        focus = lambda: page.evaluate("document.activeElement.textContent")
        for what, place in (("99999.0.2", "a trap by keyboard"), ("fan", "a line by keyboard")):
            c.actions, began = 0, time.monotonic()
            c.press("g")
            c.press("i")
            c.settle()
            expect(page.locator("main tr[data-row]", has_text=what)).to_have_count(1)
            for _ in range(20):
                c.press("j")
                if what in focus():
                    break
            assert what in focus(), focus()
            c.press("Enter")
            expect(page.locator(".samples")).to_contain_text(what)
            c.press("m")
            expect(page.locator(".matches")).to_contain_text("matches 1 of 1 here")
            if what == "fan":
                # A mistake is shown with its place, and cannot be saved.
                editor = page.locator(".editor textarea")
                editor.focus()
                before = editor.input_value()
                page.keyboard.press("Control+End")
                page.keyboard.type("\noops = 1\n")
                expect(page.locator(".diagnostics .where").first).to_have_text(re.compile(r"\d+:\d+"))
                expect(page.get_by_role("button", name="Save…")).to_be_disabled()
                page.keyboard.press("Control+a")
                page.keyboard.insert_text(before)
                expect(page.locator(".matches")).to_contain_text("matches 1 of 1 here")
                page.keyboard.press("Escape")
            save(c, lambda: c.press("Control+s"), lambda: c.press("Control+s"))
            done(place, c, began)
        page.get_by_role("button", name="Undo").focus()
        page.keyboard.press("Enter")
        c.until("document.querySelector('main h1')?.textContent !== 'In force'")
        # Keys of one letter can be switched off.
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("?")
        page.locator("dialog input[type=checkbox]").uncheck()
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_have_count(0)
        page.keyboard.press("g")
        page.keyboard.press("l")
        assert "#/live" not in page.url, "a key that is switched off"


def save(c, first, second):
    page = c.page
    expect(page.get_by_role("button", name="Save…")).to_be_enabled()
    first()
    expect(page.locator("dialog .diff")).to_contain_text("[[rule.test]]")
    expect(page.locator("dialog")).to_contain_text("All tests passed")
    expect(page.locator("dialog").get_by_role("button", name="Save")).to_be_enabled()
    second()
    expect(page.locator("main h1")).to_have_text("In force")


def done(what, c, began):
    seconds = time.monotonic() - began
    print(f"{what}: {c.actions} actions, {seconds:.1f} s")
    assert seconds < 120, f"{what} took {seconds:.0f} s"
    assert "keyboard" in what or c.actions <= 8, f"{what} took {c.actions} actions"


HOSTILE = [
    "<script>window.pwned=1</script>", "<img src=x onerror='window.pwned=1'>", "\"><svg/onload=window.pwned=1>", "javascript:window.pwned=1",
    "'-window.pwned=1-'", "${window.pwned=1}", "{{constructor.constructor('window.pwned=1')()}}", "</textarea><script>window.pwned=1</script>",
    "<iframe srcdoc='<script>parent.pwned=1</script>'>", "<style>*{display:none}</style>", "\u202egnp.exe\u202c", "a\u0000b\u001b[31m\u0007", "\u2066\u2067\u2069",
    "<a href=javascript:window.pwned=1>x</a>", "__proto__", "constructor", "toString", "\ufeff\u200b\u200d", "\U0001f600" * 40, "x" * 3000, "\r\n\t\\\"'`",
    "<math><mi//xlink:href='data:x,<script>window.pwned=1</script>'>", "&lt;b&gt;&#60;script&#62;", "=cmd|' /C calc'!A0", "ﷺ" * 30, "%3Cscript%3E", "..%2f..%2f",
]
KEPT = {"time", "timestamp", "first", "last", "since", "until", "received", "created", "expires", "used", "due", "type"}


class Hostile:
    """Answers of the daemon with hostile text in the place of each text."""

    def __init__(self):
        self.strings = 0

    def text(self, key, whole=False):
        self.strings += 1
        return HOSTILE[self.strings % len(HOSTILE)] + ("" if whole else f" {self.strings}")

    def of(self, value, key=""):
        if isinstance(value, dict):
            return {k: self.of(v, k) for k, v in value.items()}
        if isinstance(value, list):
            many = value * (400 // len(value)) if value and isinstance(value[0], dict) and key in {"items", "groups", "senders", "rules", "entries", "sinks", "tokens", "mutes"} else value
            return [self.of(v, key) for v in many]
        if isinstance(value, str) and key not in KEPT:
            return self.text(key)
        return value


def hostile_text(url, token):
    """More than 10,000 hostile strings on all pages: no script runs, nothing is violated, and what cannot be seen is shown as an escape.

    With TRAPLINE_CHAOS=5 five times as many."""
    times = int(os.environ.get("TRAPLINE_CHAOS", "1"))
    with console(url, token) as c:
        page, hostile = c.page, Hostile()

        def answer(route):
            response = route.fetch()
            try:
                body = hostile.of(response.json())
            except ValueError:
                return route.fulfill(response=response)
            return route.fulfill(response=response, json=body)

        groups = page.evaluate("async () => (await (await fetch('api/v1/inbox')).json()).groups.map(g => g.group ?? g.id)")
        page.route(re.compile(r"/api/v1/(?!session|series|status)"), answer)
        for path in (PAGES + [f"{kind}/{group}" for group in groups[:4] for kind in ("inbox", "maker")] + ["history?host=%3Cscript%3E"]) * times:
            c.open(path)
            c.until("document.querySelectorAll('main bdi, main .empty, main .failure').length > 0")
        page.route_web_socket(re.compile("/api/ws/status"), lambda socket: [socket.send(json.dumps(
            {"type": "status_update", "timestamp": "2026-11-24T04:00:00Z", "data": {"id": f"{n}", **{k: hostile.text(k) for k in ("status", "host", "service", "rule", "output")}}})) for n in range(3000)])
        page.reload()
        c.open("live")
        c.until("document.querySelectorAll('main tbody tr').length >= 10")
        assert page.evaluate("window.pwned") is None, "a script ran"
        assert hostile.strings >= 10_000 * times, hostile.strings
        escapes = set(page.locator("main .esc").all_text_contents())
        shown = page.locator("main").inner_text()
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u0000-\u0008]", shown), "a control character is in the page"
        print(f"{hostile.strings} hostile strings; escapes: {' '.join(sorted(escapes))}")
        page.unroute_all(behavior="ignoreErrors")


def accessible(url, token):
    """axe finds nothing on any page in light and dark, and no page is wider than 320 px."""
    for scheme in ("light", "dark"):
        with console(url, token, scheme=scheme) as c:
            paths = PAGES + first_paths(c)
            for path in paths:
                c.open(path)
                if path.startswith("maker"):
                    expect(c.page.locator(".matches")).to_be_visible()
                found = Axe().run(c.page)
                assert found.violations_count == 0, f"{path} in {scheme}: {found.generate_report()}"
            c.page.keyboard.press("?")
            found = Axe().run(c.page)
            assert found.violations_count == 0, f"keys in {scheme}: {found.generate_report()}"
            print(f"{len(paths) + 1} pages in {scheme}: nothing found")
            if scheme == "light":
                c.page.keyboard.press("Escape")
                c.page.set_viewport_size({"width": 320, "height": 640})
                for path in paths:
                    c.open(path)
                    assert c.overflow() <= 0, f"{path} is {c.overflow()} px wider than 320"
    with console(url) as c:
        c.page.goto(url)
        c.page.locator("form").wait_for()
        found = Axe().run(c.page)
        assert found.violations_count == 0, f"login: {found.generate_report()}"


def first_paths(c):
    """A group of each kind, and a sink."""
    groups = c.page.evaluate("async () => (await (await fetch('api/v1/inbox')).json()).groups")
    ids = [group.get("group", group.get("id")) for group in groups]
    kinds = {next(iter(group["kind"])): at for at, group in zip(ids, groups) if isinstance(group["kind"], dict)}
    sinks = c.page.evaluate("async () => (await (await fetch('api/v1/sinks')).json()).sinks.map(s => s.name)")
    return [f"{page}/{at}" for at in kinds.values() for page in ("inbox", "maker")] + [f"sinks/{name}" for name in sinks[:1]]


def plain_clients(url, token):
    """A page with the session's cookie gets the stream with `onmessage` alone, by both ways."""
    with console(url, token) as c:
        page = c.page
        page.evaluate("""() => {
            window.got = { socket: [], source: [] };
            const socket = new WebSocket("/api/ws/status");
            socket.onmessage = (event) => { const m = JSON.parse(event.data); if (m.type === "status_update") window.got.socket.push(m); };
            const source = new EventSource("/api/events/status");
            source.onmessage = (event) => window.got.source.push(JSON.parse(event.data));
            window.opened = new Promise((done) => { let n = 0; const one = () => { n += 1; if (n === 2) done(); }; socket.onopen = one; source.onopen = one; });
        }""")
        page.evaluate("window.opened")
        print("open", flush=True)
        # Whoever started this sends something now.
        c.until("window.got.socket.length > 0 && window.got.source.length > 0")
        got = page.evaluate("window.got")
        for way in ("socket", "source"):
            first = got[way][0]
            assert first["type"] == "status_update" and first["data"]["host"] == "127.0.0.1", first
            assert first["data"]["status"] == "critical", first
        c.open("live")
        expect(page.locator(".stream")).to_contain_text("live")


def pages(url, token):
    """What pages do beside: search, a frozen range as CSV, a held list, signing out and in."""
    with console(url, token) as c:
        page = c.page
        c.open("history")
        expect(page.locator("main tbody tr", has_text="Interface").first).to_be_visible()
        page.keyboard.press("/")
        page.keyboard.type("nothing-has-this-word")
        page.keyboard.press("Enter")
        expect(page.locator(".empty")).to_contain_text("Nothing was found")
        page.locator("input[type=search]").fill("Gi0/3")
        page.keyboard.press("Enter")
        expect(page.locator("main tbody tr").first).to_contain_text("Gi0/3")
        rows = page.locator("main tbody tr").count()
        with page.expect_download() as download:
            page.get_by_role("link", name="CSV of this range").click()
        lines = open(download.value.path(), encoding="utf-8", newline="").read().splitlines()
        assert len(lines) == rows + 1, (rows, lines[:3])
        page.locator("main tbody tr button").first.click()
        expect(page.locator("dialog")).to_contain_text("link-down")
        page.keyboard.press("Escape")
        c.open("live")
        page.get_by_role("button", name=re.compile("Hold")).click()
        expect(page.get_by_role("button", name=re.compile("Go on"))).to_be_visible()
        c.open("rules")
        page.locator(".explain textarea").fill("<35>Nov 20 12:00:01 h1 unknown[7]: what is this")
        page.get_by_role("button", name="Explain").click()
        expect(page.locator(".explained")).to_contain_text("No rule takes it")
        page.get_by_role("button", name="Sign out").click()
        expect(page.locator(".login")).to_be_visible()
        page.locator("input[type=password]").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.locator(".login .failure")).to_be_visible()
        page.locator("input[type=password]").fill(token)
        page.keyboard.press("Enter")
        expect(page.locator("nav")).to_be_visible()


def desk(url, token):
    """Messages in Live, what came to nothing and facets in the history, a module that is added, a replay before a rule is saved."""
    with console(url, token) as c:
        page = c.page
        c.open("history")
        page.locator("label.field", has_text="Came to nothing").locator("select").select_option("unmatched")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("main tbody tr").first).to_contain_text("no rule takes it")
        page.locator("details.facets summary").click()
        expect(page.locator(".facet-lists")).to_contain_text("Came to nothing")
        page.locator(".facet-lists section", has_text="Host").locator("button").first.click()
        expect(page.locator("label.field", has_text="Host").locator("input")).to_have_value("127.0.0.1")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        c.open("mibs")
        expect(page.locator("main")).to_contain_text("No module was added here yet")
        text = 'OWN-MIB DEFINITIONS ::= BEGIN\nIMPORTS MODULE-IDENTITY, NOTIFICATION-TYPE, enterprises FROM SNMPv2-SMI;\nown MODULE-IDENTITY LAST-UPDATED "202601010000Z" ORGANIZATION "o" CONTACT-INFO "c" DESCRIPTION "d" ::= { enterprises 99999 }\nownFan NOTIFICATION-TYPE STATUS current DESCRIPTION "A fan has stopped." ::= { own 0 1 }\nEND\n'
        page.locator("input[type=file]").set_input_files({"name": "own.my", "mimeType": "text/plain", "buffer": text.encode()})
        page.get_by_role("button", name="Add").click()
        expect(page.locator(".upload-report")).to_contain_text("1 file of modules added")
        expect(page.locator(".upload-report")).to_contain_text("They are in force.")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        c.open("inbox")
        expect(page.locator("main tbody")).to_contain_text("ownFan")
        c.open("live")
        page.locator("label.field", has_text="Show").locator("select").select_option("messages")
        expect(page.locator(".page-head .note")).to_contain_text("Messages as they come")
        print("open", flush=True)
        # Whoever started this sends something now.
        expect(page.locator("main tbody tr").first).to_contain_text("link-down")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        c.open("inbox")
        page.locator("main tr[data-row]", has_text="fan").get_by_role("link", name="Make a rule").first.click()
        expect(page.locator(".matches")).to_contain_text("here")
        page.get_by_role("button", name="Save…").click()
        expect(page.locator("dialog")).to_contain_text("All tests passed")
        page.locator("dialog").get_by_role("button", name="Replay").click()
        expect(page.locator(".replayed")).to_contain_text("would differ")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        page.keyboard.press("Escape")
        c.open("rules")
        page.locator(".replay").get_by_role("button", name="Replay").click()
        expect(page.locator(".replayed")).to_contain_text("Nothing would differ")


def mine(page):
    """The text of the editor."""
    return page.locator(".editor textarea")


def rule_of(name):
    return f'''
[[rule]]
id = "{name}"
syslog = {{ program = "{name}", message = '^{name}' }}
[rule.check]
service = "{name}"
state = "ok"
output = "{name}"
[[rule.test]]
line = "<35>Nov 20 12:00:01 h1 {name}[1]: {name} says"
expect = {{ state = "ok" }}
'''


def of_pcap(payloads):
    """A capture of Ethernet with these UDP payloads from 192.0.2.7."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for port, payload in payloads:
        udp = struct.pack(">HHHH", 40000, port, 8 + len(payload), 0) + payload
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes([192, 0, 2, 7]), bytes([192, 0, 2, 1])) + udp
        frame = bytes(12) + b"\x08\x00" + ip
        out += struct.pack("<IIII", 1795737600, 0, len(frame), len(frame)) + frame
    return out


def editing(url, token):
    """The rules of the console in two tabs: tried, saved, refused for whoever comes second, taken back. A capture is explained."""
    with console(url, token) as c:
        page = c.page
        other = Console(page.context.new_page(), url)
        for tab in (page, other.page):
            tab.goto(f"{url}/#/rules/console")
            expect(mine(tab)).to_be_visible()
        added = lambda tab, text: mine(tab).fill(mine(tab).input_value() + text)
        saves = lambda tab: tab.locator("header.page-head").get_by_role("button", name="Save…")
        # A mistake has its place, and cannot be saved.
        added(page, "oops = 1\n")
        expect(page.locator(".diagnostics .where").first).to_have_text(re.compile(r"\d+:\d+"))
        expect(saves(page)).to_be_disabled()
        page.get_by_role("button", name="Take back what was typed").click()
        for tab, name in ((page, "first"), (other.page, "second")):
            added(tab, rule_of(name))
            expect(saves(tab)).to_be_enabled()
        saves(page).click()
        expect(page.locator("dialog .diff")).to_contain_text("first")
        expect(page.locator("dialog")).to_contain_text("All tests passed")
        page.locator("dialog").get_by_role("button", name=re.compile("^Save")).click()
        expect(page.locator("main")).to_contain_text("Saved: the rules are in force.")
        # The other tab is too late. What it has typed is still there.
        saves(other.page).click()
        expect(other.page.locator("dialog .failure")).to_contain_text("somebody else has changed the rules")
        other.page.locator("dialog").get_by_role("button", name="Cancel").click()
        assert "second" in mine(other.page).input_value()
        other.page.get_by_role("button", name="Load the rules in force").click()
        expect(mine(other.page)).to_have_value(re.compile("first"))
        added(other.page, rule_of("second"))
        expect(saves(other.page)).to_be_enabled()
        saves(other.page).click()
        expect(other.page.locator("dialog")).to_contain_text("All tests passed")
        other.page.locator("dialog").get_by_role("button", name=re.compile("^Save")).click()
        expect(other.page.locator("main")).to_contain_text("Saved: the rules are in force.")
        found = Axe().run(other.page)
        assert found.violations_count == 0, found.generate_report()
        # An undo by whoever does not know the newest version is refused, too.
        undo = lambda tab: tab.get_by_role("button", name="Undo the last change").click()
        undo(page)
        expect(page.locator("main")).to_contain_text("Somebody else has changed the rules")
        undo(other.page)
        expect(other.page.locator("main")).to_contain_text("The version before is in force.")
        expect(mine(other.page)).not_to_have_value(re.compile("second"))
        # The rule has a test, and a time when it was hit last; a message of a capture is explained.
        c.open("rules")
        row = page.locator("main tr[data-row]", has=page.get_by_text("first", exact=True))
        expect(row).to_contain_text("console.toml:")
        expect(page.locator("main thead")).to_contain_text("last hit")
        expect(page.locator("main thead")).to_contain_text("tests")
        line = b"<35>Nov 20 12:00:01 h1 first[1]: first says"
        capture = of_pcap([(514, line), (162, b"\x30\x03abc"), (53, b"\x00\x01")])
        page.locator("main input[type=file]").set_input_files({"name": "a.pcap", "mimeType": "application/octet-stream", "buffer": capture})
        page.get_by_role("button", name="Read the capture").click()
        expect(page.locator("main")).to_contain_text("2 messages; 1 packet with something else")
        expect(page.locator("main details summary").first).to_contain_text("first")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        # The plot knows the filter of the list.
        ends = time.monotonic() + PATIENCE / 1000
        while page.locator("main canvas").count() == 0:
            assert time.monotonic() < ends, page.locator("main").inner_text()
            c.open("overview")
            c.open("history?host=127.0.0.*")
            expect(page.locator("main tbody tr").first).to_be_visible()
            page.wait_for_timeout(200)
        c.open("overview")
        expect(page.locator(".tile").first).to_contain_text(re.compile(r"[1-9]\d* in the last 60 minutes"))
        other.is_well()


def restarts(url, token):
    """A restart of the daemon, and a token that is removed, while somebody types: the page says so, goes on, and keeps what was typed."""
    with console(url, token) as c:
        page = c.page
        groups = page.evaluate("async () => (await (await fetch('api/v1/inbox')).json()).groups")
        other = page.evaluate("async () => (await (await fetch('api/v1/tokens', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ name: 'other', role: 'operate' }) })).json()).token")
        c.open(f"maker/{groups[0]['id']}")
        expect(page.locator(".matches")).to_be_visible()
        mine(page).fill(mine(page).input_value() + "# typed\n")
        print("open", flush=True)
        # Whoever started this stops the daemon now,
        expect(page.locator(".health")).to_have_text("no answer")
        expect(page.locator("main .failure").first).to_contain_text("the daemon does not answer")
        print("down", flush=True)
        # starts it again,
        expect(page.locator(".health")).to_have_text("ready")
        expect(page.locator("header .stream")).to_have_text("live")
        assert "# typed" in mine(page).input_value()
        page.get_by_role("button", name="Save…").click()
        expect(page.locator("dialog")).to_contain_text("All tests passed")
        print("up", flush=True)
        # and removes the token.
        expect(page.locator(".login")).to_contain_text("Your session has ended")
        expect(page.locator("nav")).to_be_hidden()
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        page.locator("input[type=password]").fill(other)
        page.keyboard.press("Enter")
        expect(page.locator("nav")).to_be_visible()
        expect(page.locator("header .stream")).to_have_text("live")
        assert "# typed" in mine(page).input_value()
        # Who signs out leaves nothing behind.
        page.locator("header").get_by_role("button", name="Sign out").click()
        expect(page.locator(".login")).to_be_visible()
        assert "# typed" not in page.content() and page.locator(".editor").count() == 0


CHECKS = [editing, restarts, desk, rule_by_mouse, line_by_mouse, rule_by_keyboard, hostile_text, accessible, plain_clients, pages]

if __name__ == "__main__":
    name, url, token = sys.argv[1:4]
    {check.__name__: check for check in CHECKS}[name](url, token)
    print(f"{name}: passed")
