"""The player in a real browser (Chromium): what is clicked is what plays, exactly.

The videos spell their frame numbers and the right answers are planted
(tests/support/planted_page.py); only the first test goes the whole way, from a dropped file through
the real networks to the player.
"""

import re
from pathlib import Path

import pytest
import skimage.data
from PIL import Image
from playwright.sync_api import expect

from tests.support.browser import (
    NEEDED,
    OpenTab,
    ask,
    attribute,
    box,
    drop,
    hold,
    note_seeks,
    now,
    paste,
    paused,
    press_strip,
    shown,
    sought,
    wait_until_loaded,
    wait_until_paused,
    wait_until_shown,
    watch,
)
from tests.support.media import ffmpeg
from tests.support.planted_page import (
    DOG,
    FPS,
    GOAL,
    MOMENTS,
    SECONDS,
    planted_page,
    real_page,
    served,
)
from vmr.model.network import MomentModel
from vmr.model.second_stage import SecondStage, second_stage_config
from vmr.page.access import Access
from vmr.page.viewer import Screen

pytestmark = NEEDED


def test_from_a_dropped_file_to_the_moment(open_tab: OpenTab, tmp_path: Path) -> None:
    """The real networks: a cat between coins and bricks is found, and exactly it is played."""
    film = tmp_path / "holiday.mp4"
    pictures = (skimage.data.coins(), skimage.data.cat(), skimage.data.brick())
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).convert("RGB").resize((320, 180)).save(tmp_path / f"{number}.png")
    parts = [
        ["-loop", "1", "-t", "5", "-i", str(tmp_path / f"{number}.png")] for number in range(3)
    ]
    join = ["-filter_complex", "concat=n=3", "-r", "10", "-pix_fmt", "yuv420p", str(film)]
    ffmpeg(*parts[0], *parts[1], *parts[2], *join)
    with served(real_page(tmp_path)) as address:
        tab = open_tab(base=address)
        expect(tab.locator(".library h2").last).to_have_text("No videos yet")
        drop(tab, film)
        tab.wait_for_selector(".job")
        tab.close()  # reading goes on without anybody looking
        tab = open_tab(base=address)
        card = tab.locator(".videos .card:enabled")
        expect(card).to_contain_text("holiday.mp4", timeout=120_000)
        tab.fill("#ask", "a cat")
        tab.press("#ask", "Enter")
        if tab.locator("details.weak").count():  # whatever today's weights call it
            tab.click("details.weak summary")
        tab.wait_for_selector(".card[data-key]")
        start, end = watch(tab, 1)
        assert min(end, 10) - max(start, 5) > 0.7 * (max(end, 10) - min(start, 5))
        wait_until_paused(tab)
        assert end - 0.3 < now(tab) <= end + 0.05
        for give in (drop, paste):
            give(tab, tmp_path / "1.png")  # a picture of the same cat
            expect(tab.locator(".example")).to_have_text("like this picture")
            first = tab.locator(".results .card[data-key]").first
            first.wait_for(state="attached")
            _, first_second, last_second = attribute(first, "data-key").split(":")
            assert 4 <= float(first_second) < float(last_second) <= 11
            tab.click(".example")
            expect(tab.locator(".example")).to_be_hidden()


def test_a_click_plays_exactly_the_moment(open_tab: OpenTab) -> None:
    tab = open_tab()
    ask(tab, DOG)
    expect(tab.locator(".results h2")).to_have_text("2 moments in 2 videos")
    start, end = watch(tab, 1)
    assert (start, end) == pytest.approx(MOMENTS[1][DOG], abs=1)
    assert abs(sought(tab) - start) < 0.2
    wait_until_paused(tab)
    assert end - 0.3 < now(tab) <= end + 0.05
    note_seeks(tab)
    tab.click(".tool.main")  # once more, from the start
    assert abs(sought(tab) - start) < 0.2
    wait_until_paused(tab)
    assert end - 0.3 < now(tab) <= end + 0.05


def test_a_link_opens_the_moment_at_its_start(open_tab: OpenTab) -> None:
    tab = open_tab()
    ask(tab, DOG)
    start, _ = watch(tab, 2)
    again = open_tab("?" + tab.url.split("?")[1])
    again.wait_for_selector(".player:not([hidden])")
    wait_until_loaded(again)
    assert paused(again)
    assert abs(now(again) - start) < 0.2
    assert again.input_value("#ask") == DOG
    tab.go_back()
    tab.wait_for_selector("[data-view=home]")
    assert paused(tab)  # nothing plays on unseen
    expect(tab.locator("#ask")).to_have_value("")
    tab.go_forward()
    expect(tab.locator("#ask")).to_have_value(DOG)


