"""How the library is searched, set up over HTTP: another encoder, and what is looked for."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from feature_extract.encoders.known import KNOWN
from feature_extract.encoders.source import look_at
from feature_extract.extract import encode
from tests.page.test_page import ask, call_page, visit
from tests.support.browser import NEEDED
from tests.support.contract import CONTRACT, misfits
from tests.support.media import counter_video
from tests.support.planted_page import planted_page, real_page, served
from tests.support.tiny_encoders import tiny_clip, tiny_siglip
from vmr.library.encoders import chosen
from vmr.page.access import Access
from vmr.page.encoders import Encoders
from vmr.page.page import Page
from vmr.search.model import basis_folder

PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("setup")
    tiny_clip(folder / "clip")
    tiny_siglip(folder / "siglip")
    return folder


@pytest.fixture(scope="module")
def page(place: Path) -> Page:
    page = real_page(place)
    page.library.words.want(speech="")
    counter_video(place / "a.mp4", seconds=4)
    page.ingest.add([place / "a.mp4"])
    page.ingest.wait()
    return page


@pytest.fixture(scope="module")
def address(page: Page) -> Iterator[str]:
    with served(page) as address:
        yield address
        page.setup.encoders.close()


@pytest.fixture
def call(address: str) -> Callable[[str, object], Any]:
    visitor = visit(base_url=address)

    def call(name: str, asked: object) -> Any:
        answer = call_page(visitor, name, asked)
        if "error" not in answer:
            assert misfits(answer, CONTRACT[name][1]) == []
        return answer

    return call


def settled(call: Callable[[str, object], Any]) -> Any:
    """The encoder's view once nothing is on its way."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        encoder = call("setup", {})["encoder"]
        if not encoder["taking"]:
            return encoder
        time.sleep(0.05)
    raise AssertionError("the encoder was not taken")


def wait(encoders: Encoders) -> None:
    assert encoders._thread is not None
    encoders._thread.join(PATIENCE_SECONDS)


def test_another_encoder_takes_over_in_the_background(
    call: Callable[[str, object], Any], address: str, page: Page, place: Path
) -> None:
    before = call("setup", {})["encoder"]
    assert (before["name"], before["calibrated"], before["taking"]) == ("default", True, "")
    assert before["offered"] == ["default", *KNOWN]
    assert not call("search", {"query": "a dog"})["uncalibrated"]
    name = str(place / "clip")
    begun = call("set_up", {"encoder": name})["encoder"]
    assert begun["taking"] in (name, "")  # a tiny one may be done already
    after = settled(call)
    assert (after["name"], after["calibrated"], after["note"]) == (name, False, "")
    answer = call("search", {"query": "ein Hund am Strand"})
    assert answer["uncalibrated"]
    assert answer["moments"]
    with httpx.Client(base_url=address, timeout=60) as visitor:
        assert ask(visitor, "search", "a dog", 5, None).json()["data"][0]["uncalibrated"]
    choice = chosen(page.library)
    assert choice is not None
    assert basis_folder(page.library, choice).is_dir()


def test_files_that_come_later_are_read_with_it(
    call: Callable[[str, object], Any], page: Page, place: Path
) -> None:
    call("set_up", {"encoder": str(place / "siglip")})
    settled(call)
    counter_video(place / "later.mp4", seconds=3)
    page.ingest.add([place / "later.mp4"])
    assert page.ingest.wait(PATIENCE_SECONDS)
    (later,) = [video for video in page.library.videos() if video.name == "later.mp4"]
    choice = chosen(page.library)
    assert choice is not None
    assert choice.block in page.library.features(later.id).blocks
    assert call("search", {"query": "a dog", "video": later.id})["moments"]


def test_one_that_cannot_be_taken_is_a_line_and_changes_nothing(
    call: Callable[[str, object], Any], page: Page, place: Path
) -> None:
    before = call("setup", {})["encoder"]["name"]
    for name in (str(place / "nothing"), "siglip2-bas"):
        call("set_up", {"encoder": name})
        after = settled(call)
        assert (after["name"], after["note"].count("\n")) == (before, 0)
        assert name in after["note"]
    assert "which encoder?" in call("set_up", {"encoder": " "})["error"]
    call("set_up", {"encoder": "default"})
    assert settled(call)["name"] == "default"
    assert not call("search", {"query": "a dog"})["uncalibrated"]


def test_a_change_can_be_stopped_and_what_was_read_stays(
    page: Page, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoders = page.setup.encoders
    encoders.close()
    tiny_clip(place / "other", seed=7)
    read: list[str] = []

    def slow(path: Path, *further: Any, on_progress: Callable[[float], None]) -> Any:
        read.append(path.name)
        if len(read) == 2:
            encoders.stop()
        on_progress(0.5)
        return encode(path, *further)

    monkeypatch.setattr("vmr.library.encoders.encode", slow)
    encoders.take(str(place / "other"))
    wait(encoders)
    assert (len(read), chosen(page.library)) == (2, None)
    block = look_at(place / "other").block
    have = [block in page.library.features(video.id).blocks for video in page.library.videos()]
    assert have == [True, False]
    encoders.take(str(place / "other"))
    wait(encoders)
    assert encoders.view()["name"] == str(place / "other")
    assert read == ["a.mp4", "later.mp4", "later.mp4"]
    encoders.take("default")
    encoders.close()
    assert chosen(page.library) is None


def test_who_may_not_name_files_takes_short_names_only(tmp_path: Path) -> None:
    page = planted_page(tmp_path, access=Access(change=True, paths=False))
    for name in ("/models/clip", "someone/clip", "siglip2-bas"):
        with pytest.raises(ValueError, match="cannot be named from here"):
            page.editor().set_up(encoder=name)
    assert page.setup.encoders._shown("/models/clip") == "clip"
    page.ingest.close()


def test_text_in_pictures_is_switched_on_and_off(
    call: Callable[[str, object], Any], page: Page
) -> None:
    page.ingest.pause()  # so that it is seen what is left
    seen = call("set_up", {"text": True})["finding"]
    assert (seen["text"], seen["left"], seen["speech"]) == (True, len(page.library.videos()), "")
    seen = call("set_up", {"text": False})["finding"]
    assert (seen["text"], seen["left"]) == (False, 0)
    page.ingest.resume()
    assert page.ingest.wait(PATIENCE_SECONDS)
    assert page.library.words.looks() == {}


class TestPanel:
    """The panel in the page."""

    pytestmark = NEEDED

    def test_an_encoder_is_taken_and_text_switched_on(
        self, browser: Browser, address: str, page: Page, place: Path
    ) -> None:
        page.ingest.pause()
        context = browser.new_context()
        tab = context.new_page()
        tab.goto(address)
        summary = tab.locator(".setup summary")
        expect(summary).to_have_text("Searched with the built-in encoder")
        summary.click()
        tab.get_by_label("Another encoder").fill(str(place / "clip"))
        tab.get_by_role("button", name="Take it").click()
        expect(summary).to_contain_text("uncalibrated", timeout=1000 * PATIENCE_SECONDS)
        tab.get_by_label("Read text in the pictures").check()
        expect(tab.locator(".finding")).to_contain_text("2 searches for words left")
        tab.get_by_label("Read text in the pictures").uncheck()
        expect(tab.locator(".finding")).to_have_text("Nobody listens to what is said.")
        tab.fill("input[type=search]", "a dog")
        tab.keyboard.press("Enter")
        expect(tab.locator(".results .hint", has_text="Uncalibrated")).to_be_visible()
        context.close()
        page.ingest.resume()
