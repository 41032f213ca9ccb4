"""Everything around the player in a real browser: answers, filters, basket, library, looks."""

import os
import re
import subprocess
from pathlib import Path

import av
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Dialog, Route, expect
from playwright.sync_api import Page as Tab

from feature_extract.video.recording import Recording
from tests.support.browser import (
    HOSTILE,
    NEEDED,
    OpenTab,
    ask,
    attribute,
    box,
    drop,
    drop_folder,
    hold,
    paused,
    wait_until_still,
    watch,
)
from tests.support.media import counter_video, read_counter
from tests.support.planted_page import (
    ABSENT,
    DOG,
    FPS,
    GOAL,
    MOMENTS,
    planted_page,
    real_page,
    served,
)
from vmr.library.content import FileStamp
from vmr.library.jobs import Job, Progress
from vmr.page.access import Access

pytestmark = NEEDED


def test_two_visitors_see_their_own(open_tab: OpenTab) -> None:
    one, two = open_tab(), open_tab()
    ask(one, DOG)
    ask(two, GOAL)
    watch(one, 1)
    watch(two, 2)
    assert one.input_value("#ask") == DOG
    assert two.input_value("#ask") == GOAL
    assert "/media/1" in one.evaluate("document.querySelector('video').src")
    assert "/media/2" in two.evaluate("document.querySelector('video').src")


def test_what_is_not_there_is_said_and_weak_matches_are_folded(open_tab: OpenTab) -> None:
    tab = open_tab()
    ask(tab, ABSENT)
    expect(tab.locator(".results h2")).to_have_text("Nothing here looks like that")
    expect(tab.locator(".card[data-key]").first).to_be_hidden()
    tab.click("details.weak summary")
    expect(tab.locator(".card[data-key]").first).to_be_visible()


def test_unknown_words_are_shown_with_near_ones(open_tab: OpenTab) -> None:
    tab = open_tab()
    ask(tab, "a dog runs on the beachh")
    expect(tab.locator(".unknown")).to_contain_text("“beachh” is not known")
    tab.click(".unknown .chip >> text=beach")
    expect(tab.locator(".unknown")).to_have_count(0)
    assert tab.input_value("#ask") == DOG


def test_a_slip_is_searched_for_and_the_word_that_was_meant_offered(open_tab: OpenTab) -> None:
    tab = open_tab()
    ask(tab, "a motocycle")
    tab.click(".unknown .chip >> text=motorcycle")
    expect(tab.locator(".unknown")).to_have_count(0)
    assert tab.input_value("#ask") == "a motorcycle"


def test_results_by_video(open_tab: OpenTab) -> None:
    tab = open_tab()
    ask(tab, DOG)
    tab.click("text=By video")
    assert sorted(tab.locator(".results h3").all_inner_texts()) == ["beach.mp4", "party.mp4"]


def test_known_words_near_the_only_word(open_tab: OpenTab) -> None:
    """Nothing can be searched; but what may have been meant is a click away."""
    tab = open_tab()
    tab.fill("#ask", "Footbal goall")
    tab.press("#ask", "Enter")
    expect(tab.locator(".results")).to_contain_text("not known")
    tab.fill("#ask", "Goall")
    tab.press("#ask", "Enter")
    expect(tab.locator(".error")).to_contain_text("No known word")
    tab.click(".unknown .chip >> text=/^goal$/")
    expect(tab.locator("#ask")).to_have_value("goal")
    expect(tab.locator(".error")).to_have_count(0)


@pytest.mark.parametrize(
    ("query", "better"),
    [
        ("a dog without people", "a dog -people"),
        ("a dog with no leash on the beach", "a dog on the beach -leash"),
        ("a person who is not smiling.", "a person -smiling"),
        ("a dog but no cats and no parked cars", 'a dog -cats -"parked cars"'),
        ("no people on the beach", "the beach -people"),
        ("don’t show me cats", None),
        ("not a cat", None),
    ],
)
def test_plain_negation_is_offered_with_a_minus(
    open_tab: OpenTab, query: str, better: str | None
) -> None:
    tab = open_tab()
    ask(tab, query)
    hint = tab.locator(".unknown", has_text="not left out")
    if better is None:
        expect(hint).to_contain_text("write -word")
        return
    hint.locator(".chip").click()
    expect(tab.locator("#ask")).to_have_value(better)
    expect(tab.locator(".results h2:not(.quiet)")).to_be_visible()
    expect(hint).to_have_count(0)


