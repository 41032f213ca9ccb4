"""What the browser tests do with a tab: ask, press a card, look at the player.

ask(tab, "a dog")
start, end = watch(tab, 1)          # presses the first card of video 1
assert start <= now(tab) < end
"""

import base64
import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page as Tab

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
HOSTILE = "<img src=x onerror=document.title=1>"
NEEDED = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="NO CHROMIUM: the page was not tested; apt-get install chromium"
    ),
]


def ask(tab: Tab, query: str) -> None:
    tab.fill("#ask", query)
    tab.press("#ask", "Enter")
    tab.wait_for_selector(".results h2:not(.quiet)")


def watch(tab: Tab, video: int) -> tuple[float, float]:
    """Press the card of this video; the seconds its moment spans."""
    card = tab.locator(f".card[data-key^='{video}:']").first
    _, start, end = card.get_attribute("data-key").split(":")
    card.click()
    tab.wait_for_function("document.querySelector('video').readyState >= 3")
    return float(start), float(end)


def now(tab: Tab) -> float:
    return tab.evaluate("document.querySelector('video').currentTime")


def paused(tab: Tab) -> bool:
    return tab.evaluate("document.querySelector('video').paused")


def shown(tab: Tab) -> int:
    """The number that the picture in the player spells (tests/media.py)."""
    return tab.evaluate(
        """() => {
          const pen = document.createElement("canvas").getContext("2d");
          pen.drawImage(document.querySelector("video"), 0, 0, 4, 4);
          const pixels = pen.getImageData(0, 0, 4, 4).data;
          const cells = [...Array(16).keys()].map((cell) => pixels[4 * cell] > 127);
          return cells.reduce((number, bit) => 2 * number + bit, 0);
        }"""
    )


def wait_until_paused(tab: Tab) -> None:
    tab.wait_for_function("document.querySelector('video').paused")


def drop(tab: Tab, *files: Path) -> None:
    """Drop files on the page, as a file manager does."""
    contents = [(file.name, base64.b64encode(file.read_bytes()).decode()) for file in files]
    tab.evaluate(
        """async (files) => {
          const carried = new DataTransfer();
          const kinds = {mp4: "video/mp4", png: "image/png"};
          const how = {bubbles: true, cancelable: true};
          for (const [name, content] of files) {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            carried.items.add(new File([bytes], name, {type: kinds[name.split(".").pop()]}));
          }
          for (const type of ["dragenter", "dragover", "drop"])
            document.body.dispatchEvent(new DragEvent(type, {...how, dataTransfer: carried}));
        }""",
        contents,
    )