def test_a_link_to_a_video_opens_it(open_tab: OpenTab) -> None:
    tab = open_tab()
    tab.click(".videos .card >> nth=1")
    tab.wait_for_selector(".player:not([hidden])")
    again = open_tab("?" + tab.url.split("?")[1])
    expect(again.locator(".player .title")).to_have_text("party.mp4")
    expect(again.locator(".scope")).to_contain_text("in party.mp4")


def test_the_moment_repeats(open_tab: OpenTab) -> None:
    tab = open_tab()
    ask(tab, DOG)
    start, end = watch(tab, 1)
    tab.click("[aria-label^='Repeat']")
    tab.evaluate(f"document.querySelector('video').currentTime = {end - 0.4}")
    note_seeks(tab)
    # The first is maybe still that to the end; the loop's own comes after it.
    tab.wait_for_function(f"window.sought.some((second) => second < {end - 0.5})")
    assert tab.evaluate("window.sought.at(-1)") == pytest.approx(start, abs=0.2)
    tab.wait_for_function("!document.querySelector('video').paused")


def test_the_lead_in_and_speed(open_tab: OpenTab) -> None:
    tab = open_tab()
    ask(tab, DOG)
    start, _ = watch(tab, 1)
    tab.select_option("select[aria-label='Lead-in']", "2")
    tab.select_option("select[aria-label='Speed']", "0.25")
    hold(tab)
    watch(tab, 1)
    assert abs(sought(tab) - (start - 2)) < 0.2
    rate = "document.querySelector('video').playbackRate"
    assert tab.evaluate(rate) == 0.25
    watch(tab, 2)  # another file is loaded
    assert tab.evaluate(rate) == 0.25


def test_a_click_on_the_strip_goes_there(open_tab: OpenTab) -> None:
    tab = open_tab()
    ask(tab, DOG)
    watch(tab, 1)
    note_seeks(tab)
    press_strip(tab, 0.75)
    assert abs(sought(tab) - 15) < 0.2
    # Outside the moment the video runs on.
    tab.wait_for_function("document.querySelector('video').currentTime > 15.5")
    assert not paused(tab)
    strip = box(tab.locator(".strip"))
    tab.mouse.move(strip["x"] + strip["width"] * 0.25, strip["y"] + 20)
    expect(tab.locator(".peek span")).to_have_text(re.compile(r"00:0[45]\.\d"))
    assert "thumbnail/1/" in attribute(tab.locator(".peek img"), "src")


def test_the_strip_shows_where_the_match_is(open_tab: OpenTab) -> None:
    """The curve is higher inside the planted moment than elsewhere, pixel by pixel."""
    tab = open_tab()
    ask(tab, DOG)
    watch(tab, 1)
    height = """(seconds) => {
      const canvas = document.querySelector('.strip canvas');
      const x = Math.round(canvas.width * seconds / 20);
      const column = canvas.getContext('2d').getImageData(x, 0, 1, canvas.height).data;
      const painted = column.filter((value, place) => place % 4 === 3 && value > 0);
      return painted.length / canvas.height;
    }"""
    tab.wait_for_function(f"({height})(8.0) > 0.6")
    assert tab.evaluate(height, 17.0) < 0.2


def test_an_edge_is_dragged(open_tab: OpenTab) -> None:
    tab = open_tab()
    ask(tab, DOG)
    _, end = watch(tab, 1)
    tab.hover(".edge.end")  # once it stands still
    strip = box(tab.locator(".strip"))
    edge = box(tab.locator(".edge.end"))
    tab.mouse.down()
    tab.mouse.move(strip["x"] + strip["width"] * 12 / 20, edge["y"] + 20, steps=5)
    tab.mouse.up()
    moved = float(attribute(tab.locator(".edge.end"), "aria-valuenow"))
    assert abs(moved - 12) < 0.2
    assert abs(now(tab) - 12) < 0.3  # the picture follows the hand
    tab.focus(".edge.end")
    tab.keyboard.press("ArrowLeft")
    assert float(attribute(tab.locator(".edge.end"), "aria-valuenow")) == pytest.approx(
        moved - 0.1, abs=0.06
    )
    assert moved > end


