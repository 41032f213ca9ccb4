"""The page in a real browser (Chromium): what is clicked is what plays, to a fraction of a second.

The videos spell their frame numbers and the right answers are planted (tests/planted_page.py); only
the first test goes the whole way, from a dropped file through the real networks to the player.
"""

import base64
import os
import re
import shutil
import subprocess
from pathlib import Path

import av
import pytest
import skimage.data
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page as Tab
from playwright.sync_api import expect, sync_playwright

from feature_extract.extract import Extractor
from tests.media import ffmpeg, read_counter
from tests.planted_page import ABSENT, DOG, FPS, GOAL, MOMENTS, planted_page, served
from vmr.ingest import Ingest
from vmr.page import Page, Rights, Screen
from vmr.preview import Previews
from vmr.ranker import Ranker
from vmr.store import Library
from vmr.text import Words

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

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None, reason="NO CHROMIUM: the page was not tested; apt-get install chromium"
    ),
]


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with served(planted_page(tmp_path_factory.mktemp("browser"), hostile=HOSTILE)) as address:
        yield address


@pytest.fixture
def open_tab(browser, address):
    """Opens a tab of a visitor of its own; any error of the page's scripts fails the test."""
    contexts, errors = [], []

    def open_(query: str = "", *, base: str = "", **options: object) -> Tab:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(15_000)
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto((base or address) + query)
        tab.wait_for_selector("body[data-view]")
        return tab

    yield open_
    for context in contexts:
        context.close()
    assert errors == []


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


def wait_until_paused(tab: Tab) -> None:
    tab.wait_for_function("document.querySelector('video').paused")


def test_from_a_dropped_file_to_the_moment(open_tab, tmp_path):
    """The real networks: a cat between coins and bricks is found, and exactly it is played."""
    film = tmp_path / "holiday.mp4"
    pictures = (skimage.data.coins(), skimage.data.cat(), skimage.data.brick())
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).convert("RGB").resize((320, 180)).save(tmp_path / f"{number}.png")
    parts = [["-loop", "1", "-t", "5", "-i", tmp_path / f"{number}.png"] for number in range(3)]
    join = ["-filter_complex", "concat=n=3", "-r", "10", "-pix_fmt", "yuv420p", film]
    ffmpeg(*parts[0], *parts[1], *parts[2], *join)
    library = Library(tmp_path / "library")
    previews = Previews(tmp_path / "previews", limit_bytes=1 << 26)
    page = Page(library, Ranker.load(), Words.load(), Ingest(library, Extractor), previews)
    with served(page) as address:
        tab = open_tab(base=address)
        expect(tab.locator(".library h2").last).to_have_text("No videos yet")
        drop(tab, film)
        tab.wait_for_selector(".job", timeout=10_000)
        card = tab.locator(".videos .card:enabled")
        expect(card).to_contain_text("holiday.mp4", timeout=60_000)
        tab.fill("#ask", "a cat")
        tab.press("#ask", "Enter")
        if tab.locator("details.weak").count():  # whatever today's weights call it
            tab.click("details.weak summary")
        tab.wait_for_selector(".card[data-key]")
        start, end = watch(tab, 1)
        assert min(end, 10) - max(start, 5) > 0.7 * (max(end, 10) - min(start, 5))
        wait_until_paused(tab)
        assert end - 0.3 < now(tab) <= end + 0.05


def drop(tab: Tab, *files: Path) -> None:
    """Drop files on the page, as a file manager does."""
    contents = [(file.name, base64.b64encode(file.read_bytes()).decode()) for file in files]
    tab.evaluate(
        """async (files) => {
          const carried = new DataTransfer();
          const how = {bubbles: true, cancelable: true};
          for (const [name, content] of files) {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            carried.items.add(new File([bytes], name));
          }
          for (const type of ["dragenter", "dragover", "drop"])
            document.body.dispatchEvent(new DragEvent(type, {...how, dataTransfer: carried}));
        }""",
        contents,
    )


