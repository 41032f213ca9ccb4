"""What is said of fallbacks: nothing unless asked for, then one line each."""

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from feature_extract.logs import OURS, shown
from feature_extract.video.child import Child, LostError, Message
from feature_extract.video.frames import read_frames
from tests.support.media import counter_video

ROOT = Path(__file__).resolve().parents[2]


def test_nothing_is_printed_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("vmr.search.index")
    with shown(False):
        logger.info("made anew")
    assert capsys.readouterr().err == ""
    with shown():
        logger.info("%s: made anew", "two\nlines\x1b[31m")
        logging.getLogger("somebody.else").info("of no interest")
    logger.info("made anew")
    err = capsys.readouterr().err
    assert err == "log: vmr.search.index: two\\nlines\\x1b[31m: made anew\n"


def test_the_loggers_are_left_as_they_were() -> None:
    before = [(logging.getLogger(n).level, list(logging.getLogger(n).handlers)) for n in OURS]
    with pytest.raises(ZeroDivisionError), shown():
        raise ZeroDivisionError
    after = [(logging.getLogger(n).level, list(logging.getLogger(n).handlers)) for n in OURS]
    assert before == after


def test_nothing_is_logged_that_python_prints_by_itself() -> None:
    """Above INFO, a program that did not ask for logs would see them."""
    for folder in OURS:
        for file in (ROOT / folder).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            for loud in ("logger.warning", "logger.error", "logger.exception", "logging.info("):
                assert loud not in text, file


def frames_of(path: Path) -> None:
    with read_frames(path, rate=4, size=(224, 224)) as reader:
        for _ in reader:
            pass


def test_the_child_s_reason_not_to_trust_decord_is_said_here(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """H.264 whose times begin below zero; the log comes out of the decoder's own process."""
    caplog.set_level(logging.INFO, "feature_extract")
    counter_video(tmp_path / "plain.mp4", 2.0)
    frames_of(tmp_path / "plain.mp4")
    assert caplog.records == []
    counter_video(tmp_path / "old.avi", 2.0, codec="mjpeg", pix_fmt="yuvj420p")
    frames_of(tmp_path / "old.avi")
    (record,) = caplog.records
    assert record.name == "feature_extract.video.decoder"
    assert record.getMessage().startswith(f"{tmp_path / 'old.avi'}: decord is not trusted (")
    assert record.getMessage().endswith("PyAV reads from the start")


def test_a_lost_child_and_its_successor_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter_video(tmp_path / "a.mp4", 2.0)
    take = Child.next
    lost: list[Message] = []

    def lose_one(self: Child, seconds: float, on_wait: Callable[[], None] | None = None) -> Message:
        message = take(self, seconds, on_wait)
        if message[0] != "info" and not lost:
            lost.append(message)
            raise LostError("the decoder crashed")
        return message

    monkeypatch.setattr(Child, "next", lose_one)
    caplog.set_level(logging.INFO, "feature_extract")
    frames_of(tmp_path / "a.mp4")
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{tmp_path / 'a.mp4'}: the decoder crashed; PyAV reads from the start in another child"
    )


@pytest.mark.parametrize("place", ["before", "behind", "nowhere"])
def test_every_command_takes_verbose_before_and_behind_it(tmp_path: Path, place: str) -> None:
    """Here a library whose index was never made, of which a reader has to make one in memory."""
    command = [sys.executable, "-m", "vmr", "list", "--library", str(tmp_path / "none")]
    note = tmp_path / "cache" / "scratch" / ".moments.1"
    left = tmp_path / ".moments.1"
    note.parent.mkdir(parents=True)
    left.mkdir()
    note.write_bytes(str(left).encode())
    if place != "nowhere":
        command.insert(3 if place == "before" else 4, "--verbose")
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={"PATH": "", "VMR_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )
    said = f"log: feature_extract.files: {left}: left by a killed process; deleted\n"
    assert (said in done.stderr) == (place != "nowhere"), done.stderr
    assert "error: " in done.stderr
    assert not left.exists()
