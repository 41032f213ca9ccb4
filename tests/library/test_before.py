"""A library made before the files moved into rooms: it opens, answers the same, and reads nothing.

before/library was made by `python -m vmr index before/videos`, and before/answers.json by `python
-m vmr search`, at commit 20e6249, whose 77 files lay in one folder. Its index is of the weights of
then ("model"), so that it also tells that an index of other weights is not used; the answers are
those of the weights shipped now ("weights"), and are made anew with better ones. When the networks
that read videos change on purpose (which has every library read again), its rows and their
fingerprint are put in anew, as on 2026-12-01; form and index stay those of then.
"""

import json
import shutil
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from feature_extract.extract import extractor_fingerprint
from vmr.library.ingest import Ingest
from vmr.library.rescan import missing, rescan
from vmr.library.store import Library
from vmr.model.retrieval import RetrievalModel
from vmr.page.options import read_options
from vmr.page.server import run
from vmr.search.searcher import Searcher

BEFORE = Path(__file__).with_name("before")
STORED = json.loads((BEFORE / "answers.json").read_text(encoding="utf-8"))


@pytest.fixture
def moved(tmp_path: Path) -> Path:
    """The library and its videos, copied elsewhere, as they are after a clone."""
    return Path(shutil.copytree(BEFORE, tmp_path / "elsewhere"))


@pytest.fixture(scope="module")
def model() -> RetrievalModel:
    return RetrievalModel.load()


def no_extractor() -> NoReturn:
    raise AssertionError("a video was to be read again")


def answers(library: Library, model: RetrievalModel) -> dict[str, Any]:
    searcher = Searcher(library, model)
    found = {}
    for query in STORED["answers"]:
        answer = searcher.search(query)
        moments = [(m.name, m.start, m.end, m.score) for m in answer.moments]
        found[query] = (answer.verdict, moments)
    return found


def check(found: dict[str, Any]) -> None:
    """The same moments in the same order, to .01 s and a thousandth of a score."""
    for query, stored in STORED["answers"].items():
        verdict, moments = found[query]
        assert verdict == stored["verdict"], query
        assert [name for name, *_ in moments] == [m["name"] for m in stored["moments"]], query
        spans = np.array([[start, end] for _, start, end, _ in moments])
        scores = np.array([score for *_, score in moments])
        before = stored["moments"]
        assert spans == pytest.approx(np.array([[m["start"], m["end"]] for m in before]), abs=0.01)
        assert scores == pytest.approx(np.array([m["score"] for m in before]), abs=1e-3)


def test_what_is_compared_is_something(model: RetrievalModel) -> None:
    assert STORED["weights"] == model.fingerprint != STORED["model"]
    assert len(STORED["answers"]) == 7
    assert {answer["verdict"] for answer in STORED["answers"].values()} == {
        "strong",
        "possible",
        "none",
    }
    assert all(answer["moments"] for answer in STORED["answers"].values())


def test_it_is_followed_to_another_place_and_answers_the_same_without_reading_a_video(
    moved: Path, model: RetrievalModel
) -> None:
    library = Library(moved / "library")
    assert len(missing(library)) == 0
    library.check_presence()
    assert len(missing(library)) == 2  # the paths it knows are those of the machine that made it
    library.adopt(extractor_fingerprint())  # LibraryError if its rows were not of these networks
    with Ingest(library, no_extractor) as ingest:
        found = rescan(library, ingest, [moved / "videos"])
        assert ingest.wait(60)
        assert all(job.skipped for job in ingest.progress().jobs)
    assert len(found.files) == len(library.videos()) == 2
    for video in library.videos():
        assert (video.state, video.path.parent) == ("ready", moved / "videos")
        assert library.thumbnails(video.id, [0])[0].startswith(b"\xff\xd8")
    check(answers(library, model))
    library.close()


@pytest.mark.parametrize("index", ["kept", "lost"])
def test_it_may_only_be_read_and_its_index_may_be_lost(
    moved: Path, model: RetrievalModel, index: str
) -> None:
    if index == "lost":
        for file in moved.glob("library/index.*"):
            file.unlink()
    else:
        record = json.loads((moved / "library" / "index.json").read_text())
        assert record["model"] == STORED["model"]
    library = Library(moved / "library", read_only=True)
    check(answers(library, model))
    library.close()


def test_one_of_other_networks_is_no_page_but_a_line_that_says_what_to_do(
    moved: Path, model: RetrievalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(_: object) -> None:
        monkeypatch.setattr(RetrievalModel, "blocks", property(lambda _: {"other": 3}))
        Searcher(Library(moved / "library", read_only=True), model)

    monkeypatch.setattr("vmr.page.server._run", opened)
    with pytest.raises(SystemExit, match=r"^error: .*library was indexed .*`rescan --reindex`"):
        run(read_options(["--library", str(moved / "library")]))
