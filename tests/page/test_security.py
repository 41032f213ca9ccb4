"""What hostile requests, names and files can do to the page and the library: nothing."""

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.page.test_page import ask, call_page, export, log_in, upload
from tests.support.planted import PlantedExtractor, write_file
from tests.support.planted_page import DOG, planted_page, served
from vmr.library.catalogue import readable
from vmr.library.folders import find_videos
from vmr.library.ingest import Ingest
from vmr.library.store import Library, LibraryError
from vmr.page.access import Access
from vmr.page.editor import Editor
from vmr.page.page import Page
from vmr.page.server import SEARCHES
from vmr.page.uploads import safe_name

ROOT = Path(__file__).resolve().parents[2]
HUGE = "9" * 30
NO_TEXT = os.fsdecode(b"\xff\xfe.mp4")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return planted_page(tmp_path_factory.mktemp("page"), hostile=r"..\..\evil")


@pytest.fixture(scope="module")
def address(page: Page) -> Iterator[str]:
    with served(page) as address:
        yield address


# Requests


@pytest.mark.parametrize(
    "route",
    [
        f"media/{HUGE}",
        f"thumbnail/{HUGE}/0",
        f"thumbnail/1/{HUGE}",
        f"still/{HUGE}/1",
        "still/1/inf",
        "still/1/nan",
        f"preview/{HUGE}?start=1&end=2",
        f"sprite/{HUGE}?first=0&last=2",
        "picture/1/inf",
        "picture/1/nan",
        "media/%252e%252e%252fetc%252fpasswd",
        "gradio_api/file=app.py",
        f"gradio_api/file={ROOT}/README.md",
    ],
)
def test_numbers_and_paths_beyond_all_bounds_are_turned_down(address: str, route: str) -> None:
    """Ids of 30 digits and infinite seconds ended in a server error."""
    assert httpx.get(address + route).status_code in (403, 404, 422)


@pytest.mark.parametrize(
    "moments",
    [
        '[{"video": 1e999, "start": 1, "end": 2}]',
        f'[{{"video": {HUGE}, "start": 1, "end": 2}}]',
        "[" * 20_000,
        '{"0": 1}',
        "null",
    ],
)
def test_exports_of_nonsense_are_turned_down(address: str, moments: str) -> None:
    reply = httpx.get(address + "export/moments.json", params={"moments": moments})
    assert reply.status_code == 422


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("search", {"query": DOG, "video": int(HUGE)}),
        ("like", {"video": int(HUGE), "start": 0, "end": 1}),
        ("curve", {"query": DOG, "video": int(HUGE)}),
        ("preview", {"video": 1, "start": 0, "end": 10**400}),
        ("rate", {"query": DOG, "video": int(HUGE), "start": 0, "end": 1, "good": True}),
        ("act", {"what": "remove", "id": int(HUGE)}),
        ("act", {"what": "remove", "id": "x"}),
        ("add", {"path": "a" * 5000}),
        ("add", {"path": "\0"}),
    ],
)
def test_functions_answer_nonsense_in_one_line(address: str, name: str, asked: object) -> None:
    assert "error" in call_page(httpx.Client(base_url=address), name, asked)


def test_functions_that_are_not_there_cannot_be_called(address: str) -> None:
    visitor = httpx.Client(base_url=address)
    for name in ("__init__", "main", "upload_name", "store", "take_upload"):
        assert call_page(visitor, name, {}) == {"detail": "Function not found."}


# Names


def test_a_clip_in_an_archive_stays_in_its_folder(address: str) -> None:
    """Where a backslash parts folders, this name would lead out of the place it is unpacked to."""
    reply = export(address, "clips.zip", {"video": 3, "start": 1, "end": 1.4})
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        (name,) = archive.namelist()
    assert name == "001 .._.._evil 1.0-1.4.mp4"


def test_a_name_that_is_no_text_is_shown_found_and_exported(tmp_path: Path) -> None:
    """One such file, and the page could not list any."""
    page = planted_page(tmp_path)
    path = page.files.source(1)
    path.rename(path.with_name(NO_TEXT))
    page.library.register(path.with_name(NO_TEXT))
    with served(page) as address:
        visitor = httpx.Client(base_url=address, timeout=60)
        shown = call_page(visitor, "library", {})["videos"][0]
        assert shown["name"] == r"\xff\xfe.mp4" == readable(NO_TEXT)
        found = ask(visitor, "search", DOG, 5, 1).json()["data"][0]["moments"][0]
        assert found["name"] == r"\xff\xfe.mp4"
        moment = {"video": 1, "start": 1, "end": 1.4}
        for file in ("moments.json", "moments.csv", "moments.edl", "moments.otio"):
            reply = export(address, file, moment)
            assert (reply.status_code, "mp4" in reply.text) == (200, True), file
        for file in ("film.mp4", "clips.zip"):
            assert export(address, file, moment).status_code == 200, file
        assert visitor.get("media/1").status_code == 200
        assert visitor.get("preview/1?start=1&end=2").status_code == 200


