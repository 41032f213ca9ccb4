"""`export` as it is typed: what it takes, what it refuses, and that nothing half is left."""

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import av
import pytest

from feature_extract.video.spans import read_facts
from tests.support.media import counter_video, ffmpeg
from tests.support.planted import FINGERPRINT, planted_extraction, random_rows
from vmr.__main__ import main
from vmr.library.content import full_digest
from vmr.library.store import Library
from vmr.media.lists import LISTS

Export = Callable[..., tuple[int, str]]

ODD = 'it\'s "A & B" <c> \U0001f436 \u05e9\u05dc\u05d5\u05dd.mp4'
LONG = "x" * 251 + ".mp4"
TAGS = (
    "-metadata",
    "creation_time=2024-05-06T07:08:09Z",
    "-metadata",
    "location=+48.1000+011.5000/",
)
ENDINGS = (*LISTS, ".mp4", ".jpg")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of four: 1 is plain, 2 and 3 are odd of name, 4 was refused, 5's file is gone."""
    folder = tmp_path_factory.mktemp("films")
    counter_video(folder / "plain.mp4", 3, 25, gop=25)
    ffmpeg("-i", folder / "plain.mp4", "-c", "copy", *TAGS, folder / "holiday.mp4")
    library = Library(folder / "library")
    library.adopt(FINGERPRINT)
    for number, name in enumerate(("holiday.mp4", ODD, LONG, "refused.mp4", "gone.mp4"), 1):
        if number > 1:
            comment = ("-metadata", f"comment={number}")  # other bytes are another video
            ffmpeg("-i", folder / "plain.mp4", "-c", "copy", *comment, folder / name)
        id = library.register(folder / name).id
        assert id == number
        if name == "refused.mp4":
            library.mark(id, "refused", "holds no picture that can be read")
        else:
            extraction = planted_extraction(random_rows(3, number))
            library.store(id, extraction, full=full_digest(folder / name))
    (folder / "gone.mp4").unlink()
    library.close()
    return folder


