"""What is said and written on the page, in a real browser: the card, the lines, the captions."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from feature_extract.transcript import TextSpan, Transcript
from tests.support.browser import NEEDED, OpenTab, ask, now, wait_until_paused
from tests.support.planted_page import DOG, planted_page, served

pytestmark = NEEDED
LINES = (
    TextSpan(0.5, 3.0, "Good evening, <b>everybody</b>."),
    TextSpan(3.0, 6.0, "The café in the harbour is open."),
    TextSpan(9.0, 12.0, "Thank you all for coming to the harbour."),
    TextSpan(12.0, 14.0, "A dog runs along the beach."),
    TextSpan(15.0, 19.0, "Good night."),
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    page = planted_page(tmp_path_factory.mktemp("page"))
    transcripts = page.viewer._library.transcripts
    transcripts.replace(1, Transcript("said", "subtitles: beach.en.srt", "en", LINES))
    written = Transcript("written", "text in the picture", None, (TextSpan(2, 8, "EXIT"),))
    transcripts.replace(1, written)
    with served(page) as address:
        yield address


def test_words_are_found_shown_followed_and_made_moments_of(open_tab: OpenTab) -> None:
    tab = open_tab()
    tab.wait_for_selector(".videos .card:enabled")
    ask(tab, 'said:"thank you"')
    card = tab.locator(".results .card").first
    expect(card.locator(".quote")).to_have_text("saidThank you all for coming to the harbour.")
    expect(card.locator("mark")).to_have_text(["Thank", "you"])
    ask(tab, DOG)  # which is shown, and said of it a moment later
    both = tab.locator(".results .card[data-key^='1:']").first
    expect(both.locator(".quote")).to_have_text("seensaidA dog runs along the beach.")
    ask(tab, 'said:"thank you"')
    expect(card).to_have_attribute("aria-label", re.compile("said: Thank you all for coming"))
    card.click()
    lines = tab.locator(".transcript .lines li")
    expect(lines).to_have_count(5)
    expect(lines.nth(0).locator("p")).to_have_text(LINES[0].text)  # as text, not as markup
    expect(lines.nth(2)).to_have_attribute("aria-current", "true")
    wait_until_paused(tab)
    assert now(tab) == pytest.approx(12.0, abs=0.15)

    lines.nth(1).locator("p").click()  # goes there
    tab.wait_for_function("document.querySelector('video').currentTime < 5")
    assert now(tab) == pytest.approx(3.0, abs=0.1)
    expect(lines.nth(1)).to_have_attribute("aria-current", "true")

    tab.get_by_label("Find in the transcript").fill("CAFE")
    expect(tab.locator(".transcript .found")).to_have_count(1)
    expect(tab.locator(".transcript mark")).to_have_text(["café"])
    tab.get_by_label("Find in the transcript").fill("harbour")
    expect(tab.locator(".transcript-tools [role=status]")).to_have_text("2 lines")
    tab.get_by_label("Find in the transcript").fill("")
    expect(tab.locator(".transcript mark")).to_have_count(0)

    tab.evaluate(
        """() => {
          const [first, second] = document.querySelectorAll(".lines li p");
          const range = document.createRange();
          range.setStart(first.firstChild, 5);
          range.setEnd(second.firstChild, 8);
          getSelection().removeAllRanges();
          getSelection().addRange(range);
        }"""
    )
    tab.get_by_role("button", name="Make a moment of it").click()
    tab.wait_for_function("new URLSearchParams(location.search).get('m') === '1:0.5:6'")

    tab.get_by_role("button", name="What is written").click()
    expect(lines).to_have_count(1)


def test_captions_are_those_of_the_second(open_tab: OpenTab) -> None:
    tab = open_tab()
    tab.wait_for_selector(".videos .card:enabled")
    ask(tab, 'said:"good night"')
    tab.locator(".results .card").first.click()
    tab.wait_for_selector(".transcript .lines li")
    button = tab.get_by_role("button", name="Captions (C)")
    expect(button).to_have_attribute("aria-pressed", "false")
    tab.evaluate("document.activeElement.blur()")
    tab.keyboard.press("c")
    expect(button).to_have_attribute("aria-pressed", "true")
    cues = """() => [...document.querySelector("video").textTracks]
      .filter(({ mode }) => mode === "showing")
      .flatMap(({ cues }) => [...cues].map(({ startTime, text }) => [startTime, text]))"""
    shown = tab.evaluate(cues)
    assert [start for start, _ in shown] == [0.5, 3.0, 9.0, 12.0, 15.0]
    assert shown[0][1] == "Good evening, &lt;b>everybody&lt;/b>."
    tab.keyboard.press("c")
    assert tab.evaluate(cues) == []


def test_a_video_without_words_has_no_transcript(open_tab: OpenTab) -> None:
    tab = open_tab()
    tab.wait_for_selector(".videos .card:enabled")
    ask(tab, "football goal")
    tab.locator(".results .card").first.click()
    tab.wait_for_function("document.querySelector('video').readyState >= 1")
    expect(tab.locator(".transcript")).to_be_hidden()
    expect(tab.get_by_role("button", name="Captions (C)")).to_have_count(0)