def test_what_is_no_negation_gets_no_hint(open_tab: OpenTab) -> None:
    tab = open_tab()
    for query in (DOG, "a dog with notes", "a dog without a cat -people", "a dog NOT a cat"):
        ask(tab, query)
        expect(tab.locator(".unknown", has_text="not left out")).to_have_count(0)


def test_refused_files_are_readable_and_no_videos(open_tab: OpenTab, tmp_path: Path) -> None:
    page = planted_page(tmp_path)
    path = tmp_path / "a holiday with a long name.mp4"
    path.write_text("no video at all")
    video = page.library.register(path)
    page.library.mark(video.id, "refused", "not a video: " + "nothing in it can be understood " * 3)
    with served(page) as base:
        tab = open_tab(base=base)
        expect(tab.locator(".library h2").last).to_have_text("3 videos, 60 s, 1 not added")
        tile = tab.locator(".videos .card").last
        widths = tile.locator(".name, .detail").evaluate_all("all => all.map((e) => e.clientWidth)")
        assert min(widths) > 150
        assert tile.evaluate("e => getComputedStyle(e).opacity") == "1"


def test_from_a_moment_to_its_video(open_tab: OpenTab) -> None:
    tab = open_tab()
    ask(tab, DOG)
    watch(tab, 2)
    tab.click("text=Search inside this video")
    expect(tab.locator(".scope")).to_contain_text("in party.mp4")
    expect(tab.locator(".results h2")).to_have_text("1 moment in 1 video")
    assert tab.locator(".card[data-key^='1:']").count() == 0
    watch(tab, 2)
    expect(tab.locator("text=Search inside this video")).to_be_hidden()


def test_only_the_first_card_says_how_often_it_is_right(open_tab: OpenTab) -> None:
    tab = open_tab()
    ask(tab, DOG)
    told = tab.eval_on_selector_all(".meter", "meters => meters.map((meter) => meter.title)")
    assert ["were right" in text for text in told] == [True] + [False] * (len(told) - 1)
    assert all(text.startswith("Match strength") for text in told)
    assert len(told) > 1


def test_search_inside_one_video(open_tab: OpenTab) -> None:
    tab = open_tab()
    tab.click(".videos .card >> nth=1")
    expect(tab.locator(".scope")).to_contain_text("in party.mp4")
    ask(tab, DOG)
    keys = tab.eval_on_selector_all(".card[data-key]", "cards => cards.map(c => c.dataset.key)")
    assert {key.split(":")[0] for key in keys} == {"2"}
    tab.click(".scope")
    ask(tab, DOG)
    assert tab.locator(".card[data-key^='1:']").count() > 0


def test_bad_files_are_refused_in_one_line_each(open_tab: OpenTab, tmp_path: Path) -> None:
    tab = open_tab()
    bad = [tmp_path / "notes.mp4", tmp_path / "empty.mp4"]
    bad[0].write_text("this is no video\n" * 200)
    bad[1].write_bytes(b"")
    drop(tab, *bad)
    rows = tab.locator(".job.failed")
    expect(rows.locator(".name")).to_have_text(["notes.mp4", "empty.mp4"])
    for reason in rows.locator(".detail").all_inner_texts():
        assert len(reason) > 10
        assert ".mp4" not in reason  # the name is said once
    rows.first.get_by_text("Dismiss").click()
    expect(rows.locator(".name")).to_have_text(["empty.mp4"])
    assert tab.locator(".videos .card").count() == 3


def test_a_name_is_never_markup(open_tab: OpenTab) -> None:
    tab = open_tab()
    expect(tab.locator(".videos .name").nth(2)).to_have_text(f"{HOSTILE}.mp4")
    tab.click(".videos .card >> nth=2")
    expect(tab.locator(".player .title")).to_have_text(f"{HOSTILE}.mp4")
    tab.fill("#ask", HOSTILE)
    tab.press("#ask", "Enter")
    expect(tab.locator(".results .error")).to_contain_text("looks like code")
    assert tab.title() == "Moments"
    assert tab.locator("img[onerror]").count() == 0