@pytest.fixture(scope="module", autouse=True)
def asked_once() -> Iterator[None]:
    """What the files say of themselves takes a process each time."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("vmr.media.lists.read_facts", cache(read_facts))
        yield


@pytest.fixture
def export(films: Path, capsys: pytest.CaptureFixture[str]) -> Export:
    """(exit status, the one line of the error or what was said) of an `export` into tmp_path."""

    def run(*arguments: str | Path) -> tuple[int, str]:
        status = main(["export", *map(str, arguments), "--library", str(films / "library")])
        return status, capsys.readouterr().err.strip()

    return run


def test_an_original_is_never_replaced_whatever_is_asked_for(films: Path, export: Export) -> None:
    before = {path: path.read_bytes() for path in films.glob("*.mp4")}
    choices: list[list[str]] = [[], ["--overwrite"], ["--copy"], ["--copy", "--overwrite"]]
    for extra in choices:
        for name in ("holiday.mp4", ODD):  # its source, and another video of the library
            status, said = export("1@1-2", "--to", films / name, *extra)
            assert (status, said.count("\n")) == (1, 0)
            assert "is read by the library; take another name" in said
    assert {path: path.read_bytes() for path in films.glob("*.mp4")} == before


def test_neither_a_second_name_of_a_film_nor_its_subtitles_are_replaced(
    films: Path, tmp_path: Path, export: Export
) -> None:
    library = Library(films / "library")
    copy, subtitles = films / "copy.mp4", films / "holiday.en.srt"
    copy.write_bytes((films / "holiday.mp4").read_bytes())
    subtitles.write_text("1\n00:00:01,000 --> 00:00:02,000\nhello\n")
    assert library.register(copy).id == 1
    library.close()
    for target in (copy, subtitles):
        before = target.read_bytes()
        status, said = export("1@1-2", "--to", target, "--overwrite")
        assert (status, "is read by the library; take another name" in said) == (1, True)
        assert target.read_bytes() == before
    subtitles.rename(tmp_path / "holiday.en.srt")  # where no film lies these are subtitles of none
    assert export("1@1-2", "--to", tmp_path / "holiday.en.srt", "--overwrite")[0] == 0


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_has_the_name_is_kept_unless_overwriting_is_asked_for(
    tmp_path: Path, export: Export, ending: str
) -> None:
    target = tmp_path / f"notes{ending}"
    target.write_text("mine")
    status, said = export("1@1-2", "--to", target)
    assert status == 0
    assert f"notes 2{ending} (notes{ending} was not free)" in said
    assert target.read_text() == "mine"
    assert (tmp_path / f"notes 2{ending}").stat().st_size > 4
    assert export("1@1-2", "--to", target, "--overwrite")[0] == 0
    assert target.read_bytes() == (tmp_path / f"notes 2{ending}").read_bytes() or ending == ".mp4"
    assert target.read_bytes() != b"mine"
    assert len([*tmp_path.iterdir()]) == 2


def test_captions_that_do_not_get_the_name_of_their_clip_are_told(
    tmp_path: Path, export: Export
) -> None:
    """Players look for them beside the clip, under its name."""
    (tmp_path / "clip.srt").write_text("mine")
    status, said = export("1@1-2", "--captions", "--to", tmp_path / "clip.mp4")
    assert status == 0
    assert "note: captions in clip 2.srt, as clip.srt was not free" in said.splitlines()
    assert (tmp_path / "clip.srt").read_text() == "mine"
    names = {"clip.mp4", "clip.srt", "clip 2.srt", "clip.vtt"}
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("1@100-101", "holiday.mp4: ends at 3.0 s, before 100.0 s"),
        ("4@1-2", "refused.mp4, was refused: holds no picture that can be read"),
        ("5@1-2", "gone.mp4: no such file or folder"),
        ("9@1-2", "no video 9"),
    ],
)
def test_a_moment_that_is_not_there_is_one_line_and_no_file(
    tmp_path: Path, export: Export, ending: str, moment: str, words: str
) -> None:
    status, said = export("1@1-2", moment, "--to", tmp_path / f"x{ending}")
    assert (status, said.count("\n")) == (1, 0)
    assert words in said
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("number", [2, 3])
def test_a_name_with_every_sign_and_of_255_bytes_is_taken(
    tmp_path: Path, films: Path, export: Export, ending: str, number: int
) -> None:
    moment = f"{number}@1-2"
    target = tmp_path / f"{Path(ODD if number == 2 else LONG).stem}{ending}"
    status, said = export(moment, "--to", target)
    assert status == 0
    (made,) = tmp_path.iterdir()
    assert made.name.endswith(ending)
    assert ("is too long a name)" in said) == (made != target)
    assert "was not free" not in said
    if ending == ".json":
        name = json.loads(made.read_text("utf-8"))["moments"][0]["file"]
        assert name == str(films / (ODD if number == 2 else LONG))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, export: Export, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "whatever")

    with monkeypatch.context() as patched:
        patched.setattr("vmr.media.outputs.os.fsync", full)
        status, said = export("1@1-2", "--to", tmp_path / f"x{ending}")
    assert (status, said) == (1, f"error: x{ending}: cannot be written: the disk is full")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("ending", ENDINGS)
def test_why_nothing_can_be_written_there_is_said(
    tmp_path: Path, export: Export, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    status, said = export("1@1-2", "--to", tmp_path / f"deeper/x{ending}")
    assert (status, said) == (1, f"error: x{ending}: cannot be written: its folder is not there")
    reasons = {
        errno.EROFS: "the disk is read-only",
        errno.EACCES: "no permission to write in this folder",
    }
    for number, words in reasons.items():

        @contextmanager
        def refused(_: Path, number: int = number) -> Iterator[Path]:
            if number:
                raise OSError(number, "whatever")
            yield tmp_path

        monkeypatch.setattr("vmr.media.outputs.scratch_folder", refused)
        status, said = export("1@1-2", "--to", tmp_path / f"x{ending}")
        assert (status, said) == (1, f"error: x{ending}: cannot be written: {words}")
    assert not [*tmp_path.iterdir()]


def test_strip_leaves_out_when_and_where_a_clip_was_recorded(
    tmp_path: Path, export: Export
) -> None:
    found: dict[tuple[str, ...], list[str]] = {}
    choices: list[tuple[str, ...]] = [(), ("--strip",), ("--copy",), ("--copy", "--strip")]
    for extra in choices:
        target = tmp_path / f"{' '.join(extra) or 'plain'}.mp4"
        assert export("1@1-2", "--to", target, *extra)[0] == 0
        with av.open(str(target)) as film:
            tags = {**film.metadata, **film.streams.video[0].metadata}
            found[extra] = [tags.get("creation_time", "")[:10], tags.get("location", "")]
    kept, left = ["2024-05-06", "+48.1000+011.5000/"], ["", ""]
    assert [*found.values()] == [kept, left, kept, left]


def test_another_recording_of_the_same_name_is_not_exported_for_the_old_one(
    films: Path, tmp_path: Path, export: Export, capsys: pytest.CaptureFixture[str]
) -> None:
    library = Library(films / "library")
    path = tmp_path / "loop.mp4"
    path.write_bytes((films / "plain.mp4").read_bytes() + b"1")
    video = library.register(path)
    library.store(video.id, planted_extraction(random_rows(3, 9)), full=full_digest(path))
    assert export(f"{video.id}@1-2", "--to", tmp_path / "before.csv")[0] == 0
    path.write_bytes((films / "plain.mp4").read_bytes() + b"2")
    for ending in (".csv", ".edl", ".mp4", ".jpg"):
        status, said = export(f"{video.id}@1-2", "--to", tmp_path / f"after{ending}")
        assert (status, said.count("\n")) == (1, 0)
        assert "another recording lies there now; `rescan` reads it" in said
    assert not [*tmp_path.glob("after*")]
    library.remove(video.id)
    library.close()
