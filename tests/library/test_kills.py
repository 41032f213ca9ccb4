"""The real command with the real networks, killed at random moments: nothing is lost or half done.

`test_faults.py` does the same by the hundred with planted rows; here every row comes from a
decoder, a network and a file of weights. `pytest -m soak` runs the long form.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_extract.video.frames import read_frames
from tests.support.media import counter_video, ffmpeg
from vmr.library.store import Library

ROOT = Path(__file__).resolve().parents[2]
LONG = 300.0
"""Seconds after which a run counts as hung."""
INDEX = ("-m", "vmr", "index", "FILMS", "--library", "LIBRARY")
WITH_MOTION = """
from pathlib import Path
from feature_extract.extract import Extractor
from vmr.library.folders import find_videos
from vmr.library.ingest import Ingest
from vmr.library.store import Library
with Ingest(Library(Path("LIBRARY")), lambda: Extractor(motion=True)) as ingest:
    ingest.add(find_videos([Path("FILMS")]))
    ingest.wait()
"""
Contents = dict[str, tuple[str, bytes, bytes]]
"""State, features and thumbnails by the name of the video."""


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four videos, one of them with its end cut off."""
    folder = tmp_path_factory.mktemp("films")
    for seconds, name in ((2, "a.mp4"), (5, "b.mkv"), (6, "whole.mp4")):
        counter_video(folder / name, seconds, size=(96, 64))
    counter_video(folder / "c.webm", 2, 15, size=(96, 64), codec="libvpx", gop=30)
    ffmpeg("-i", folder / "whole.mp4", "-c", "copy", "-movflags", "+faststart", folder / "cut.mp4")
    (folder / "whole.mp4").unlink()
    content = (folder / "cut.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(content[: len(content) * 2 // 3])
    return folder


def start(arguments: tuple[str, ...], films: Path, library: Path) -> "subprocess.Popen[bytes]":
    """The command, once it has begun to work: what comes before is Python's own start."""
    filled = [a.replace("FILMS", str(films)).replace("LIBRARY", str(library)) for a in arguments]
    fresh = not library.exists()
    child = subprocess.Popen([sys.executable, *filled], cwd=ROOT, stderr=subprocess.DEVNULL)
    while fresh and child.poll() is None and not (library / "library.db").exists():
        time.sleep(0.001)
    return child


def contents(folder: Path) -> Contents:
    """All that answers a search; opening the library puts right what a kill has left."""
    library = Library(folder)
    assert [file for file in folder.rglob("*") if ".tmp" in file.name] == []
    found: Contents = {}
    for video in library.videos():
        assert video.state in ("new", "ready", "partly readable")
        if video.searchable:
            library.features(video.id)  # with its checksum
            made = (
                folder / f"features/{video.id}.safetensors",
                folder / f"thumbnails/{video.id}.zip",
            )
            found[video.name] = (video.state, made[0].read_bytes(), made[1].read_bytes())
    library.close()
    return found


def answers(folder: Path) -> list[tuple[str, float, float, float]]:
    """What `search` says, best first."""
    command = [sys.executable, "-m", "vmr", "search", "a black square", "--json", "--library"]
    done = subprocess.run([*command, str(folder)], cwd=ROOT, capture_output=True, check=True)
    moments = json.loads(done.stdout)["moments"]
    return [(Path(m["path"]).name, m["start"], m["end"], m["score"]) for m in moments]


def steps(child: "subprocess.Popen[bytes]", library: Path) -> Iterator[int]:
    """1, 2, 3 ... each time that something has changed in a library's folder, while a run lasts.

    A run is told apart by what it has written, not by a clock: on a machine that is ten times as
    fast, or as busy, it takes the same steps.
    """
    seen: frozenset[tuple[str, int]] = frozenset()
    number = 0
    while child.poll() is None:
        now = frozenset(_files(library))
        if now != seen:
            seen, number = now, number + 1
            yield number
        time.sleep(0.001)


def _files(library: Path) -> Iterator[tuple[str, int]]:
    for folder, _, names in os.walk(library):  # unlike rglob, heeds folders that go meanwhile
        for name in names:
            file = Path(folder) / name
            with contextlib.suppress(OSError):  # gone meanwhile
                yield str(file), file.stat().st_size


def kill(arguments: tuple[str, ...], kills: int, films: Path, tmp_path: Path) -> None:
    """Kill so many runs, each after some of its steps, each time look, and let the last one end."""
    child = start(arguments, films, tmp_path / "undisturbed")
    most = max(steps(child, tmp_path / "undisturbed"), default=1)
    assert child.wait(LONG) == 0
    undisturbed = contents(tmp_path / "undisturbed")
    states = {name: state for name, (state, *_) in undisturbed.items()}
    assert states == dict.fromkeys(("a.mp4", "b.mkv", "c.webm"), "ready") | {
        "cut.mp4": "partly readable"
    }
    rng, done, library = random.Random(11), 0, tmp_path / "library0"
    finished: Contents = {}
    halfway = 0
    while done < kills:
        child = start(arguments, films, library)
        wanted = rng.randint(1, most)
        for number in steps(child, library):
            if number >= wanted:
                child.kill()
                break
        status = child.wait(LONG)
        assert status in (0, -signal.SIGKILL)
        done += status != 0  # a run that goes on from another has fewer steps, and may end before
        now = contents(library)
        assert finished.items() <= now.items() <= undisturbed.items()
        halfway += 0 < len(now) < len(undisturbed)
        finished = now
        if len(now) == len(undisturbed):
            library, finished = library.with_name(f"{library.name}+"), {}
    assert start(arguments, films, library).wait(LONG) == 0
    assert contents(library) == undisturbed
    print(f"{done} kills, {halfway} of them with some videos done and others not")
    if arguments == INDEX:  # rows with motion need a model that reads them
        assert answers(library) == answers(tmp_path / "undisturbed")


def test_killed_with_the_real_networks(films: Path, tmp_path: Path) -> None:
    kill(INDEX, 2, films, tmp_path)


def test_a_decoder_inherits_no_lock_and_no_database(films: Path, tmp_path: Path) -> None:
    """One that outlives a killed run by a moment must not keep the next run out."""
    library = Library(tmp_path / "library")
    with library.exclusive() as alone, read_frames(films / "b.mkv", rate=30) as reader:
        assert alone
        batches = iter(reader)  # held: the child ends with it
        next(batches)
        held = []
        for link in Path(f"/proc/{reader._child._process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                held.append(str(link.readlink()))
    library.close()
    assert any(name.startswith("pipe:") for name in held)
    assert [name for name in held if str(library.folder) in name] == []


@pytest.mark.soak
@pytest.mark.parametrize("arguments", [INDEX, ("-c", WITH_MOTION)], ids=["index", "motion"])
def test_killed_often_with_the_real_networks(
    arguments: tuple[str, ...], films: Path, tmp_path: Path
) -> None:
    kill(arguments, 40, films, tmp_path)