def test_light_and_dark(open_tab: OpenTab) -> None:
    def wait_for_shade(tab: Tab, wanted: str) -> None:
        tab.wait_for_function(
            """(wanted) => {
              const colour = getComputedStyle(document.body).backgroundColor;
              const parts = colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
              const opaque = !colour.startsWith("rgba");  // the style sheet has come
              const shade = parts.reduce((a, b) => a + b) / 3;
              return opaque && (wanted === "light" ? shade > 220 : shade < 40);
            }""",
            arg=wanted,
        )

    light, dark = open_tab(), open_tab(color_scheme="dark")
    wait_for_shade(light, "light")
    wait_for_shade(dark, "dark")
    dark.click("[aria-label='Light or dark']")
    wait_for_shade(dark, "light")
    dark.reload()
    dark.wait_for_selector("body[data-view]")
    wait_for_shade(dark, "light")  # the visitor's choice outlives the visit


def test_a_phone(open_tab: OpenTab, tmp_path: Path) -> None:
    tab = open_tab(viewport={"width": 390, "height": 844}, has_touch=True)
    tab.wait_for_selector(".videos .card:enabled")
    fits = "document.documentElement.scrollWidth <= 390"
    outside = """[...document.querySelectorAll(
        '.moments button, .moments input, .moments h2, .job, .menu-panel')]
      .filter((e) => e.checkVisibility() && !e.closest('.unseen'))
      .filter((e) => e.getBoundingClientRect().right > 391).map((e) => e.outerHTML)"""
    tab.wait_for_function(fits)
    assert tab.evaluate(outside) == []
    bad = tmp_path / "a film with a long name that is no film.mp4"
    bad.write_text("no video at all")
    tab.set_input_files("[type=file][multiple]", bad)
    expect(tab.locator(".job.failed")).to_be_visible()
    assert tab.evaluate(outside) == []
    ask(tab, DOG)
    tab.locator(".card[data-key]").first.tap()
    tab.wait_for_function("document.querySelector('video').readyState >= 3")
    tab.wait_for_function(fits)
    assert tab.evaluate(outside) == []
    tab.click("[aria-label='Save this clip']")
    tab.wait_for_function(fits)
    assert tab.evaluate(outside) == []
    expect(tab.locator(".tool.main")).to_be_in_viewport()


def test_nothing_is_fetched_from_elsewhere(browser: Browser, address: str) -> None:
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


def test_the_set_up_script_finds_this_browser() -> None:
    done = subprocess.run(
        ["sh", "tests/support/setup_chromium.sh"], capture_output=True, check=True
    )
    assert b"NO CHROMIUM" not in done.stderr


def test_everybody_can_use_it(open_tab: OpenTab) -> None:
    """axe-core finds nothing to complain about, on every screen, in light and in dark."""
    for scheme in ("light", "dark"):
        tab = open_tab(color_scheme=scheme)
        check_with_axe(tab)
        ask(tab, DOG + "h")  # with an unknown word
        check_with_axe(tab)
        watch(tab, 1)
        hold(tab)
        tab.click("[aria-label='Search only some videos']")
        tab.click(".why summary")
        tab.click(".keep")
        check_with_axe(tab)
        for label in ("Basket", "How to ask, and the keys (?)"):
            tab.click(f"[aria-label='{label}']")
            check_with_axe(tab)
            tab.keyboard.press("Escape")
        tab.fill("#ask", "beachh")
        tab.press("#ask", "Enter")
        tab.wait_for_selector(".error")
        check_with_axe(tab)


def check_with_axe(tab: Tab) -> None:
    wait_until_still(tab)
    found = Axe().run(tab).response["violations"]
    assert [(each["id"], each["impact"], each["nodes"][0]["html"]) for each in found] == []


def test_filters_choose_the_videos(open_tab: OpenTab) -> None:
    tab = open_tab()
    ask(tab, DOG)
    assert tab.locator(".card[data-key]").count() > 0
    tab.click("[aria-label='Search only some videos']")
    tab.fill(".filters input[type=number]", "5")
    tab.keyboard.press("Enter")  # nothing lasts five minutes
    expect(tab.locator(".results h2")).to_contain_text("the filter leaves all of them out")
    assert tab.locator(".card[data-key]").count() == 0
    tab.click("text=Search everything")
    expect(tab.locator(".results h2")).to_have_text("2 moments in 2 videos")
    tab.fill(".filters input[type=date] >> nth=1", "2001-01-01")
    expect(tab.locator(".results h2")).to_contain_text("the filter leaves all of them out")


