"""Every state a video can be in: `list` and the page show it, and only what is ready answers."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from tests.support.planted import (
    FINGERPRINT,
    PlantedExtractor,
    planted_extraction,
    planted_features,
    random_rows,
    tiny_model,
    write_file,
)
from vmr.__main__ import main
from vmr.library.catalogue import State
from vmr.library.content import full_digest
from vmr.library.ingest import Ingest
from vmr.library.store import Library
from vmr.media.preview import Previews
from vmr.page.page import Page
from vmr.search.searcher import Searcher

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """One video in each state, named after it."""
    library = Library(tmp_path / "library")
    library.adopt(FINGERPRINT)
    whole = planted_extraction(random_rows(20, 1))
    damaged = replace(planted_features(random_rows(20, 2)), unreadable=((3.0, 6.0),))
    for state in get_args(State):
        path = write_file(tmp_path / "films" / f"{state}.mp4")
        video = library.register(path)
        if state in ("ready", "missing"):
            library.store(video.id, whole, full=full_digest(path))
        elif state == "partly readable":
            extraction = replace(whole, features=damaged)
            library.store(video.id, extraction, full=full_digest(path))
        elif state == "indexing":
            library.mark(video.id, "indexing", progress=0.42)
        elif state != "new":
            library.mark(video.id, state, f"why it is {state}")
    (tmp_path / "films" / "missing.mp4").unlink()
    with library.exclusive():  # somebody is indexing: what is begun is left alone
        library.check_presence()
        yield library
    library.close()


def test_list_shows_every_state_and_its_reason(
    library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", "--library", str(library.folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    for state in get_args(State):
        (line,) = [line for line in lines if f"/{state}.mp4" in line]
        assert re.search(rf"^ +\d+  {state}", line), line
        assert (f"(why it is {state})" in line) == (state in ("waiting", "refused"))
    assert "indexing 42%" in "\n".join(lines)
    assert main(["list", "--json", "--library", str(library.folder)]) == 0
    shown = json.loads(capsys.readouterr().out)["videos"]
    assert {video["name"]: video["state"] for video in shown} == {
        f"{state}.mp4": state for state in get_args(State)
    }


def test_the_page_shows_every_state_and_has_words_for_it(library: Library, tmp_path: Path) -> None:
    model = tiny_model()
    previews = Previews(tmp_path / "previews", limit_bytes=1 << 20)
    page = Page(library, model, Ingest(library, PlantedExtractor), previews)
    shown = {video["name"]: video for video in page.viewer.listing()["videos"]}
    english = (ROOT / "assets/ui/words.js").read_text().partition("state: {")[2].partition("}")[0]
    for state in get_args(State):
        video = shown[f"{state}.mp4"]
        assert (video["state"], bool(video["reason"])) == (
            state,
            state in ("waiting", "refused", "partly readable", "missing"),
        )
        assert state != "indexing" or video["progress"] == 0.42
        assert video["searchable"] == (state in ("ready", "partly readable"))
        assert state == "ready" or re.search(rf'^ +"?{state}"?: "', english, re.MULTILINE)


def test_only_what_is_ready_answers(library: Library) -> None:
    hits = Searcher(library, tiny_model()).search("a dog on a beach", top=1000)
    assert {hit.name for hit in hits.moments} <= {"ready.mp4", "partly readable.mp4"}
    assert {hit.name for hit in hits.moments} != set()
    assert not [m for m in hits.moments if m.name[0] == "p" and 3 <= m.best < 6]