def test_a_click_plays_exactly_the_moment(open_tab):
    tab = open_tab()
    ask(tab, DOG)
    expect(tab.locator(".results h2")).to_have_text("2 moments in 2 videos")
    start, end = watch(tab, 1)
    assert (start, end) == pytest.approx(MOMENTS[1][DOG], abs=1)
    assert start <= now(tab) < start + 0.6  # it plays already
    wait_until_paused(tab)
    assert end - 0.3 < now(tab) <= end + 0.05
    tab.click(".tool.main")  # once more, from the start
    tab.wait_for_function(f"document.querySelector('video').currentTime < {start + 1}")
    assert not paused(tab)


def test_a_link_opens_the_moment_at_its_start(open_tab):
    tab = open_tab()
    ask(tab, DOG)
    start, _ = watch(tab, 2)
    again = open_tab("?" + tab.url.split("?")[1])
    again.wait_for_function("document.querySelector('video')?.readyState >= 2")
    assert paused(again)
    assert abs(now(again) - start) < 0.2
    assert again.input_value("#ask") == DOG
    tab.go_back()
    tab.wait_for_selector("[data-view=home]")


def test_the_moment_repeats(open_tab):
    tab = open_tab()
    ask(tab, DOG)
    start, end = watch(tab, 1)
    tab.click("[aria-label^='Repeat']")
    tab.evaluate(f"document.querySelector('video').currentTime = {end - 0.4}")
    tab.wait_for_timeout(1200)
    assert not paused(tab)
    assert start <= now(tab) < start + 1.5


def test_the_lead_in_and_speed(open_tab):
    tab = open_tab()
    ask(tab, DOG)
    start, _ = watch(tab, 1)
    tab.select_option("select[aria-label='Lead-in']", "2")
    tab.select_option("select[aria-label='Speed']", "0.25")
    tab.evaluate("document.querySelector('video').pause()")
    watch(tab, 1)
    assert abs(now(tab) - (start - 2)) < 0.3
    assert tab.evaluate("document.querySelector('video').playbackRate") == 0.25


def test_a_click_on_the_strip_goes_there(open_tab):
    tab = open_tab()
    ask(tab, DOG)
    watch(tab, 1)
    box = tab.locator(".strip").bounding_box()
    tab.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + 20)
    assert abs(now(tab) - 15) < 0.6
    tab.wait_for_timeout(500)
    assert not paused(tab)  # outside the moment the video runs on
    tab.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 20)
    expect(tab.locator(".peek span")).to_have_text(re.compile(r"00:0[45]\.\d"))
    assert "thumbnail/1/" in tab.locator(".peek img").get_attribute("src")


def test_the_strip_shows_where_the_match_is(open_tab):
    """The curve is higher inside the planted moment than elsewhere, pixel by pixel."""
    tab = open_tab()
    ask(tab, DOG)
    watch(tab, 1)
    tab.wait_for_timeout(500)
    height = """(seconds) => {
      const canvas = document.querySelector('.strip canvas');
      const x = Math.round(canvas.width * seconds / 20);
      const column = canvas.getContext('2d').getImageData(x, 0, 1, canvas.height).data;
      const painted = column.filter((value, place) => place % 4 === 3 && value > 0);
      return painted.length / canvas.height;
    }"""
    assert tab.evaluate(height, 8.0) > 0.6
    assert tab.evaluate(height, 17.0) < 0.2


def test_an_edge_is_dragged(open_tab):
    tab = open_tab()
    ask(tab, DOG)
    _, end = watch(tab, 1)
    strip = tab.locator(".strip").bounding_box()
    edge = tab.locator(".edge.end").bounding_box()
    tab.mouse.move(edge["x"] + edge["width"] / 2, edge["y"] + 20)
    tab.mouse.down()
    tab.mouse.move(strip["x"] + strip["width"] * 12 / 20, edge["y"] + 20, steps=5)
    tab.mouse.up()
    moved = float(tab.locator(".edge.end").get_attribute("aria-valuenow"))
    assert abs(moved - 12) < 0.2
    assert abs(now(tab) - 12) < 0.3  # the picture follows the hand
    tab.focus(".edge.end")
    tab.keyboard.press("ArrowLeft")
    assert float(tab.locator(".edge.end").get_attribute("aria-valuenow")) == pytest.approx(
        moved - 0.1, abs=0.06
    )
    assert moved > end