def test_a_folder_is_searched_with_the_folders_in_it(open_tab: OpenTab, tmp_path: Path) -> None:
    page = planted_page(tmp_path, folders=("trips/sea", "trips", "home"))
    with served(page) as base:
        tab = open_tab(base=base)
        tab.click("[aria-label='Search only some videos']")
        folder = tab.locator(".filters select")
        # The part of the paths that all of them share tells nothing.
        expect(folder.locator("option")).to_have_text(["All folders", "home", "trips", "trips/sea"])
        ask(tab, DOG)
        expect(tab.locator(".results h2")).to_have_text("2 moments in 2 videos")
        folder.select_option(label="trips/sea")
        expect(tab.locator(".results h2")).to_have_text("1 moment in 1 video")
        folder.select_option(label="trips")
        expect(tab.locator(".results h2")).to_have_text("2 moments in 2 videos")
        folder.select_option(label="home")
        expect(tab.locator(".results h2")).to_have_text("Nothing here looks like that")


def test_recordings_choose_and_arrange_the_videos(open_tab: OpenTab, tmp_path: Path) -> None:
    """By the clocks of the place; where a file does not say, by its date, which is named so."""
    page = planted_page(tmp_path)
    said = {
        1: Recording(1685568600.0, 540, 35.6812, 139.7671, "Canon", "EOS R5"),  # 1 June, 06:30
        2: Recording(1685568600.0, -420, 37.77, -122.42, "Apple", "iPhone 13"),  # 31 May, 14:30
    }
    page.library.recordings.keep(said)
    os.utime(page.library.video(3).path, (1e9, 1e9))
    page.library.register(page.library.video(3).path)
    with served(page) as base:
        tab = open_tab(base=base)
        tab.select_option("[aria-label='Order of the library']", label="By day")
        expect(tab.locator(".videos h3")).to_have_text(
            [
                re.compile(r"^Thursday,? 1 June 2023$"),
                re.compile(r"^Wednesday,? 31 May 2023$"),
                re.compile(r"^Sunday,? 9 September 2001, by the date of the file$"),
            ]
        )
        check_with_axe(tab)
        expect(tab.locator(".videos .detail").first).to_have_attribute(
            "title", re.compile("recorded 2023-06-01 at 06:30, Canon EOS R5, at 35.6812, 139.7671$")
        )
        tab.select_option("[aria-label='Order of the library']", label="As added")
        expect(tab.locator(".videos h3")).to_have_count(0)
        tab.click("[aria-label='Search only some videos']")
        check_with_axe(tab)
        ask(tab, DOG)
        heading = tab.locator(".results h2")
        expect(heading).to_have_text("2 moments in 2 videos")
        for name, value, found in [
            ("From", "2023-06-01", "1 moment in 1 video"),
            ("To", "2023-05-31", "the filter leaves all of them out"),
            ("From", "2023-05-31", "1 moment in 1 video"),
            ("From", "", "1 moment in 1 video"),
            ("To", "", "2 moments in 2 videos"),
            ("Camera", "iphone", "1 moment in 1 video"),
            ("Camera", "", "2 moments in 2 videos"),
            ("Near (latitude, longitude, distance)", "35.7, 139.8, 20 km", "1 moment in 1 video"),
        ]:
            tab.get_by_label(name, exact=True).fill(value)
            tab.keyboard.press("Tab")
            expect(heading).to_contain_text(found)
        tab.get_by_label("Near (latitude, longitude, distance)").fill("Tokyo")
        tab.keyboard.press("Tab")
        expect(tab.locator(".results")).to_contain_text("is not LATITUDE,LONGITUDE,RADIUS")


def test_an_empty_library_says_so(open_tab: OpenTab, tmp_path: Path) -> None:
    with served(real_page(tmp_path)) as base:
        tab = open_tab(base=base)
        expect(tab.locator(".nothing")).to_contain_text("Drop a few videos here")
        ask(tab, DOG)
        expect(tab.locator(".results h2")).to_contain_text("nothing to search yet")