def test_the_timeline_by_keyboard(open_tab: OpenTab) -> None:
    """The slider beside the strip moves with the arrow keys, which elsewhere change the moment."""
    tab = open_tab()
    ask(tab, DOG)
    start, _ = watch(tab, 1)
    hold(tab)
    tab.evaluate(f"document.querySelector('video').currentTime = {start + 1}")
    tab.wait_for_function("!document.querySelector('video').seeking")
    tab.focus("[aria-label^='Timeline']")
    before = tab.url
    tab.keyboard.press("ArrowRight")
    tab.wait_for_function(f"document.querySelector('video').currentTime > {start + 1.05}")
    assert now(tab) == pytest.approx(start + 1.1, abs=0.1)
    assert tab.url == before


def test_zoom_keeps_the_moment_in_view(open_tab: OpenTab) -> None:
    tab = open_tab()
    ask(tab, DOG)
    start, end = watch(tab, 1)
    narrow = box(tab.locator(".band.chosen"))["width"]
    tab.click("[aria-label='Zoom in']")
    assert box(tab.locator(".band.chosen"))["width"] == pytest.approx(2 * narrow, rel=0.1)
    tab.click("[aria-label='Show the whole video']")
    strip = box(tab.locator(".strip"))["width"]
    band = box(tab.locator(".band.chosen"))["width"]
    assert band == pytest.approx(strip * (end - start) / 20, abs=2)


def test_the_keyboard(open_tab: OpenTab) -> None:
    tab = open_tab()
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.id") == "ask"
    ask(tab, DOG)
    first = tab.locator(".card[data-key]").first.get_attribute("data-key")
    tab.locator(".card[data-key]").first.focus()
    tab.keyboard.press("Enter")
    wait_until_loaded(tab)
    tab.click("[aria-label^='Repeat']")  # so that it plays whenever "k" comes
    tab.wait_for_function("!document.querySelector('video').paused")
    tab.keyboard.press("k")
    assert paused(tab)
    tab.keyboard.press(" ")  # not the button that was pressed last, but play
    assert not paused(tab)
    tab.keyboard.press("k")
    tab.keyboard.press(".")
    tab.wait_for_function("!document.querySelector('video').seeking")
    before = now(tab)
    tab.keyboard.press("l")
    assert now(tab) - before == pytest.approx(1, abs=0.05)
    tab.keyboard.press("j")
    assert now(tab) - before == pytest.approx(0, abs=0.05)
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


def test_frame_by_frame(open_tab: OpenTab) -> None:
    """Ten on and ten back, each exactly one, from the first frame of a moment."""
    tab = open_tab()
    ask(tab, DOG)
    start, _ = watch(tab, 1)
    hold(tab)
    tab.evaluate(f"document.querySelector('video').currentTime = {start}")
    first = round(start * FPS)
    wait_until_shown(tab, first, first)
    for number in (*range(first + 1, first + 11), *range(first + 9, first - 1, -1)):
        tab.keyboard.press("." if number > shown(tab) else ",")
        wait_until_shown(tab, number, number)


def test_a_format_that_browsers_cannot_play_is_previewed(open_tab: OpenTab, tmp_path: Path) -> None:
    with served(planted_page(tmp_path, suffix=".avi")) as base:
        tab = open_tab(base=base)
        ask(tab, DOG)
        start, end = watch(tab, 1)
        assert "/preview/1" in tab.evaluate("document.querySelector('video').src")
        shift = max(0.0, start - 2)
        assert abs(sought(tab) + shift - start) < 0.2
        wait_until_paused(tab)
        assert end - 0.3 < now(tab) + shift <= end + 0.05


