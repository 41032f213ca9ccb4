"""How long an answer takes in the running page: `python -m benchmarks.page_speed`.

A library of 200 made-up videos of ten minutes (120,000 rows), the shipped model, 50
queries over HTTP as the page's scripts send them, then 24 in Chromium from Enter to skeletons and
to cards. With `--scroll`, instead: how smoothly Chromium scrolls through the library.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import httpx
from playwright.sync_api import sync_playwright

from benchmarks.made_up import library_of
from benchmarks.searching import WHAT, WHO
from feature_extract.extract import Extractor, extractor_fingerprint
from tests.support.browser import CHROMIUM, FLAGS
from tests.support.planted_page import served
from vmr.library.ingest import Ingest
from vmr.media.preview import Previews
from vmr.model.retrieval import RetrievalModel
from vmr.page.page import Page

PAUSE = 1500  # milliseconds between two questions: the pictures of the last answer have come


def milliseconds_over_http(address: str, queries: list[str]) -> tuple[list[float], list[float]]:
    """By the clock, and of processor time, which other programs do not disturb.

    One number a query, the second time that it is asked: by then every video has been read.
    """
    clock, processor = [], []
    with httpx.Client(base_url=address, timeout=60) as client:
        for query in queries + queries:
            began, used = time.perf_counter(), time.process_time()
            reply = client.post("gradio_api/run/search", json={"data": [query, 24, None]})
            reply.raise_for_status()
            clock.append(1000 * (time.perf_counter() - began))
            processor.append(1000 * (time.process_time() - used))
    return clock[len(queries) :], processor[len(queries) :]


def milliseconds_in_browser(address: str, queries: list[str]) -> tuple[list[float], list[float]]:
    """From Enter to the skeletons, and to the cards of the answer, being in the document."""
    measure = """(query) => new Promise((done) => {
      const results = document.getElementById('results');
      const began = performance.now();
      let skeletons = null;
      const watcher = new MutationObserver(() => {
        skeletons ??= results.querySelector('.ghost') && performance.now() - began;
        if (!results.querySelector('[data-key]')) return;
        watcher.disconnect();
        done([skeletons, performance.now() - began]);
      });
      results.replaceChildren();
      watcher.observe(results, {childList: true});
      document.getElementById('ask').value = query;
      document.querySelector('form.ask').requestSubmit();
    })"""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = browser.new_page()
        tab.goto(address)
        tab.wait_for_selector(".videos .card")
        taken = []
        for query in queries:
            tab.wait_for_timeout(PAUSE)
            taken.append(tab.evaluate(measure, query))
        browser.close()
    return [first for first, _ in taken[2:]], [last for _, last in taken[2:]]


def scroll(address: str) -> dict[str, float]:
    """How the library view behaves while it runs by, 2,400 pixels a second, from top to bottom."""
    measure = """() => new Promise((done) => {
      const tasks = [], frames = [];
      new PerformanceObserver((list) => tasks.push(...list.getEntries().map((e) => e.duration)))
        .observe({type: 'longtask'});
      const began = performance.now();
      let last = began;
      const step = (now) => {
        frames.push(now - last);
        last = now;
        const bottom = document.documentElement.scrollHeight - innerHeight;
        scrollTo({top: 2.4 * (now - began), behavior: 'instant'});
        if (scrollY < bottom - 1) requestAnimationFrame(step);
        else setTimeout(() => done({tasks, frames: frames.slice(1), pixels: bottom}), 200);
      };
      requestAnimationFrame(step);
    })"""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = browser.new_page()
        tab.goto(address)
        tab.wait_for_selector(".videos .card")
        tab.wait_for_timeout(2 * PAUSE)
        seen = tab.evaluate(measure)
        browser.close()
    frames = sorted(seen["frames"])
    return {
        "pixels": seen["pixels"],
        "frames a second": 1000 * len(frames) / sum(frames),
        "median frame, ms": statistics.median(frames),
        "95 of 100 frames within, ms": frames[int(0.95 * len(frames))],
        "tasks over 50 ms": len(seen["tasks"]),
        "longest task, ms": max(seen["tasks"], default=0.0),
    }


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page_speed", description=__doc__)
    parser.add_argument("--videos", type=int, default=200)
    parser.add_argument("--rows", type=int, default=600, help="seconds of each video")
    parser.add_argument("--scroll", action="store_true", help="measure the library view instead")
    options = parser.parse_args()
    queries = [f"{who} {what}" for who in WHO for what in WHAT][:52]
    model = RetrievalModel.load()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        library = library_of(folder, options.videos, options.rows, extractor_fingerprint())
        previews = Previews(folder / "previews", limit_bytes=1 << 26)
        page = Page(library, model, Ingest(library, Extractor), previews)
        with served(page) as address:
            title = f"\n{options.videos} videos of {options.rows} s"
            if options.scroll:
                seen = scroll(address)
                print(f"{title}, load {os.getloadavg()[0]:.1f}\n\n| library view | |\n|---|---|")
                for name, value in seen.items():
                    print(f"| {name} | {value:.0f} |")
                return
            clock, processor = milliseconds_over_http(address, queries)
            skeletons, cards = milliseconds_in_browser(address, queries[:26])
    print(f"{title}, load {os.getloadavg()[0]:.1f}\n\n| ms | median | slowest |\n|---|---|---|")
    measured = {
        "answer over HTTP": clock,
        "its processor time": processor,
        "Enter to skeletons": skeletons,
        "Enter to cards": cards,
    }
    for name, taken in measured.items():
        print(f"| {name} | {statistics.median(taken):.0f} | {max(taken):.0f} |")


if __name__ == "__main__":
    main()