def test_the_basket_gathers_moments_of_several_queries(open_tab: OpenTab) -> None:
    tab = open_tab()
    ask(tab, DOG)
    watch(tab, 1)
    tab.click(".keep")
    expect(tab.locator(".keep")).to_have_text("Kept")
    ask(tab, GOAL)
    watch(tab, 2)
    tab.click(".keep")
    expect(tab.locator(".count")).to_have_text("2")
    tab.reload()  # it outlives the visit
    tab.wait_for_selector("body[data-view]")
    tab.click("[aria-label='Basket']")
    expect(tab.locator(".drawer .name")).to_have_text(["beach.mp4", "party.mp4"])
    tab.click(".drawer .kept >> nth=0")  # asks its query again and plays it
    tab.wait_for_function("document.querySelector('video')?.readyState >= 3")
    assert tab.input_value("#ask") == DOG
    tab.click("text=Search inside this video")
    expect(tab.locator(".scope")).to_be_visible()
    tab.click("[aria-label='Basket']")
    tab.click(".drawer .kept >> nth=1")
    expect(tab.locator("#ask")).to_have_value(GOAL)
    expect(tab.locator(".scope")).to_be_hidden()  # all videos are searched
    tab.click("[aria-label='Basket']")
    tab.click(".drawer [aria-label='Take out of the basket'] >> nth=0")
    expect(tab.locator(".drawer .name")).to_have_text(["party.mp4"])


def test_what_is_kept_is_downloaded(open_tab: OpenTab, tmp_path: Path) -> None:
    """The clip holds the frames from the dragged start to the end, and no other."""
    tab = open_tab()
    ask(tab, DOG)
    watch(tab, 1)
    hold(tab)
    tab.focus(".edge.start")
    tab.keyboard.press("Shift+ArrowRight")  # one second later
    _, start, end = attribute(tab.locator("[aria-current=true]"), "data-key").split(":")
    tab.click(".keep")
    tab.click("[aria-label='Basket']")
    with tab.expect_download() as waiting:
        tab.click("text=One film")
    waiting.value.save_as(tmp_path / "film.mp4")
    numbers = frames_of(tmp_path / "film.mp4")
    assert numbers[0] == pytest.approx(float(start) * FPS, abs=1)
    assert numbers[-1] == pytest.approx(float(end) * FPS - 1, abs=1)
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert float(start) == pytest.approx(MOMENTS[1][DOG][0] + 1, abs=1)


def test_a_clip_is_copied_or_encoded_as_is_asked(open_tab: OpenTab, tmp_path: Path) -> None:
    tab = open_tab()
    ask(tab, DOG)
    start, end = watch(tab, 1)
    hold(tab)
    for label in ("Exact clip", "Quick copy"):
        tab.click("[aria-label='Save this clip']")
        with tab.expect_download() as waiting:
            tab.locator(".menu-panel a", has_text=label).click()
        expect(tab.locator(".menu-panel")).to_be_hidden()
        assert waiting.value.suggested_filename == f"beach {start:.1f}-{end:.1f}.mp4"
        waiting.value.save_as(tmp_path / f"{label}.mp4")
    exact, copied = (frames_of(tmp_path / f"{label}.mp4") for label in ("Exact clip", "Quick copy"))
    assert exact == list(range(round(start * FPS), round(end * FPS)))
    assert set(exact) <= set(copied)


def test_a_download_that_fails_says_why(open_tab: OpenTab) -> None:
    tab = open_tab()
    ask(tab, DOG)
    watch(tab, 1)
    tab.click(".keep")
    tab.click("[aria-label='Basket']")
    tab.evaluate("localStorage.clear()")
    refused = {"status": 422, "json": {"detail": "beach.mp4: the file is gone"}}
    tab.route("**/export/**", lambda route: route.fulfill(**refused))
    tab.click("text=One film")
    expect(tab.locator(".toast")).to_have_text("beach.mp4: the file is gone")
    tab.unroute("**/export/**")
    with tab.expect_download():
        tab.click("text=Table (CSV)")
    expect(tab.locator(".toast")).to_be_hidden()  # it was not said of this one


