"""A browser that looks at the console of a running daemon, and fails on whatever a page must not do."""

import contextlib
import os
import time

from playwright.sync_api import expect, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
# The machine may be busy: conditions are waited for, and this only ends what never comes.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)

PAGES = [
    "overview", "live", "history", "inbox", "rules", "rules/console", "sinks", "state", "senders", "checkins", "mibs", "admin",
]


class Console:
    """The console in a tab."""

    def __init__(self, page, url):
        self.page = page
        self.url = url
        self.wrong = []
        self.actions = 0
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.wrong.append(f"script failed: {error}"))
        page.on("dialog", lambda dialog: (self.wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("console", self._said)

    def _said(self, message):
        text = message.text
        if "Content Security Policy" in text or "TrustedHTML" in text or "Trusted Type" in text:
            self.wrong.append(f"violation: {text}")

    def sign_in(self, token):
        """By the address that the first start prints."""
        self.page.goto(f"{self.url}/#token={token}")
        self.page.locator("nav").wait_for(state="attached")
        assert "token" not in self.page.url, "the token stays in the address"

    def open(self, path):
        """Goes to a page, and waits until it has its data."""
        self.page.evaluate("path => { location.hash = '#/' + path; }", path)
        self.until("path => location.hash === '#/' + path", path)
        self.settle()

    def until(self, condition, of=None):
        """Waits until a condition holds in the page. Playwright's own way needs `eval`, which the policy of the console forbids."""
        ends = time.monotonic() + PATIENCE / 1000
        while not self.page.evaluate(condition, of):
            assert time.monotonic() < ends, f"it never came: {condition}"
            self.page.wait_for_timeout(50)

    def settle(self):
        self.page.locator("main h1").wait_for()
        self.until("document.querySelector('main .loading') === null")

    def click(self, locator):
        """A click that counts as one action of a person."""
        self.actions += 1
        locator.click()

    def press(self, keys):
        """A key that counts as one action."""
        self.actions += 1
        self.page.keyboard.press(keys)

    def is_well(self):
        assert self.wrong == [], "\n".join(self.wrong)

    def overflow(self):
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@contextlib.contextmanager
def browser():
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield started
        finally:
            started.close()


@contextlib.contextmanager
def console(url, token=None, scheme="light", width=1280, height=800):
    with browser() as started:
        context = started.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce", locale="en-GB", timezone_id="UTC")
        opened = Console(context.new_page(), url)
        if token is not None:
            opened.sign_in(token)
        yield opened
        opened.is_well()


__all__ = ["PAGES", "PATIENCE", "Console", "browser", "console", "expect"]
