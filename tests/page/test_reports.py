"""What people reported of other programs, tried at the page's routes: tests/media has the rest."""

import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.planted import write_file
from tests.support.planted_page import planted_page, served
from vmr.page.download import FILES
from vmr.page.page import Page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return planted_page(tmp_path_factory.mktemp("reports"))


@pytest.fixture(scope="module")
def visitor(page: Page) -> Iterator[httpx.Client]:
    with served(page) as address, httpx.Client(base_url=address, timeout=60) as visitor:
        yield visitor


def export(visitor: httpx.Client, file: str, video: int) -> httpx.Response:
    moments = [{"video": video, "start": 1, "end": 2, "query": "a dog"}]
    return visitor.get(f"export/{file}", params={"moments": json.dumps(moments)})


def listed(visitor: httpx.Client) -> dict[str, dict[str, Any]]:
    """The videos that `list` names, as every visitor can ask, by name."""
    reply = visitor.post("gradio_api/run/list", json={"data": []}).json()
    return {video["name"]: video for video in reply["data"][0]["videos"]}


def tree(*folders: Path) -> dict[Path, bytes]:
    """Every file below, but for what the page keeps for itself."""
    found = (path for folder in folders for path in folder.rglob("*"))
    return {
        path: path.read_bytes()
        for path in found
        if path.is_file() and path.parent.name != "previews" and ".db" not in path.name
    }


def test_what_is_exported_replaces_nothing_however_files_beside_the_page_are_called(
    page: Page, visitor: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = page.library.video(1).path.parent
    monkeypatch.chdir(tmp_path)  # which is where a relative name would be written
    for folder in (tmp_path, films, page.library.folder):
        for name in (*FILES, "beach 1.0-2.0.mp4", "001 beach 1.0-2.0.mp4"):
            (folder / name).write_text("mine")
    before = tree(tmp_path, films, page.library.folder)
    for file in FILES:
        reply = export(visitor, file, 1)
        assert reply.status_code == 200, reply.text
        assert reply.content != b"mine"
        said = reply.headers["content-disposition"]
        assert (file if file != "film.mp4" else "beach%201.0-2.0.mp4") in said
    names = zipfile.ZipFile(io.BytesIO(export(visitor, "clips.zip", 1).content)).namelist()
    assert names == ["001 beach 1.0-2.0.mp4"]
    assert tree(tmp_path, films, page.library.folder) == before
    for path in before:
        if path.parent in (films, page.library.folder) and path.read_bytes() == b"mine":
            path.unlink()


def test_a_video_that_could_not_be_read_now_is_listed_as_waiting_and_nothing_is_made_of_it(
    page: Page, visitor: httpx.Client
) -> None:
    path = write_file(page.library.video(1).path.with_name("away.mp4"), b"on a drive")
    why = "could not be read now (input/output error)"
    id = page.library.register_unread(path, "waiting", why)
    shown = listed(visitor)["away.mp4"]
    assert (shown["state"], shown["reason"], shown["searchable"]) == ("waiting", why, False)
    said = f"away.mp4 has not been read, its state is waiting: {why}"
    for file in FILES:
        reply = export(visitor, file, id)
        assert (reply.status_code, reply.json()["detail"]) == (422, said), file
    reply = visitor.get(f"preview/{id}?start=1&end=2")
    assert (reply.status_code, reply.json()["detail"]) == (422, said)
    for route in (f"still/{id}/1.0", f"thumbnail/{id}/1", f"sprite/{id}?first=1&last=2"):
        reply = visitor.get(route)
        assert (reply.status_code, reply.json()["detail"].count("\n")) == (404, 0), route
    page.library.remove(id)
    path.unlink()


def test_nothing_is_shown_of_another_recording_that_took_an_originals_name_size_and_date(
    page: Page, visitor: httpx.Client
) -> None:
    page.ingest.pause()
    path = page.library.video(2).path
    whole, was = path.read_bytes(), path.stat()
    assert visitor.get("media/2").status_code == 200
    path.unlink()  # as a recorder does that begins its loop again: the inode is another one
    path.write_bytes(whole[:-4] + b"loop")
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    said = "party.mp4: another recording lies there now; look for changes"
    for route in ("media/2", "picture/2/1.0", "preview/2?start=1&end=2"):
        reply = visitor.get(route)
        assert (reply.status_code, reply.json()["detail"]) == (404, said), route
    for file in FILES:
        reply = export(visitor, file, 2)
        assert (reply.status_code, reply.json()["detail"]) == (404, said), file
    assert visitor.get("still/2/1.0").content == page.library.thumbnails(2, [1])[0]
    assert page.editor().rescan()["changed"] == 1
    (shown,) = (video for video in listed(visitor).values() if video["name"] == "party.mp4")
    assert (shown["state"], shown["searchable"]) == ("new", False)
