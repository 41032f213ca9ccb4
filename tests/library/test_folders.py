"""Which files of a folder are videos, and what of it is left out."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.planted import PlantedExtractor, write_file
from vmr.library.folders import find_videos
from vmr.library.ingest import Ingest
from vmr.library.rescan import rescan
from vmr.library.store import Library, LibraryError
from vmr.library.watch import keep_indexed

LONG = 60.0
"""Seconds after which a test gives up; none of them depends on how fast this machine is."""


def names(folder: Path, **options: Any) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in find_videos([folder], **options)}


def test_source_code_is_no_transport_stream_and_what_is_passed_over_is_named(
    tmp_path: Path,
) -> None:
    write_file(tmp_path / "app.ts", b"export const answer: number = 42;\n" * 300)
    write_file(tmp_path / "mod.mts", b"export default 1;\n")
    write_file(tmp_path / "go.mod", b"module example\n")
    write_file(tmp_path / "notes.txt", b"dear diary")
    write_file(tmp_path / "demo.mp4")
    passed: list[Path] = []
    assert names(tmp_path, passed=passed) == {"demo.mp4"}
    assert {path.name for path in passed} == {"app.ts", "mod.mts", "go.mod", "notes.txt"}


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("a.ts", (b"G" + bytes(187)) * 20),
        ("cut.ts", bytes(77) + (b"G" + bytes(187)) * 20),
        ("camera.MTS", (bytes(4) + b"G" + bytes(187)) * 20),
        ("MOV001.MOD", b"\0\0\1\xba" + bytes(1200)),
        ("AVSEQ01.DAT", b"RIFF\1\2\3\4CDXAfmt " + bytes(1200)),
        ("film.dat", b"\0\0\0\x18ftypmp42" + bytes(1200)),
    ],
)
def test_a_recording_is_known_by_how_it_begins(tmp_path: Path, name: str, beginning: bytes) -> None:
    write_file(tmp_path / name, beginning)
    assert names(tmp_path) == {name}


@pytest.mark.parametrize(
    "name", ["VID.insv", "tape.dv", "film.divx", "web.F4V", "old.rm", "x.h265"]
)
def test_endings_of_cameras_are_known(tmp_path: Path, name: str) -> None:
    write_file(tmp_path / name)
    assert names(tmp_path) == {name}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes in folders")
def test_a_pipe_that_is_called_a_recording_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ts")
    with pytest.raises(LibraryError, match="no video files"):
        find_videos([tmp_path])


@pytest.mark.parametrize(
    "kept",
    [
        "@eaDir",
        "#recycle",
        ".Trash-1000",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
    ],
)
def test_folders_that_servers_and_systems_keep_are_left_out(tmp_path: Path, kept: str) -> None:
    write_file(tmp_path / "film.mp4")
    write_file(tmp_path / "deep" / kept / "film.mp4" / "SYNOVIDEO_FILM_H264.mp4")
    assert names(tmp_path) == {"film.mp4"}


def test_ignore_files_and_patterns_follow_the_rules_of_git(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "drafts/c.mp4", "deep/drafts/d.mp4", "deep/e.mp4", "deep/a.mp4"):
        write_file(tmp_path / name)
    write_file(tmp_path / ".momentsignore", b"# no drafts\n/drafts/\na.mp4\n")
    write_file(tmp_path / "deep" / ".momentsignore", b"!a.mp4\n")
    assert names(tmp_path) == {"b.mp4", "deep/drafts/d.mp4", "deep/e.mp4", "deep/a.mp4"}
    left = names(tmp_path, exclude=["deep/**/d*", "b.mp4"])
    assert left == {"deep/e.mp4", "deep/a.mp4"}


def test_index_rescan_and_watch_leave_out_the_same(tmp_path: Path) -> None:
    films, library = tmp_path / "films", Library(tmp_path / "library")
    for name in ("kept.mp4", "drafts/a.mp4", "ignored/b.mp4", "#recycle/c.mp4"):
        write_file(films / name)
    write_file(films / ".momentsignore", b"ignored/\n")
    with Ingest(library, PlantedExtractor) as ingest:
        rescan(library, ingest, [films], exclude=["drafts/"])
        ingest.wait(LONG)
    assert {video.name for video in library.videos()} == {"kept.mp4"}
    stop = threading.Event()
    late = threading.Timer(LONG, stop.set)
    late.start()
    write_file(films / "new.mp4", b"new")
    with Ingest(library, PlantedExtractor) as ingest:
        for job in keep_indexed(
            library, ingest, films, stop, exclude=["drafts/"], settle_seconds=0.1
        ):
            if job.path.name == "new.mp4":
                stop.set()
    late.cancel()
    assert {video.name for video in library.videos()} == {"kept.mp4", "new.mp4"}
    library.close()
