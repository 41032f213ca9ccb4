"""Which words are wanted, the queue that finds them, and what the list says of it."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from feature_extract.transcript import TextSpan, Transcript
from feature_extract.words import Found
from tests.support.planted import PlantedExtractor, plant, random_rows, write_file
from vmr.library.ingest import Ingest
from vmr.library.listen import WordQueue
from vmr.library.rescan import rescan
from vmr.library.store import Library
from vmr.library.watch import keep_indexed
from vmr.library.words import Look, Wanted


def words(text: str, origin: str = "whisper tiny.en", sense: Any = "said") -> Transcript:
    return Transcript(sense, origin, "en", (TextSpan(0.0, 1.0, text),))


LONG = 120.0
"""Seconds after which something counts as hung."""


class Finder:
    """Stands where the child process stands: what is found follows from the file's name."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.steps, self.told = 1, 0
        self.go = threading.Event()
        self.go.set()
        self.killed = threading.Event()

    def __enter__(self) -> "Finder":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def kill(self) -> None:
        self.killed.set()

    def said(self, path: Path, *, report: Callable[[float], None], **_: Any) -> Found:
        return self._find("said", path, report)

    def written(self, path: Path, *, report: Callable[[float], None], **_: Any) -> Found:
        return self._find("written", path, report)

    def _find(self, sense: str, path: Path, report: Callable[[float], None]) -> Found:
        self.asked.append((sense, path.stem))
        for step in range(self.steps):
            self.go.wait(LONG)
            self.told += 1
            report((step + 1) / self.steps)
        if path.stem.startswith("away") and len(self.asked) == 1:
            return Found(None, "stale file handle", guessed=True, passing=True)
        if path.stem.startswith("crash"):
            return Found(None, "what looks for words crashed", guessed=True)
        if path.stem.startswith("silent"):
            return Found(None, "no sound")
        if path.stem.startswith("music"):
            return Found(Transcript("said", "whisper tiny.en", None, ()), "", guessed=True)
        if sense == "written":
            return Found(words(path.stem, "text in the picture", "written"), "", guessed=True)
        return Found(words(path.stem), "", guessed=True)


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch) -> Finder:
    made = Finder()
    monkeypatch.setattr("vmr.library.listen.WordFinder", lambda: made)
    return made


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path / "library")
    yield library
    library.close()


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def put(library: Library, folder: Path, *names: str) -> list[int]:
    return [plant(library, folder / f"{name}.mp4", random_rows(3, 0)) for name in names]


def test_a_new_library_listens_and_one_of_before_does_not(library: Library, tmp_path: Path) -> None:
    assert library.words.wanted() == Wanted()
    put(library, tmp_path, "a")
    library.words.settle()
    assert library.words.wanted() == Wanted()
    assert library.words.left("said") == []
    new = Library(tmp_path / "new")
    new.words.want(text=True)
    new.words.settle()
    assert new.words.wanted() == Wanted("tiny.en", text=True)
    new.words.want(speech="")
    new.words.settle()
    new.close()
    assert Library(tmp_path / "new", read_only=True).words.wanted() == Wanted("", text=True)


def test_words_are_found_and_kept_with_reasons(
    library: Library, finder: Finder, tmp_path: Path
) -> None:
    first, crash, silent = put(library, tmp_path, "first", "crash", "silent")
    library.words.want(speech="tiny.en", text=True)
    assert library.words.left("said") == [first, crash, silent]
    queue = WordQueue(library, busy=lambda: False)
    queue.wake()
    assert queue.wait(LONG)
    queue.close()
    assert [sense for sense, _ in finder.asked] == ["said"] * 3 + ["written"] * 3
    assert library.transcripts.of(first, "said") == words("first")
    looks = library.words.looks()
    assert looks[first]["said"] == Look("whisper tiny.en", "")
    assert looks[first]["written"] == Look("text in the picture", "")
    assert looks[crash]["said"] == Look("", "what looks for words crashed")
    assert looks[silent]["said"] == Look("", "no sound")
    assert library.words.left("said") == library.words.left("written") == []
    # Another model listens again, but not to what has no sound; a failure is tried when asked.
    library.words.want(speech="small")
    assert library.words.left("said") == [first, crash]
    library.words.want(speech="tiny.en")
    library.words.forget_failures()
    assert library.words.left("said") == [crash, silent]
    library.remove(first)
    assert first not in library.words.looks()


