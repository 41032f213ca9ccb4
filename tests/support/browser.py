"""What the browser tests do with a tab: ask, press a card, look at the player.

ask(tab, "a dog")
start, end = watch(tab, 1)          # presses the first card of video 1
began = sought(tab)                 # second of the clock at which it began to play
"""

import base64
import os
import shutil
from pathlib import Path
from typing import Any, Protocol

import pytest
from playwright.sync_api import FloatRect, Locator
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


class OpenTab(Protocol):
    """Opens the page in a tab of a visitor of its own."""

    def __call__(self, query: str = "", *, base: str = "", **options: Any) -> Tab: ...


def ask(tab: Tab, query: str) -> None:
    tab.fill("#ask", query)
    tab.press("#ask", "Enter")
    tab.wait_for_selector(".results h2:not(.quiet)")


def watch(tab: Tab, video: int) -> tuple[float, float]:
    """Press the card of this video; the seconds its moment spans."""
    card = tab.locator(f".card[data-key^='{video}:']").first
    _, start, end = attribute(card, "data-key").split(":")
    note_seeks(tab)
    card.click()
    wait_until_loaded(tab)
    return float(start), float(end)


def attribute(element: Locator, name: str) -> str:
    """Of an element that has to have it."""
    value = element.get_attribute(name)
    assert value is not None, f"no {name} on {element}"
    return value


def wait_until_loaded(tab: Tab) -> None:
    """Until the player stands where its moment begins, and plays if it is to. No test has a moment
    at 0 s: the clock leaves 0 when the page has sought, not before."""
    tab.wait_for_function(
        """() => {
          const video = document.querySelector("video");
          return video.readyState >= 3 && !video.seeking && video.currentTime > 0;
        }"""
    )


def note_seeks(tab: Tab) -> None:
    """From now on, `sought` knows where the player is sent."""
    tab.evaluate(
        """() => {
          const video = document.querySelector("video");
          if (!window.sought)
            video.addEventListener("seeking", () => window.sought.push(video.currentTime));
          window.sought = [];
        }"""
    )


def sought(tab: Tab) -> float:
    """Where the player was sent first since `note_seeks` or `watch`, however long ago that is: no
    haste can miss it."""
    tab.wait_for_function("window.sought.length")
    return float(tab.evaluate("window.sought[0]"))


def now(tab: Tab) -> float:
    return float(tab.evaluate("document.querySelector('video').currentTime"))


def paused(tab: Tab) -> bool:
    return bool(tab.evaluate("document.querySelector('video').paused"))


SHOWN = """(() => {
  const pen = document.createElement("canvas").getContext("2d");
  pen.drawImage(document.querySelector("video"), 0, 0, 4, 4);
  const pixels = pen.getImageData(0, 0, 4, 4).data;
  const cells = [...Array(16).keys()].map((cell) => pixels[4 * cell] > 127);
  return cells.reduce((number, bit) => 2 * number + bit, 0);
})()"""


def shown(tab: Tab) -> int:
    """The number that the picture in the player spells (tests/support/media.py)."""
    return int(tab.evaluate(SHOWN))


def wait_until_shown(tab: Tab, first: float, last: float) -> None:
    """Until the player shows one of these frames; a picture comes a little after its seek."""
    tab.wait_for_function(f"(() => {{ const n = {SHOWN}; return n >= {first} && n <= {last}; }})()")


def hold(tab: Tab) -> None:
    """Pause what plays; a moment that has ended meanwhile stays where it is."""
    tab.evaluate("document.querySelector('video').pause()")
    tab.wait_for_function("!document.querySelector('video').seeking")


def press_strip(tab: Tab, share: float) -> None:
    """Click the timeline at this share of its width, once it stands still."""
    strip = tab.locator(".strip")
    strip.hover()
    strip.click(position={"x": share * box(strip)["width"], "y": 20})


def box(element: Locator) -> FloatRect:
    """Where an element that is shown lies, in CSS pixels."""
    rectangle = element.bounding_box()
    assert rectangle is not None, f"{element} is not shown"
    return rectangle


def wait_until_still(tab: Tab) -> None:
    """Until nothing on the page moves or fades any more."""
    tab.wait_for_function(
        "document.getAnimations().every(({ playState }) => playState != 'running')"
    )


def wait_until_paused(tab: Tab) -> None:
    tab.wait_for_function("document.querySelector('video').paused")


def paste(tab: Tab, file: Path) -> None:
    """Paste a picture, as from a clipboard."""
    tab.evaluate(
        """(content) => {
          const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
          const carried = new DataTransfer();
          carried.items.add(new File([bytes], "image.png", { type: "image/png" }));
          const how = { bubbles: true, clipboardData: carried };
          document.body.dispatchEvent(new ClipboardEvent("paste", how));
        }""",
        base64.b64encode(file.read_bytes()).decode(),
    )


def drop_folder(tab: Tab, folder: Path) -> None:
    """Drop a folder; only the browser's own events can carry one."""
    session = tab.context.new_cdp_session(tab)
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 300, "data": data})


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