def test_zoom_keeps_the_moment_in_view(open_tab):
    tab = open_tab()
    ask(tab, DOG)
    start, end = watch(tab, 1)
    narrow = tab.locator(".band.chosen").bounding_box()["width"]
    tab.click("[aria-label='Zoom in']")
    assert tab.locator(".band.chosen").bounding_box()["width"] == pytest.approx(2 * narrow, rel=0.1)
    tab.click("[aria-label='Show the whole video']")
    strip = tab.locator(".strip").bounding_box()["width"]
    band = tab.locator(".band.chosen").bounding_box()["width"]
    assert band == pytest.approx(strip * (end - start) / 20, abs=2)


def test_the_keyboard(open_tab):
    tab = open_tab()
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.id") == "ask"
    ask(tab, DOG)
    first = tab.locator(".card[data-key]").first.get_attribute("data-key")
    tab.locator(".card[data-key]").first.focus()
    tab.keyboard.press("Enter")
    tab.wait_for_function("document.querySelector('video').readyState >= 3")
    tab.keyboard.press("k")
    assert paused(tab)
    before = now(tab)
    tab.keyboard.press(".")
    tab.wait_for_timeout(150)
    assert now(tab) - before == pytest.approx(0.04, abs=0.02)
    tab.keyboard.press("l")
    assert now(tab) - before == pytest.approx(1.04, abs=0.05)
    tab.keyboard.press("ArrowRight")
    tab.wait_for_function(
        f"document.querySelector('[aria-current=true]').dataset.key !== '{first}'"
    )
    tab.keyboard.press("ArrowLeft")
    tab.wait_for_function(
        f"document.querySelector('[aria-current=true]').dataset.key === '{first}'"
    )
    tab.keyboard.press("Escape")
    expect(tab.locator(".player")).to_be_hidden()


def test_two_visitors_see_their_own(open_tab):
    one, two = open_tab(), open_tab()
    ask(one, DOG)
    ask(two, GOAL)
    watch(one, 1)
    watch(two, 2)
    assert one.input_value("#ask") == DOG
    assert two.input_value("#ask") == GOAL
    assert "/media/1" in one.evaluate("document.querySelector('video').src")
    assert "/media/2" in two.evaluate("document.querySelector('video').src")


def test_what_is_not_there_is_said_and_weak_matches_are_folded(open_tab):
    tab = open_tab()
    ask(tab, ABSENT)
    expect(tab.locator(".results h2")).to_have_text("Nothing here looks like that")
    expect(tab.locator(".card[data-key]").first).to_be_hidden()
    tab.click("details.weak summary")
    expect(tab.locator(".card[data-key]").first).to_be_visible()


def test_unknown_words_are_shown_with_near_ones(open_tab):
    tab = open_tab()
    ask(tab, "a dog runs on the beachh")
    expect(tab.locator(".unknown")).to_contain_text("“beachh” is not known")
    tab.click(".unknown .chip >> text=beach")
    expect(tab.locator(".unknown")).to_have_count(0)
    assert tab.input_value("#ask") == DOG


def test_results_by_video(open_tab):
    tab = open_tab()
    ask(tab, DOG)
    tab.click("text=By video")
    assert sorted(tab.locator("h3").all_inner_texts()) == ["beach.mp4", "party.mp4"]