def test_where_nothing_is_said_is_no_video_with_words(
    library: Library, finder: Finder, tmp_path: Path
) -> None:
    (music,) = put(library, tmp_path, "music")
    library.words.want(speech="tiny.en")
    queue = WordQueue(library, busy=lambda: False)
    queue.wake()
    assert queue.wait(LONG)
    queue.close()
    assert library.words.looks()[music]["said"] == Look("", "no words (whisper tiny.en)")
    assert library.transcripts.known() == {}
    library.words.forget_failures()  # of which it is none
    assert library.words.left("said") == []


@pytest.mark.parametrize("how", ["fault", "unmounted"])
def test_what_a_network_does_while_words_are_looked_for_is_no_verdict_on_the_video(
    library: Library, finder: Finder, tmp_path: Path, how: str
) -> None:
    (id,) = put(library, tmp_path / "drive", "away" if how == "fault" else "film")
    library.words.want(speech="tiny.en")
    finder.go.clear()
    queue = WordQueue(library, busy=lambda: False)
    queue.wake()
    wait_for(lambda: finder.asked)
    if how == "unmounted":
        (tmp_path / "drive").rename(tmp_path / "gone")
    finder.go.set()
    assert queue.wait(LONG)
    assert library.transcripts.known() == {}
    why = {"fault": "stale file handle", "unmounted": "no such file or folder"}[how]
    assert library.words.looks()[id]["said"] == Look("", f"could not be read now ({why})")
    assert queue.faulty
    if how == "unmounted":
        (tmp_path / "gone").rename(tmp_path / "drive")
    queue.wake()
    assert queue.wait(LONG)
    assert library.words.looks()[id]["said"] == Look("whisper tiny.en", "")
    assert not queue.faulty
    queue.close()


def test_watch_looks_for_words_again_that_a_network_was_in_the_way_of(
    library: Library, finder: Finder, tmp_path: Path
) -> None:
    (id,) = put(library, tmp_path / "films", "away")
    library.words.want(speech="tiny.en")
    stop = threading.Event()
    with Ingest(library, PlantedExtractor) as ingest:
        rounds = keep_indexed(
            library, ingest, tmp_path / "films", stop, settle_seconds=0.0, retry_seconds=0.1
        )
        threading.Thread(target=lambda: [*rounds], daemon=True).start()
        try:
            wait_for(lambda: library.transcripts.known())
        finally:
            stop.set()
    assert finder.asked == [("said", "away")] * 2
    assert library.transcripts.of(id, "said") == words("away")


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_the_words_of_another_recording_of_the_same_name_are_not_taken_for_those_of_the_video(
    library: Library, finder: Finder, tmp_path: Path, when: str
) -> None:
    first, other = put(library, tmp_path, "loop", "other")
    library.words.want(speech="tiny.en")
    finder.go.clear()
    queue = WordQueue(library, busy=lambda: False)
    if when == "meanwhile":
        queue.wake()
        wait_for(lambda: finder.asked)
    write_file(tmp_path / "loop.mp4", b"another recording")
    finder.go.set()
    queue.wake()
    assert queue.wait(LONG)
    assert [*library.transcripts.known()] == [other]
    said = Look("", "another recording lies there now")
    assert library.words.looks()[first]["said"] == said
    with Ingest(library, PlantedExtractor) as ingest:
        ingest.add([tmp_path / "loop.mp4"])
        assert ingest.wait(LONG)
    (now,) = (video.id for video in library.videos() if video.name == "loop.mp4")
    assert now != first
    assert library.words.looks()[now]["said"].reason == "no sound"  # of a planted file
    queue.close()


def test_text_is_read_when_no_picture_is_indexed(
    library: Library, finder: Finder, tmp_path: Path
) -> None:
    put(library, tmp_path, "a")
    library.words.want(speech="tiny.en", text=True)
    busy = threading.Event()
    busy.set()
    queue = WordQueue(library, busy=busy.is_set)
    queue.wake()
    wait_for(lambda: finder.asked and queue.progress().left == 1)
    assert not queue.wait(0.2)
    assert finder.asked == [("said", "a")]
    busy.clear()
    assert queue.wait(LONG)
    assert finder.asked[1:] == [("written", "a")]
    queue.close()


