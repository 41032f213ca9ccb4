"""The player in a real browser (Chromium): what is clicked is what plays, exactly.

The videos spell their frame numbers and the right answers are planted (tests/planted_page.py); only
the first test goes the whole way, from a dropped file through the real networks to the player.
"""

import re

import pytest
import skimage.data
from PIL import Image
from playwright.sync_api import expect

from tests.browser import NEEDED, ask, drop, now, paused, shown, wait_until_paused, watch
from tests.media import ffmpeg
from tests.planted_page import DOG, FPS, GOAL, MOMENTS, SECONDS, planted_page, real_page, served
from vmr.model import MomentModel
from vmr.page import Rights, Screen
from vmr.reader import MomentReader, reader_config

pytestmark = NEEDED


def test_from_a_dropped_file_to_the_moment(open_tab, tmp_path):
    """The real networks: a cat between coins and bricks is found, and exactly it is played."""
    film = tmp_path / "holiday.mp4"
    pictures = (skimage.data.coins(), skimage.data.cat(), skimage.data.brick())
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).convert("RGB").resize((320, 180)).save(tmp_path / f"{number}.png")
    parts = [["-loop", "1", "-t", "5", "-i", tmp_path / f"{number}.png"] for number in range(3)]
    join = ["-filter_complex", "concat=n=3", "-r", "10", "-pix_fmt", "yuv420p", film]
    ffmpeg(*parts[0], *parts[1], *parts[2], *join)
    with served(real_page(tmp_path)) as address:
        tab = open_tab(base=address)
        expect(tab.locator(".library h2").last).to_have_text("No videos yet")
        drop(tab, film)
        tab.wait_for_selector(".job", timeout=10_000)
        tab.close()  # reading goes on without anybody looking
        tab = open_tab(base=address)
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
        drop(tab, tmp_path / "1.png")  # a picture of the same cat
        expect(tab.locator(".example")).to_have_text("like this picture")
        first = tab.locator(".results .card[data-key]").first
        first.wait_for(state="attached")
        _, start, end = first.get_attribute("data-key").split(":")
        assert 4 <= float(start) < float(end) <= 11


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
    # Loaded and on its way: "k" before that would start it.
    playing = "video => video.readyState >= 3 && !video.paused"
    tab.wait_for_function(f"({playing})(document.querySelector('video'))")
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


@pytest.mark.parametrize("suffix", [".webm", ".mp4"])
def test_a_clock_that_starts_late(open_tab, tmp_path, suffix):
    """A browser's seconds are the file's own, ours begin with the pictures. Of an MP4, Chromium
    believes the end to come that much too early, so that it is shown as a preview."""
    with served(planted_page(tmp_path, suffix=suffix, begins=5.0)) as base:
        tab = open_tab(base=base)
        ask(tab, DOG)
        start, end = watch(tab, 2)
        direct = "/media/2" in tab.evaluate("document.querySelector('video').src")
        assert direct == (suffix == ".webm")
        assert start * FPS <= shown(tab) < (start + 0.8) * FPS
        wait_until_paused(tab)
        assert (end - 0.3) * FPS < shown(tab) <= (end + 0.05) * FPS
        assert (now(tab) - 5 > end - 0.3) == direct
        expect(tab.locator(".readout strong")).to_have_text(
            re.compile(
                rf"00:{int(end) - 1:02}|"
                rf"00:{int(end):02}"
            )
        )
        tab.evaluate("document.querySelector('video').pause()")
        box = tab.locator(".strip").bounding_box()
        tab.mouse.click(box["x"] + box["width"] * 0.9, box["y"] + 20)
        tab.wait_for_timeout(1500)
        assert 18 * FPS - 15 <= shown(tab) <= SECONDS * FPS


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


def test_each_word_shows_where_it_matches(open_tab):
    tab = open_tab()
    ask(tab, DOG)
    watch(tab, 1)
    tab.click(".why summary")
    expect(tab.locator(".why-rows span")).to_have_text(["dog", "runs", "beach"])
    expect(tab.locator(".why section").first).to_contain_text("no second stage")
    opaque = """() => [...document.querySelectorAll('.why-rows canvas')].map((canvas) =>
      canvas.getContext('2d').getImageData(0, 0, canvas.width, 1).data.some((byte) => byte > 0))"""
    tab.wait_for_timeout(200)
    assert any(tab.evaluate(opaque))


def test_where_each_word_looked(open_tab, tmp_path):
    """With a second stage, its attention is shown under a heading of its own, over its window."""
    page = planted_page(tmp_path)
    with served(page) as base:
        tab = open_tab(base=base)
        ask(tab, DOG)
        ranker = page._ranker
        config = reader_config(ranker.width, width=24)
        ranker.reader = MomentReader(MomentModel(config)).eval()
        watch(tab, 1)
        tab.click(".why summary")
        expect(tab.locator(".why .heading")).to_have_text(
            ["Where each word looked", "How strongly each word matches alone"]
        )
        expect(tab.locator(".looked span")).to_have_text(["dog", "runs", "beach"])
        expect(tab.locator(".alone span")).to_have_text(["dog", "runs", "beach"])
        brightest = """() => [...document.querySelectorAll('.looked canvas')].map((canvas) => {
          const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, 1).data;
          return Math.max(...pixels.filter((value, place) => place % 4 === 3));
        })"""
        tab.wait_for_timeout(200)
        assert tab.evaluate(brightest) == [255, 255, 255]  # each word against its own most
        ask(tab, f"{DOG} AND {DOG}")
        watch(tab, 1)
        expect(tab.locator(".why section").first).to_contain_text("minus sign")