def test_search_inside_one_video(open_tab):
    tab = open_tab()
    tab.click(".videos .card >> nth=1")
    expect(tab.locator(".scope")).to_contain_text("in party.mp4")
    ask(tab, DOG)
    keys = tab.eval_on_selector_all(".card[data-key]", "cards => cards.map(c => c.dataset.key)")
    assert {key.split(":")[0] for key in keys} == {"2"}
    tab.click(".scope")
    ask(tab, DOG)
    assert tab.locator(".card[data-key^='1:']").count() > 0


def test_a_bad_file_is_refused_in_one_line(open_tab, tmp_path):
    tab = open_tab()
    bad = tmp_path / "notes.mp4"
    bad.write_text("this is no video\n" * 200)
    drop(tab, bad)
    expect(tab.locator(".toast")).to_contain_text("notes.mp4")
    assert tab.locator(".videos .card").count() == 3


def test_a_name_is_never_markup(open_tab):
    tab = open_tab()
    expect(tab.locator(".videos .name").nth(2)).to_have_text(f"{HOSTILE}.mp4")
    tab.click(".videos .card >> nth=2")
    expect(tab.locator(".player .title")).to_have_text(f"{HOSTILE}.mp4")
    ask(tab, HOSTILE)
    assert tab.title() == "Moments"
    assert tab.locator("img[onerror]").count() == 0


def test_light_and_dark(open_tab):
    def shade(tab: Tab) -> float:
        colour = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(float(part) for part in re.findall(r"[\d.]+", colour)[:3]) / 3

    light, dark = open_tab(), open_tab(color_scheme="dark")
    assert shade(light) > 220
    assert shade(dark) < 40
    dark.click("[aria-label='Light or dark']")
    assert shade(dark) > 220
    dark.reload()
    dark.wait_for_selector("body[data-view]")
    assert shade(dark) > 220  # the visitor's choice outlives the visit


def test_a_phone(open_tab):
    tab = open_tab(viewport={"width": 390, "height": 844}, has_touch=True)
    fits = "document.documentElement.scrollWidth <= 390"
    outside = """[...document.querySelectorAll('.moments button, .moments input, .moments h2')]
      .filter((e) => e.checkVisibility() && !e.closest('.unseen'))
      .filter((e) => e.getBoundingClientRect().right > 391).map((e) => e.outerHTML)"""
    assert tab.evaluate(fits)
    assert tab.evaluate(outside) == []
    ask(tab, DOG)
    tab.locator(".card[data-key]").first.tap()
    tab.wait_for_function("document.querySelector('video').readyState >= 3")
    assert tab.evaluate(fits)
    assert tab.evaluate(outside) == []
    expect(tab.locator(".tool.main")).to_be_in_viewport()


def test_nothing_is_fetched_from_elsewhere(browser, address):
    context = browser.new_context()
    tab = context.new_page()
    asked = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(address)
    tab.wait_for_selector(".videos .card")
    ask(tab, DOG)
    context.close()
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def test_a_format_that_browsers_cannot_play_is_previewed(open_tab, tmp_path):
    with served(planted_page(tmp_path, suffix=".avi")) as base:
        tab = open_tab(base=base)
        ask(tab, DOG)
        start, end = watch(tab, 1)
        assert "/preview/1" in tab.evaluate("document.querySelector('video').src")
        shift = max(0.0, start - 2)
        assert start <= now(tab) + shift < start + 0.8
        wait_until_paused(tab)
        assert end - 0.3 < now(tab) + shift <= end + 0.05


def test_the_set_up_script_finds_this_browser():
    done = subprocess.run(["sh", "tests/setup_chromium.sh"], capture_output=True, check=True)
    assert b"NO CHROMIUM" not in done.stderr


def test_everybody_can_use_it(open_tab):
    """axe-core finds nothing to complain about, on every screen, in light and in dark."""
    for scheme in ("light", "dark"):
        tab = open_tab(color_scheme=scheme)
        check_with_axe(tab)
        ask(tab, DOG + "h")  # with an unknown word
        tab.wait_for_timeout(500)  # the cards have faded in
        check_with_axe(tab)
        watch(tab, 1)
        tab.click("[aria-label='Search only some videos']")
        check_with_axe(tab)


