"""The README's pictures of the page, over the sample library.

    python -m tests.support.screenshots

Chromium opens the real page; the pictures in assets/screenshots are written anew. The sample
library is the one of `make demo`, and is made first where it is not there yet.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page as Tab
from playwright.sync_api import sync_playwright

from tests.support.browser import CHROMIUM, FLAGS, ask
from tests.support.planted_page import real_page, served
from vmr.cli.samples import QUERIES, build_samples
from vmr.page.page import Page
from vmr.page.viewer import Screen

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "screenshots"
QUERY = "a cup of coffee on a table"
ABSENT = "people dance at a wedding"
LAPTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
SHORT = {"width": 1280, "height": 480}


def sample_page(folder: Path) -> Page:
    """The page over the samples, indexed."""
    page = real_page(folder, Screen(examples=QUERIES))
    page.ingest.add(build_samples(folder / "videos"))
    page.ingest.wait()
    return page


def home(tab: Tab) -> None:
    """The library, with the search box above it."""
    tab.wait_for_selector(".videos .card:enabled")


def results(tab: Tab) -> None:
    """The cards of an answer."""
    home(tab)
    ask(tab, QUERIES[0])


def moment(tab: Tab) -> None:
    """A moment being watched; on a laptop with the pointer on the strip."""
    home(tab)
    ask(tab, QUERY)
    tab.locator(".card[data-key]").first.click()
    tab.wait_for_function("document.querySelector('video').readyState >= 3")
    tab.wait_for_timeout(1500)
    tab.keyboard.press("k")
    tab.evaluate("document.activeElement.blur()")
    strip = tab.locator(".strip").bounding_box()
    assert strip is not None
    if strip["width"] > PHONE["width"]:
        tab.mouse.move(strip["x"] + strip["width"] * 0.66, strip["y"] + 30)


def absent(tab: Tab) -> None:
    """What is said when nothing matches."""
    home(tab)
    ask(tab, ABSENT)


def basket(tab: Tab) -> None:
    """Moments of two queries, kept."""
    home(tab)
    for query in QUERIES[1:3]:
        ask(tab, query)
        tab.locator(".card[data-key]").first.click()
        tab.click(".keep")
    tab.click("[aria-label='Basket']")


PICTURES: dict[str, tuple[Callable[[Tab], None], dict[str, int], str]] = {
    "home": (home, LAPTOP, "light"),
    "results": (results, SHORT, "light"),
    "moment": (moment, LAPTOP, "light"),
    "moment-dark": (moment, LAPTOP, "dark"),
    "absent": (absent, SHORT, "light"),
    "basket": (basket, LAPTOP, "light"),
    "phone-home": (home, PHONE, "light"),
    "phone-moment": (moment, PHONE, "dark"),
}


def main() -> None:
    """Write every picture, or the named ones."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.screenshots", description=__doc__
    )
    parser.add_argument("names", nargs="*", default=list(PICTURES), help="default: all")
    parser.add_argument("--demo", type=Path, default=Path(".demo"), help="folder of `make demo`")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with served(sample_page(options.demo)) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name in options.names:
            prepare, size, scheme = PICTURES[name]
            context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
            tab = context.new_page()
            tab.goto(address)
            prepare(tab)
            tab.wait_for_timeout(900)  # pictures arrive, cards fade in
            tab.screenshot(path=FOLDER / f"{name}.jpg", type="jpeg", quality=88)
            context.close()
            print(FOLDER / f"{name}.jpg")
        browser.close()


if __name__ == "__main__":
    main()