def test_a_video_that_is_not_there_is_no_dead_end(open_tab: OpenTab) -> None:
    tab = open_tab("?q=a+dog+runs+on+the+beach&video=999")
    expect(tab.locator(".error")).to_contain_text("There is no video 999")
    expect(tab.locator(".scope")).to_contain_text("in video 999")
    tab.click("text=Search the whole library")
    expect(tab.locator(".results h2")).to_have_text("2 moments in 2 videos")
    expect(tab.locator(".scope")).to_be_hidden()


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_a_card_runs_through_its_moment_with_one_request(open_tab: OpenTab, motion: str) -> None:
    """By itself while the pointer rests, unless motion is unwanted; by hand where it moves."""
    tab = open_tab(reduced_motion=motion)
    asked = []
    tab.on("request", lambda request: asked.append(request.url))
    ask(tab, DOG)
    card = tab.locator(".card[data-key^='1:']").first
    expect(card.locator(".film")).to_be_hidden()
    # The pictures of the cards themselves have come: the small ones first, then the sharp.
    tab.wait_for_function(
        """[...document.querySelectorAll('.results > .cards img')].every((image) =>
          image.complete && image.src.includes('/still/'))"""
    )
    asked.clear()
    card.locator(".frame").hover(position={"x": 5, "y": 40})
    frame = box(card.locator(".frame"))
    place = "getComputedStyle(document.querySelector('.film:not([hidden])')).backgroundPositionX"
    if motion == "no-preference":
        expect(card.locator(".film")).to_be_visible()
        tab.wait_for_function(f"parseFloat({place}) > 30")  # it runs
    else:
        sprite = "performance.getEntriesByType('resource').some((r) => r.name.includes('/sprite/'))"
        tab.wait_for_function(sprite)
        for x, wanted in [(frame["width"] - 3, 100), (3, 0)]:
            tab.mouse.move(frame["x"] + x - 1, frame["y"] + 40)
            tab.mouse.move(frame["x"] + x, frame["y"] + 40)
            expect(card.locator(".film")).to_be_visible()
            tab.wait_for_function(f"parseFloat({place}) === {wanted}")
    tab.mouse.move(5, 5)
    expect(card.locator(".film")).to_be_hidden()
    tab.mouse.move(frame["x"] + 59, frame["y"] + 40)
    tab.mouse.move(frame["x"] + 60, frame["y"] + 40)
    expect(card.locator(".film")).to_be_visible()
    assert [url.split("/")[-1] for url in asked if "/sprite/" in url] == ["1?first=6&last=9"]
    assert not [url for url in asked if "/thumbnail/" in url]


def frames_of(path: Path) -> list[int]:
    with av.open(str(path)) as video:
        return [read_counter(frame.to_ndarray(format="rgb24")) for frame in video.decode(video=0)]


def test_more_like_this_and_a_link_to_it(open_tab: OpenTab) -> None:
    tab = open_tab()
    ask(tab, DOG)
    watch(tab, 1)
    tab.click("[aria-label='More like this moment']")
    expect(tab.locator(".example")).to_contain_text("like beach.mp4 at 00:0")
    first = tab.locator(".card[data-key]").first
    expect(first).to_have_attribute("data-key", re.compile(r"2:1\d"))
    again = open_tab("?" + tab.url.split("?")[1])
    expect(again.locator(".card[data-key]").first).to_have_attribute(
        "data-key", first.get_attribute("data-key")
    )
    tab.click(".example")  # ask something else
    expect(tab.locator(".hero")).to_be_visible()


def test_a_judgement_is_kept_with_the_edges_that_were_set(
    open_tab: OpenTab, tmp_path: Path
) -> None:
    page = planted_page(tmp_path)
    with served(page) as base:
        tab = open_tab(base=base)
        ask(tab, DOG)
        watch(tab, 1)
        hold(tab)
        tab.focus(".edge.end")
        tab.keyboard.press("Shift+ArrowRight")
        _, start, end = attribute(tab.locator("[aria-current=true]"), "data-key").split(":")
        tab.click("[aria-label^='This is right']")
        expect(tab.locator(".toast")).to_contain_text("Thank you")
        expect(tab.locator("[aria-label^='This is right']")).to_have_attribute(
            "aria-pressed", "true"
        )
        (kept,) = page.library.ratings()
        assert (kept.query, kept.video, kept.good) == (DOG, 1, True)
        assert (kept.start, kept.end) == (float(start), float(end))
        ask(tab, DOG)
        watch(tab, 1)
        hold(tab)
        right = tab.locator("[aria-label^='This is right']")
        expect(right).to_have_attribute("aria-pressed", "true")
        right.click()
        expect(tab.locator(".toast")).to_contain_text("Taken back")
        expect(right).to_have_attribute("aria-pressed", "false")
        assert page.library.ratings() == []