@pytest.mark.parametrize("name", ["\U00010348" * 80, "x" * 300, "é" * 100, "a\nb", "\u202egpj"])
def test_an_upload_gets_a_name_that_every_disk_takes(name: str) -> None:
    named = safe_name(f"{name}.mp4")
    assert 4 < len(named.encode()) <= 84
    assert named.isprintable()


def test_an_upload_that_cannot_be_kept_is_said(
    page: Page, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Editor, draft: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Editor, "take_upload", full)
    reply = upload(address, "a.mp4", b"x")
    assert (reply.status_code, "disk full" in reply.text) == (507, True)
    assert not [*(page.library.folder / "uploads").rglob("*.mp4")]


def test_reasons_are_one_line_without_the_path(tmp_path: Path) -> None:
    """A line break in the name kept the whole path in the reason."""
    bad = write_file(tmp_path / "line\nbreak.mp4", b"bad")
    gone = tmp_path / "gone\nfor good.mp4"
    gone.symlink_to(tmp_path / "nowhere")
    with Ingest(Library(tmp_path / "library"), PlantedExtractor) as ingest:
        ingest.add([bad, gone])
        ingest.wait()
        reasons = [job.reason for job in ingest.progress().jobs]
    assert reasons == ["not a video", "a link to a file that is not there"]


# A shared page


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    access = Access(change=False, paths=False, originals=False)
    page = planted_page(tmp_path_factory.mktemp("shared"), access=access)
    page.library.mark(
        3, "refused", f"cannot be opened ([Errno 13] denied: '{page.files.source(3)}')"
    )
    with served(page, "--host", "0.0.0.0", "--auth", "guest:secret") as address:
        yield address


def test_no_reason_tells_where_a_video_lies(shared: str, tmp_path: Path) -> None:
    visitor = log_in(shared)
    shown = call_page(visitor, "library", {})
    assert shown["videos"][2]["state"] == "refused"
    assert shown["videos"][2]["reason"] == "it could not be read"
    assert "/" not in json.dumps(shown)


def test_a_made_up_address_is_no_way_around_the_limit(shared: str) -> None:
    """The relay of a share link connects from this computer, whose word on who is behind it was
    believed, whoever had written it."""
    visitor = log_in(shared)
    said = []
    for number in range(SEARCHES[0] + 5):
        visitor.headers["X-Forwarded-For"] = f"10.0.0.{number}"
        said.append(call_page(visitor, "curve", {"query": "", "video": 1}))
    assert "too many" in said[-1]["error"]


# Files and folders


def test_a_folder_that_may_not_be_listed_is_refused_by_name_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    """As somebody who is not root, who may look everywhere."""
    tree = tmp_path / "films"
    for name in ("a.mp4", "closed/b.mp4", "hidden/deep/c.mp4", "d.mp4"):
        write_file(tree / name)
    program = (
        "import os, sys; from pathlib import Path; from vmr.library.folders import find_videos\n"
        "from vmr.library.content import ContentError, FileStamp\n"
        "os.geteuid() or os.setuid(65534)\n"
        "for path in find_videos([Path(sys.argv[1])]):\n"
        "    try: FileStamp.of(path); print(path.name)\n"
        "    except ContentError as error: print(path.name, str(error).rpartition(': ')[2])\n"
    )
    outer = [path for path in tmp_path.parents if path.name.startswith(("pytest-", "popen-"))]
    for folder in (tmp_path, *outer):
        folder.chmod(folder.stat().st_mode | 0o055)
    (tree / "closed").chmod(0)
    (tree / "hidden").chmod(0o400)
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, tree], capture_output=True, text=True, cwd=ROOT
        )
    finally:
        (tree / "closed").chmod(0o755)
        (tree / "hidden").chmod(0o755)
    lines = done.stdout.splitlines()
    assert lines[0] == "a.mp4", done.stderr
    assert lines[1] == "closed no permission to look into this folder"
    assert "d.mp4" in lines
    assert len(find_videos([tree])) == 4


def test_folders_of_file_servers_do_not_keep_a_library_from_opening(tmp_path: Path) -> None:
    library = Library(tmp_path / "library")
    library.close()
    for name in ("features", "thumbnails"):
        (library.folder / name / "@eaDir").mkdir()
    assert Library(library.folder).videos() == []


def test_an_indexing_run_that_cannot_begin_says_so_instead_of_waiting(tmp_path: Path) -> None:
    """The worker was gone, and whoever waited for it waited for ever."""

    def broken() -> PlantedExtractor:
        raise RuntimeError("the weights are gone")

    with Ingest(Library(tmp_path / "library"), broken) as ingest:
        ingest.add([write_file(tmp_path / "a.mp4")])
        with pytest.raises(LibraryError, match="RuntimeError: the weights are gone"):
            ingest.wait(60)
