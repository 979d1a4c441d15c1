"""Drives Debian's Chromium for tests that are written elsewhere.

Reads one command as JSON a line and answers each with one line: {"ok": value}
or {"error": text}. Waits for what is asked and never for a time.
"""

import json
import sys

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--font-render-hinting=none",
]
SIZES = {"phone": (360, 780), "desktop": (1360, 900), "wide": (1920, 1080)}
# WCAG 2.2 AA is all of these.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Driver:
    def __init__(self, browser, base, patience):
        self.browser, self.base, self.patience = browser, base, patience
        self.context = self.page = None
        self.noise = []

    def open(self, size="desktop", dark=False, script=True):
        """A browser as somebody else has it: no cookies, no history."""
        if self.context:
            self.context.close()
        width, height = SIZES[size]
        self.context = self.browser.new_context(
            viewport={"width": width, "height": height},
            device_scale_factor=2 if size == "phone" else 1,
            has_touch=size == "phone",
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
            ignore_https_errors=True,
        )
        self.context.set_default_timeout(self.patience)
        self.page = self.new_page()

    def new_page(self):
        page = self.context.new_page()
        # A policy that is broken, a script that fails, an image that is not there: all of it is said here.
        page.on("console", lambda said: self.noise.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.noise.append(str(error)))
        return page

    def go(self, path):
        answer = self.page.goto(self.base + path, wait_until="load")
        return {"status": answer.status, "headers": answer.headers}

    def tab(self, path):
        self.in_sight(False)
        self.page = self.new_page()
        self.page.goto(self.base + path, wait_until="load")

    def first_tab(self):
        self.in_sight(False)
        self.page = self.context.pages[0]
        self.in_sight(True)

    def in_sight(self, so):
        # Without a window every page believes that it is looked at.
        self.page.evaluate(
            """(so) => {
                Object.defineProperty(document, "hidden", {value: !so, configurable: true});
                document.dispatchEvent(new Event("visibilitychange"));
            }""",
            so,
        )

    def click(self, what):
        self.page.locator(what).first.click()

    def fill(self, what, text):
        self.page.locator(what).first.fill(text)

    def select(self, what, value):
        self.page.locator(what).first.select_option(value)

    def press(self, key):
        self.page.keyboard.press(key)

    def sees(self, what):
        self.page.locator(what).first.wait_for(state="visible")

    def misses(self, what):
        self.page.locator(what).first.wait_for(state="hidden")

    def count(self, what):
        return self.page.locator(what).count()

    def text(self, what):
        return self.page.locator(what).first.inner_text()

    def until(self, script):
        # Playwright's own way would need a policy that allows eval.
        waits = """([script, patience]) => new Promise((done, fail) => {
            const holds = () => { if (SCRIPT) done(true); };
            new MutationObserver(holds).observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
            setTimeout(() => fail(new Error("it never was so: " + document.body.innerText.slice(0, 1000))), patience);
            holds();
        })""".replace("SCRIPT", script)
        while True:
            try:
                return self.page.evaluate(waits, [script, self.patience])
            except Error as error:
                # Another page came meanwhile.
                if "context was destroyed" not in error.message:
                    raise
                self.page.wait_for_load_state()

    def value(self, script):
        return self.page.evaluate(script)

    def address(self):
        return self.page.url.removeprefix(self.base)

    def cookies(self):
        return self.context.cookies()

    def offline(self, so):
        self.context.set_offline(so)

    def shot(self, path, whole=False):
        self.page.screenshot(path=path, full_page=whole, animations="disabled")

    def print(self, path):
        self.page.emulate_media(media="print")
        self.page.pdf(path=path, format="A4", print_background=False)

    def axe(self):
        found = Axe().run(self.page, options={"runOnly": {"type": "tag", "values": RULES}})
        return [
            {"rule": broken["id"], "help": broken["help"], "at": [node["html"][:300] for node in broken["nodes"][:5]]}
            for broken in found.response["violations"]
        ]

    def said(self):
        noise, self.noise = self.noise, []
        return noise


def main():
    first = json.loads(sys.stdin.readline())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=first["browser"], args=FLAGS)
        driver = Driver(browser, first["base"], first["patience_ms"])
        print(json.dumps({"ok": browser.version}), flush=True)
        for line in sys.stdin:
            command = json.loads(line)
            name = command.pop("do")
            try:
                answer = {"ok": getattr(driver, name)(**command)}
            except Exception as error:
                where = driver.page.url if driver.page else ""
                answer = {"error": f"{name} {command} at {where}: {error}"}
            print(json.dumps(answer), flush=True)
        browser.close()


main()