def test_the_queue_is_paused_resumed_and_cancelled(open_tab: OpenTab, tmp_path: Path) -> None:
    page = planted_page(tmp_path)
    page.ingest.pause()
    waiting = tmp_path / "more"
    waiting.mkdir()
    for number in range(7):
        (waiting / f"film {number}.mp4").write_bytes(b"\0" * 1000 + bytes([number]))
    with served(page) as base:
        tab = open_tab(base=base)
        tab.fill("[name=path]", str(waiting))
        tab.click(".path button")
        expect(tab.locator(".queue")).to_contain_text("Adding 7 videos")
        expect(tab.locator(".queue")).to_contain_text("Paused")
        expect(tab.locator(".job")).to_have_count(5)  # the others are counted
        expect(tab.locator(".jobs")).to_contain_text("and 2 more waiting")
        tab.locator(".job").first.get_by_text("Cancel").click()
        expect(tab.locator(".queue")).to_contain_text("Adding 6 videos")
        tab.focus(".job .link >> nth=1")
        tab.evaluate("window.old = document.activeElement")
        tab.wait_for_function("!window.old.isConnected")  # the list has been drawn anew
        expect(tab.locator(".job .link").nth(1)).to_be_focused()
        tab.click("text=Cancel all")
        expect(tab.locator(".queue")).to_have_count(0)
        tab.fill("[name=path]", str(tmp_path / "nowhere"))
        tab.click(".path button")
        expect(tab.locator(".toast")).to_contain_text("nowhere: no such file or folder")


def test_what_was_cancelled_can_be_read_after_all(open_tab: OpenTab, tmp_path: Path) -> None:
    page = planted_page(tmp_path)
    page.ingest.pause()
    (tmp_path / "more.mp4").write_bytes(b"\0" * 1000)
    with served(page) as base:
        tab = open_tab(base=base)
        tab.fill("[name=path]", str(tmp_path / "more.mp4"))
        tab.click(".path button")
        tile = tab.locator(".videos li").last
        expect(tile).to_contain_text("Waiting")
        tab.locator(".job").get_by_text("Cancel").click()
        expect(tile).to_contain_text("Not read yet")
        tile.hover()
        tile.locator("[aria-label='Try again']").click()
        expect(tab.locator(".job")).to_contain_text("more.mp4")
        expect(tile).to_contain_text("Waiting")