def check_with_axe(tab: Tab) -> None:
    found = Axe().run(tab).response["violations"]
    assert [(each["id"], each["impact"], each["nodes"][0]["html"]) for each in found] == []


def test_filters_choose_the_videos(open_tab):
    tab = open_tab()
    ask(tab, DOG)
    assert tab.locator(".card[data-key]").count() > 0
    tab.click("[aria-label='Search only some videos']")
    tab.fill(".filters input[type=number]", "5")
    tab.keyboard.press("Enter")  # nothing lasts five minutes
    expect(tab.locator(".results h2")).to_have_text("Nothing here looks like that")
    assert tab.locator(".card[data-key]").count() == 0
    tab.click("text=Search everything")
    expect(tab.locator(".results h2")).to_have_text("2 moments in 2 videos")
    tab.fill(".filters input[type=date] >> nth=1", "2001-01-01")
    expect(tab.locator(".results h2")).to_have_text("Nothing here looks like that")


def test_the_basket_gathers_moments_of_several_queries(open_tab):
    tab = open_tab()
    ask(tab, DOG)
    watch(tab, 1)
    tab.click("text=Keep in the basket")
    expect(tab.locator(".keep")).to_have_text("In the basket")
    ask(tab, GOAL)
    watch(tab, 2)
    tab.click("text=Keep in the basket")
    expect(tab.locator(".count")).to_have_text("2")
    tab.reload()  # it outlives the visit
    tab.wait_for_selector("body[data-view]")
    tab.click("[aria-label='Basket']")
    expect(tab.locator(".drawer .name")).to_have_text(["beach.mp4", "party.mp4"])
    tab.click(".drawer .kept >> nth=0")  # asks its query again and plays it
    tab.wait_for_function("document.querySelector('video')?.readyState >= 3")
    assert tab.input_value("#ask") == DOG
    tab.click("[aria-label='Basket']")
    tab.click(".drawer [aria-label='Take out of the basket'] >> nth=0")
    expect(tab.locator(".drawer .name")).to_have_text(["party.mp4"])


def test_what_is_kept_is_downloaded(open_tab, tmp_path):
    """The clip holds the frames from the dragged start to the end, and no other."""
    tab = open_tab()
    ask(tab, DOG)
    watch(tab, 1)
    tab.keyboard.press("k")
    tab.focus(".edge.start")
    tab.keyboard.press("Shift+ArrowRight")  # one second later
    _, start, end = tab.locator("[aria-current=true]").get_attribute("data-key").split(":")
    tab.click("text=Keep in the basket")
    tab.click("[aria-label='Basket']")
    with tab.expect_download() as waiting:
        tab.click("text=One film")
    waiting.value.save_as(tmp_path / "film.mp4")
    numbers = frames_of(tmp_path / "film.mp4")
    assert numbers[0] == pytest.approx(float(start) * FPS, abs=1)
    assert numbers[-1] == pytest.approx(float(end) * FPS - 1, abs=1)
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert float(start) == pytest.approx(MOMENTS[1][DOG][0] + 1, abs=1)


def frames_of(path: Path) -> list[int]:
    with av.open(str(path)) as video:
        return [read_counter(frame.to_ndarray(format="rgb24")) for frame in video.decode(video=0)]


def test_a_kiosk_plays_the_best_moment_by_itself(open_tab, tmp_path):
    screen = Screen(kiosk=True, examples=(GOAL, DOG))
    page = planted_page(tmp_path, rights=Rights(change=False, paths=False), screen=screen)
    with served(page) as base:
        tab = open_tab(base=base)
        expect(tab.locator(".adder")).to_be_hidden()
        tab.click(f".examples .chip >> text={GOAL}")
        tab.wait_for_function("document.querySelector('video')?.currentTime > 3")
        assert not paused(tab)
        assert tab.locator("[aria-label^='Repeat']").get_attribute("aria-pressed") == "true"
