"""Words found in a child process: speech at its times, subtitles before it, text in pictures."""

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from feature_extract.networks.speech import Block, find_model
from feature_extract.transcript import TextSpan
from feature_extract.video.frames import NotNowError
from feature_extract.words import WordFinder
from feature_extract.words_worker import Worker
from tests.feature_extract.networks.test_lettering import written
from tests.support.media import counter_video, ffmpeg
from tests.support.speech import speak, talking_video, words_of

MODEL = find_model("tiny.en")
LATE = 1.5


@pytest.fixture(scope="module")
def finder() -> Iterator[WordFinder]:
    with WordFinder() as finder:
        yield finder


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    spoken = speak("The meeting begins at nine. Thank you all for coming.")
    options = ("-itsoffset", str(LATE), "-c:a", "flac")
    return talking_video(tmp_path / "talk.mkv", spoken.samples, *options, seconds=7.0)


def test_what_is_said_has_its_times(finder: WordFinder, talk: Path) -> None:
    seen: list[float] = []
    found = finder.said(talk, end=7.0, model=MODEL, report=seen.append)
    assert found.reason == ""
    assert found.guessed
    assert found.transcript is not None
    assert (found.transcript.sense, found.transcript.origin) == ("said", "whisper tiny.en")
    assert found.transcript.language == "en"
    first, *_, last = found.transcript.spans
    assert "meeting" in words_of(first.text)
    assert "coming" in words_of(last.text)
    assert first.start == pytest.approx(LATE, abs=0.35)
    assert last.end <= 7
    assert 0 < seen[-1] <= 1


def test_subtitles_come_before_speech(finder: WordFinder, talk: Path) -> None:
    beside = talk.with_suffix(".en.srt")
    beside.write_text("1\n00:00:01,000 --> 00:00:02,000\nwhat the file says\n")
    found = finder.said(talk, end=7.0, model=MODEL)
    assert found.transcript is not None
    assert found.transcript.origin == "subtitles: talk.en.srt"
    assert [span.text for span in found.transcript.spans] == ["what the file says"]
    assert not found.guessed
    inside = talk.with_name("inside.mkv")
    ffmpeg("-i", talk, "-i", beside, "-map", "0", "-map", "1", "-c", "copy", "-c:s", "srt", inside)
    tracked = finder.said(inside, end=7.0, model=None)
    assert tracked.transcript is not None
    assert tracked.transcript.origin == "text track 2"
    beside.write_text("nothing of use")
    assert finder.said(talk, end=7.0, model=None).reason == (
        f"{beside}: holds no subtitles that can be read; no subtitles"
    )


def test_files_without_words_have_a_reason(finder: WordFinder, tmp_path: Path) -> None:
    silent = tmp_path / "silent.mp4"
    counter_video(silent, 2.0, fps=10)
    found = finder.said(silent, end=2.0, model=MODEL)
    assert (found.transcript, found.reason, found.guessed) == (None, "no sound", False)
    gone = finder.said(tmp_path / "gone.mp4", end=2.0, model=MODEL)
    assert (gone.transcript, gone.reason) == (None, "no such file or directory")


def test_text_in_pictures_has_spans(finder: WordFinder, tmp_path: Path) -> None:
    parts = []
    for number, line in enumerate(("Emergency exit", "Platform nine")):
        Image.fromarray(written((line, 40))).save(tmp_path / f"{number}.png")
        parts += ["-loop", "1", "-t", "6", "-framerate", "5", "-i", str(tmp_path / f"{number}.png")]
    path = tmp_path / "signs.mp4"
    joined = "[0:v][1:v]concat=n=2:v=1,format=yuv420p"
    ffmpeg(*parts, "-filter_complex", joined, "-preset", "ultrafast", path)
    found = finder.written(path, end=12.0, size=(640, 360), cuts=[6.0])
    assert found.transcript is not None
    assert (found.transcript.sense, found.transcript.origin) == ("written", "text in the picture")
    assert [(span.start, span.end, span.text) for span in found.transcript.spans] == [
        (0, 6, "Emergency exit"),
        (6, 12, "Platform nine"),
    ]


def test_a_process_that_dies_is_a_reason_and_the_next_file_gets_another(talk: Path) -> None:
    with WordFinder() as finder:
        killer = threading.Timer(0.3, finder.kill)
        killer.start()
        found = finder.said(talk, end=7.0, model=MODEL)
        killer.join()
        assert (found.transcript, found.reason) == (None, "what looks for words crashed")
        assert finder.said(talk, end=7.0, model=MODEL).transcript is not None


def test_who_asks_may_stop_it(talk: Path) -> None:
    class Stop(Exception):  # noqa: N818 - no error
        pass

    def stop(_: float) -> None:
        raise Stop

    with WordFinder() as finder:
        with pytest.raises(Stop):
            finder.said(talk, end=7.0, model=MODEL, report=stop)
        assert finder._child is None


@pytest.mark.parametrize("heard", [0, 2])
def test_a_fault_of_the_disk_is_told_as_such_although_something_was_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: int
) -> None:
    """Half of what is said is not what is said."""

    class Ear:
        language = "en"

        def listen(self, sound: object) -> Iterator[Block]:
            for second in range(heard):
                yield Block(second + 1.0, (TextSpan(second, second + 1.0, "hello"),))
            raise NotNowError(f"{path}: input/output error")

    path, sound = tmp_path / "a.mp4", SimpleNamespace(tracks=(), reason="")
    sent: list[tuple[str, dict[str, Any]]] = []
    home = "feature_extract.words_worker"
    monkeypatch.setattr(f"{home}.read_words", lambda *_: nullcontext(sound))
    monkeypatch.setattr(f"{home}.send", lambda _, kind, **fields: sent.append((kind, fields)))
    monkeypatch.setattr(Worker, "_ready_listener", lambda *_: Ear())
    monkeypatch.setattr(Worker, "_take_lines", lambda _: None)
    worker = Worker(None, threads=1)
    model = {"name": "m", "folder": ""}
    request: dict[str, Any] = {"find": "said", "path": str(path), "end": 9.0, "model": model}
    for line in (request, *[{"go": True}] * heard, {}):
        worker._lines.put(line)
    with pytest.raises(KeyError):  # there is no more to do
        worker.serve()
    kind, told = sent[-1]
    assert (kind, told["reason"], told["origin"]) == ("end", "input/output error", "")
    assert told["passing"]