def test_a_paused_queue_promises_no_time(
    open_tab: OpenTab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = planted_page(tmp_path)
    source = page.files.source(1)
    job = Job(1, source, "indexing", 0.3, stamp=FileStamp.of(source))
    progress = Progress((job,), True, 1000.0, 90.0, "")
    monkeypatch.setattr(page.ingest, "progress", lambda: progress)
    with served(page) as base:
        tab = open_tab(base=base)
        expect(tab.locator(".job .detail")).to_have_text("Paused")
        expect(tab.locator(".queue")).to_contain_text("Paused")


def test_a_refused_file_says_why_and_is_tried_again(open_tab: OpenTab, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video at all")
    with served(real_page(tmp_path)) as base:
        tab = open_tab(base=base)
        tab.fill("[name=path]", str(bad))
        tab.click(".path button")
        row = tab.locator(".job.failed")
        expect(row).to_contain_text("bad.mp4", timeout=120_000)
        assert len(row.locator(".detail").inner_text()) > 10
        tools = row.locator(".link").evaluate_all("all => all.map((e) => e.offsetTop)")
        assert tools[0] == tools[1]  # in one line
        row.get_by_text("Try again").click()
        expect(row).to_contain_text("bad.mp4", timeout=120_000)
        row.get_by_text("Dismiss").click()
        expect(row).to_have_count(0)
        assert bad.exists()


def test_a_folder_is_dropped(open_tab: OpenTab, tmp_path: Path) -> None:
    """Every video in it is sent, also from folders inside; what is no video is left."""
    folder = tmp_path / "holiday"
    (folder / "day 2").mkdir(parents=True)
    for name in ("one.mp4", "day 2/two.mp4", "notes.txt"):
        (folder / name).write_text("no video at all")
    tab = open_tab()
    sent: list[str] = []

    def note(route: Route) -> None:
        sent.append(route.request.url)
        route.abort()

    tab.route("**/upload?**", note)
    drop_folder(tab, folder)
    rows = tab.locator(".job.failed")
    expect(rows).to_have_count(2)  # the second was tried, too
    expect(rows.first).to_contain_text("does not answer")
    assert sorted(url.split("name=")[1] for url in sent) == ["one.mp4", "two.mp4"]


def test_what_removing_deletes_is_said(open_tab: OpenTab, tmp_path: Path) -> None:
    page = planted_page(tmp_path)
    page.ingest.pause()
    mine = tmp_path / "mine.mp4"
    counter_video(mine, 1.0)
    with served(page) as base:
        tab = open_tab(base=base)
        asked: list[str] = []

        def note(dialog: Dialog) -> None:
            asked.append(dialog.message)
            dialog.dismiss()

        tab.on("dialog", note)
        drop(tab, mine)
        expect(tab.locator(".videos .card")).to_have_count(4)
        for place in (0, 3):
            tile = tab.locator(".videos li").nth(place)
            tile.hover()
            tile.locator("[aria-label='Remove from the library']").click()
    assert "The file itself stays." in asked[0]
    assert "The library's copy is deleted; the file you added stays" in asked[1]


def test_an_upload_is_taken_back(open_tab: OpenTab, tmp_path: Path) -> None:
    tab = open_tab()
    film = tmp_path / "long.mp4"
    film.write_bytes(b"\0" * 1000)
    tab.route("**/upload?**", lambda route: None)  # it never ends
    drop(tab, film)
    expect(tab.locator(".job")).to_contain_text("long.mp4")
    leave = "!window.dispatchEvent(new Event('beforeunload', {cancelable: true}))"
    assert tab.evaluate(leave)  # the browser asks whether it is to be lost
    tab.locator(".job").get_by_text("Cancel").click()
    expect(tab.locator(".job")).to_have_count(0)
    assert not tab.evaluate(leave)


def test_the_keys_are_explained(open_tab: OpenTab) -> None:
    tab = open_tab()
    ask(tab, DOG)
    watch(tab, 1)
    tab.keyboard.press("?")
    expect(tab.locator(".help")).to_contain_text("a dog AND a ball")
    tab.keyboard.press("Escape")
    expect(tab.locator(".help")).to_be_hidden()
    expect(tab.locator(".player")).to_be_visible()  # the key was the dialog's


def test_the_bar_stays_in_sight(open_tab: OpenTab) -> None:
    tab = open_tab(viewport={"width": 1280, "height": 400})
    ask(tab, DOG)
    watch(tab, 1)
    hold(tab)
    assert paused(tab)
    tab.evaluate("window.scrollTo(0, 250)")
    tab.wait_for_function("scrollY > 100")
    tab.wait_for_function("document.querySelector('.bar').getBoundingClientRect().top === 0")


def test_a_second_look_at_the_disk(open_tab: OpenTab, tmp_path: Path) -> None:
    """Files that are gone or new are found by a press, and by visitors who may change only."""
    page = planted_page(tmp_path)
    page.ingest.pause()
    page.library.remember(tmp_path / "videos")
    with served(page) as base:
        tab = open_tab(base=base)
        tab.click(".rescan")
        expect(tab.locator(".toast")).to_have_text("Nothing has changed.")
        (tmp_path / "videos" / "party.mp4").unlink()
        tab.click(".rescan")
        expect(tab.locator(".toast")).to_have_text("Videos: 1 missing.")
        expect(tab.locator(".videos .detail.wrong")).to_have_text(
            "the file is no longer where it was"
        )
        expect(tab.locator(".rescan")).to_have_text("Look for changes")
        expect(tab.locator(".rescan")).to_be_enabled()
    page = planted_page(tmp_path / "shared", access=Access(change=False))
    with served(page) as base:
        tab = open_tab(base=base)
        expect(tab.locator(".rescan")).to_be_hidden()
        expect(tab.locator(".videos .card").first).to_be_visible()