@pytest.mark.parametrize("suffix", [".webm", ".mp4"])
def test_a_clock_that_starts_late(open_tab: OpenTab, tmp_path: Path, suffix: str) -> None:
    """A browser's seconds are the file's own, ours begin with the pictures. Of an MP4, Chromium
    believes the end to come that much too early, so that it is shown as a preview."""
    with served(planted_page(tmp_path, suffix=suffix, begins=5.0)) as base:
        tab = open_tab(base=base)
        ask(tab, DOG)
        start, end = watch(tab, 2)
        direct = "/media/2" in tab.evaluate("document.querySelector('video').src")
        assert direct == (suffix == ".webm")
        shift = -5.0 if direct else max(0.0, start - 2)
        assert abs(sought(tab) + shift - start) < 0.2
        wait_until_paused(tab)
        wait_until_shown(tab, (end - 0.3) * FPS, (end + 0.05) * FPS)
        assert (now(tab) - 5 > end - 0.3) == direct
        expect(tab.locator(".readout strong")).to_have_text(
            re.compile(
                rf"00:{int(end) - 1:02}|"
                rf"00:{int(end):02}"
            )
        )
        press_strip(tab, 0.9)
        wait_until_shown(tab, 18 * FPS - 15, SECONDS * FPS)


def test_a_kiosk_plays_the_best_moment_by_itself(open_tab: OpenTab, tmp_path: Path) -> None:
    screen = Screen(kiosk=True, examples=(GOAL, DOG))
    page = planted_page(tmp_path, access=Access(change=False, paths=False), screen=screen)
    with served(page) as base:
        tab = open_tab(base=base)
        expect(tab.locator(".adder")).to_be_hidden()
        tab.click(f".examples .chip >> text={GOAL}")
        tab.wait_for_function("document.querySelector('video')?.currentTime > 3")
        assert not paused(tab)
        assert tab.locator("[aria-label^='Repeat']").get_attribute("aria-pressed") == "true"


def test_a_kiosk_goes_back_to_the_start_when_nobody_is_there(
    open_tab: OpenTab, tmp_path: Path
) -> None:
    page = planted_page(tmp_path, access=Access(change=False), screen=Screen(kiosk=True))
    with served(page) as base:
        tab = open_tab(base=base)
        tab.wait_for_selector("body.kiosk")
        tab.clock.install()
        ask(tab, GOAL)
        tab.clock.fast_forward(61_000)
        tab.wait_for_selector("[data-view=home]")


def test_each_word_shows_where_it_matches(open_tab: OpenTab) -> None:
    tab = open_tab()
    ask(tab, DOG)
    watch(tab, 1)
    tab.click(".why summary")
    expect(tab.locator(".alone span")).to_have_text(["dog", "runs", "beach"])
    expect(tab.locator(".added span")).to_have_text(["dog", "runs", "beach"])
    expect(tab.locator(".added em")).to_have_text([re.compile(r"^[+−]\d+$")] * 3)
    expect(tab.locator(".why section").last).to_contain_text("no second stage")
    expect(tab.locator(".why > .detail")).to_contain_text(
        re.compile(r"(about \d+ in 100|nearly all) were right where it was measured")
    )
    opaque = """[...document.querySelectorAll('.%s canvas')].some((canvas) =>
      canvas.getContext('2d').getImageData(0, 0, canvas.width, 1).data.some((byte) => byte > 0))"""
    for rows in ("alone", "added"):
        tab.wait_for_function(opaque % rows)


def test_where_each_word_looked(open_tab: OpenTab, tmp_path: Path) -> None:
    """With a second stage, its attention is shown under a heading of its own, over its window."""
    page = planted_page(tmp_path)
    with served(page) as base:
        tab = open_tab(base=base)
        ask(tab, DOG)
        model = page.viewer._model
        config = second_stage_config(model.space, width=24)
        model.second_stage = SecondStage(MomentModel(config), model.space).eval()
        watch(tab, 1)
        tab.click(".why summary")
        expect(tab.locator(".why .heading")).to_have_text(
            [
                "What each word adds",
                "How strongly each word matches alone",
                "Where each word looked",
            ]
        )
        expect(tab.locator(".looked span")).to_have_text(["dog", "runs", "beach"])
        expect(tab.locator(".alone span")).to_have_text(["dog", "runs", "beach"])
        brightest = """[...document.querySelectorAll('.looked canvas')].map((canvas) => {
          const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, 1).data;
          return Math.max(...pixels.filter((value, place) => place % 4 === 3));
        }).join()"""
        tab.wait_for_function(f"{brightest} === '255,255,255'")  # each word against its own most
        ask(tab, f"{DOG} AND {DOG}")
        watch(tab, 1)
        expect(tab.locator(".why section").last).to_contain_text("minus sign")
        expect(tab.locator(".added")).to_be_hidden()
