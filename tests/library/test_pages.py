"""Two pages, each a process of its own as on two machines, over one library on servers."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.page.test_page import ask, call_page
from tests.support.media import cup_video
from tests.support.servers import ObjectStore, Postgres
from vmr.library.store import Library

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).resolve().parents[2]
COFFEE = "a cup of coffee"
PATIENCE_SECONDS = 120.0
"""A busy machine takes long to start two pages, and to read a film."""


@contextmanager
def page() -> Iterator[httpx.Client]:
    """`python app.py` over the library that VMR_LIBRARY names; asks it once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "app.py"), "--port", str(port)]
    with (
        subprocess.Popen(command, cwd=ROOT, env=environment) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}/", timeout=60) as visitor,
    ):
        try:
            yield visitor
        finally:
            process.kill()


def until_it_answers(visitor: httpx.Client) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            visitor.get("config").raise_for_status()
            return
        except httpx.HTTPError:
            assert time.monotonic() < until, "the page did not start"
            time.sleep(0.2)


def answered(visitor: httpx.Client) -> Any:
    return ask(visitor, "search", COFFEE, 5, None).json()["data"][0]


def ready(visitor: httpx.Client) -> Any:
    """What the page lists, once all of it is ready."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        videos = ask(visitor, "list").json()["data"][0]["videos"]
        if videos and all(video["state"] == "ready" for video in videos):
            return videos
        assert time.monotonic() < until, videos
        time.sleep(0.1)


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_what_one_page_took_the_other_answers_with_at_its_next_question(
    kind: str,
    servers: tuple[Postgres, ObjectStore],
    tmp_path: Path,
    noted: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    postgres, objects = servers
    address = postgres.database()
    store = objects.bucket() if kind == "s3" else str(tmp_path / "store")
    library = Library(address, store=store)
    library.words.want(speech="")
    film = tmp_path / "films" / "cup.mp4"
    film.parent.mkdir()
    cup_video(film)
    monkeypatch.setenv("VMR_LIBRARY", address.url)
    with ExitStack() as stack:
        first, second = (stack.enter_context(page()) for _ in range(2))
        for visitor in (first, second):
            until_it_answers(visitor)
            assert answered(visitor)["moments"] == []
        sent = first.put("upload", params={"name": "cup.mp4"}, content=film.read_bytes())
        if kind == "s3":
            assert sent.status_code >= 400
            assert "takes no uploads" in sent.text
            assert "error" not in call_page(first, "add", {"path": str(film.parent)})
        else:
            sent.raise_for_status()
        listed = ready(first)
        began = time.monotonic()
        other = answered(second)
        waited = time.monotonic() - began
        assert other == answered(first)
        assert other["verdict"] == "strong"
        assert ready(second) == listed
        assert waited < 10  # on a quiet machine, a tenth of a second
        for visitor in (first, second):
            played = visitor.get("media/1", headers={"Range": "bytes=10-99"})
            assert played.status_code == 206
            assert played.content == film.read_bytes()[10:100]
            assert visitor.get("thumbnail/1/0").content == library.thumbnails(1, [0])[0]
            assert visitor.get("preview/1?start=1&end=2").status_code == 200
        print(f"{kind}: answered with it {waited:.2f} s after the commit was seen")