def test_text_that_is_no_longer_wanted_is_left_at_once(
    library: Library, finder: Finder, tmp_path: Path
) -> None:
    first, second = put(library, tmp_path, "a", "b")
    library.words.want(speech="")
    finder.steps = 1_000_000
    queue = WordQueue(library, busy=lambda: False)
    queue.want(text=True)
    wait_for(lambda: queue.progress().fraction > 0)
    assert (queue.progress().video, queue.progress().left) == (first, 2)
    finder.go.clear()  # in the middle of something
    time.sleep(0.1)
    queue.want(text=False)
    assert finder.killed.is_set()
    finder.go.set()
    assert queue.wait(LONG)
    assert (library.words.looks(), library.transcripts.known()) == ({}, {})
    finder.steps = 1
    queue.want(text=True)
    assert queue.wait(LONG)
    assert {*library.transcripts.known()} == {first, second}
    queue.close()


def test_pause_cancel_and_close_hold_it_within_a_video(
    library: Library, finder: Finder, tmp_path: Path
) -> None:
    first, second, _ = put(library, tmp_path, "a", "b", "c")
    library.words.want(speech="tiny.en")
    finder.steps = 1_000_000
    queue = WordQueue(library, busy=lambda: False)
    queue.wake()
    wait_for(lambda: queue.progress().fraction > 0)
    queue.pause()
    told = finder.told
    time.sleep(0.1)
    assert finder.told <= told + 1  # the step in work is still told
    stopped = queue.progress()
    assert (stopped.video, stopped.sense, stopped.left) == (first, "said", 3)
    assert stopped.running
    queue.cancel(first)
    assert finder.killed.is_set()
    finder.steps = 1
    queue.resume()
    assert queue.wait(LONG)
    assert [name for _, name in finder.asked] == ["a", "b", "c"]
    assert library.words.left("said") == [first]
    finder.go.clear()
    queue.wake()
    wait_for(lambda: len(finder.asked) == 4)
    threading.Timer(0.1, finder.go.set).start()
    queue.close()
    assert library.words.left("said") == [first]
    assert library.transcripts.of(second, "said") == words("b")


def test_a_video_removed_meanwhile_and_a_missing_model_stop_nothing_else(
    library: Library, finder: Finder, tmp_path: Path
) -> None:
    first, _ = put(library, tmp_path, "a", "b")
    library.words.want(speech="tiny.en")
    finder.go.clear()
    queue = WordQueue(library, busy=lambda: False)
    queue.wake()
    wait_for(lambda: finder.asked)
    library.remove(first)
    finder.go.set()
    assert queue.wait(LONG)
    assert [name for _, name in finder.asked] == ["a", "b"]
    library.words.want(speech="nonsense")
    queue.wake()
    assert queue.wait(LONG)
    assert "speech model nonsense: neither" in queue.progress().note
    assert not queue.progress().running
    queue.close()


def test_subtitles_that_come_or_change_are_looked_at_again(
    library: Library, finder: Finder, tmp_path: Path
) -> None:
    put(library, tmp_path, "a", "b")
    library.words.want(speech="tiny.en")
    with Ingest(library, PlantedExtractor) as ingest:
        for names, touch in (
            (["a", "b"], ""),
            ([], ""),
            (["b"], "b.en.srt"),
            (["b"], "b.en.srt"),
            ([], "c.en.srt"),
        ):
            if touch:
                time.sleep(0.02)
                (tmp_path / touch).write_text("x")
            finder.asked.clear()
            rescan(library, ingest, patience_seconds=0)
            ingest.wait()
            assert [name for _, name in finder.asked] == names


def test_what_has_no_sound_starts_no_process(
    library: Library, finder: Finder, tmp_path: Path
) -> None:
    path = write_file(tmp_path / "a.mp4")
    with Ingest(library, PlantedExtractor) as ingest:  # whose files have neither sound nor tracks
        ingest.add([path])
        ingest.wait()
        assert finder.asked == []
        (tmp_path / "b.de.vtt").write_text("x")
        ingest.add([write_file(tmp_path / "b.mp4")])
        ingest.wait()
    assert finder.asked == [("said", "b")]
    assert library.words.looks()[1]["said"] == Look("", "no sound")
