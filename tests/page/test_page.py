"""The page's server from outside: its public interface, its files, and who is turned away."""

import asyncio
import io
import json
import os
import re
import shutil
import subprocess
import time
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import httpx
import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import TextContent, Tool
from PIL import Image

from tests.support.media import counter_video, read_counter
from tests.support.planted import write_file
from tests.support.planted_page import ABSENT, DOG, FPS, GOAL, MOMENTS, planted_page, served
from vmr.cli.samples import QUERIES
from vmr.library.catalogue import State
from vmr.media.ffmpeg import FfmpegError
from vmr.media.preview import Previews
from vmr.page.access import Access, PageError
from vmr.page.download import make
from vmr.page.guard import RateLimit, from_our_page
from vmr.page.options import read_options
from vmr.page.page import Page
from vmr.page.server import SEARCHES, access_of_visitors, account
from vmr.page.uploads import safe_name

# A busy machine answers late; only a server that hangs may fail a test.
get, post = partial(httpx.get, timeout=60), partial(httpx.post, timeout=60)
put, visit = partial(httpx.put, timeout=60), partial(httpx.Client, timeout=60)
visit = partial(httpx.Client, timeout=60)
HOSTILE = "<img src=x onerror=alert(1)>"
OWN_ROUTES = (
    "ui/page.js",
    "media/1",
    "thumbnail/1/0",
    "still/1/2.0",
    "sprite/1?first=6&last=9",
    "preview/1?start=1&end=2",
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return planted_page(tmp_path_factory.mktemp("page"), hostile=HOSTILE)


@pytest.fixture(scope="module")
def address(page: Page) -> Iterator[str]:
    with served(page) as address:
        yield address


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, verbose=False, httpx_kwargs={"timeout": 60})


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """As visitors of a share link see it: a login, reading only, previews only."""
    access = Access(change=False, paths=False, originals=False)
    page = planted_page(tmp_path_factory.mktemp("shared"), access=access)
    with served(page, "--host", "0.0.0.0", "--auth", "guest:secret") as address:
        yield address


def log_in(address: str) -> httpx.Client:
    visitor = visit(base_url=address)
    visitor.post("login", data={"username": "guest", "password": "secret"}).raise_for_status()
    return visitor


def ask(visitor: httpx.Client, name: str, *values: object) -> httpx.Response:
    return visitor.post(f"gradio_api/run/{name}", json={"data": list(values)})


def frames(path: Path) -> list[int]:
    with av.open(str(path)) as video:
        return [read_counter(frame.to_ndarray(format="rgb24")) for frame in video.decode(video=0)]


# The public interface


def test_search_finds_the_planted_moments(client: Client) -> None:
    answer = client.predict(DOG, api_name="/search")
    assert answer["verdict"] == "strong"
    strong = [moment for moment in answer["moments"] if moment["verdict"] != "none"]
    assert {moment["video"] for moment in strong} == {1, 2}
    for moment in strong:
        start, end = MOMENTS[moment["video"]][DOG]
        assert abs(moment["start"] - start) <= 1
        assert abs(moment["end"] - end) <= 1
        assert moment["start"] <= moment["best"] < moment["end"]


def test_search_inside_one_video_and_as_many_as_asked(client: Client) -> None:
    answer = client.predict(DOG, 3, 2, api_name="/search")
    assert {moment["video"] for moment in answer["moments"]} == {2}
    assert len(client.predict(DOG, 1, api_name="/search")["moments"]) == 1


def test_what_is_not_there_is_not_claimed(client: Client) -> None:
    answer = client.predict(ABSENT, api_name="/search")
    assert answer["verdict"] == "none"
    assert {moment["verdict"] for moment in answer["moments"]} == {"none"}


def test_a_slip_that_has_a_vector_comes_with_what_it_means(client: Client) -> None:
    answer = client.predict("a motocycle and a retriever", api_name="/search")
    assert (answer["unknown"], answer["slips"]) == (
        [],
        [{"word": "motocycle", "near": ["motorcycle"]}],
    )
    assert client.predict(DOG, api_name="/search")["slips"] == []


def test_unknown_words_come_with_near_ones(client: Client) -> None:
    answer = client.predict("a dog runs on the beachh", api_name="/search")
    assert [entry["word"] for entry in answer["unknown"]] == ["beachh"]
    assert "beach" in answer["unknown"][0]["near"]


@pytest.mark.parametrize("query", ["   ", "qzxv wrtk", "dog " * 300])
def test_a_query_that_cannot_be_read_is_one_clear_line(client: Client, query: str) -> None:
    with pytest.raises(AppError) as caught:
        client.predict(query, api_name="/search")
    assert "\n" not in str(caught.value)
    assert "query" in str(caught.value)


def test_list_and_clip(client: Client, address: str, tmp_path: Path) -> None:
    videos = client.predict(api_name="/list")["videos"]
    assert [video["name"] for video in videos] == ["beach.mp4", "party.mp4", f"{HOSTILE}.mp4"]
    assert videos[0]["duration"] == pytest.approx(20, abs=0.1)
    clip = client.predict(1, 6.0, 10.0, api_name="/clip")
    copy = tmp_path / "clip.mp4"
    copy.write_bytes(get(address + clip["url"]).content)
    numbers = frames(copy)
    # From two seconds before the moment to two seconds after it, every frame in order.
    assert clip["start"] == 4.0
    assert numbers == list(range(4 * FPS, 12 * FPS))


def test_only_three_endpoints_are_public(client: Client, address: str) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(named) == {"/search", "/list", "/clip"}
    config = get(address + "config").json()
    assert len(config["dependencies"]) == 3


def test_curl_can_ask_too(address: str) -> None:
    reply = post(address + "gradio_api/run/search", json={"data": [GOAL, 5, None]})
    assert reply.json()["data"][0]["moments"][0]["video"] == 2


# Files


def test_media_in_ranges(page: Page, address: str) -> None:
    content = page.files.source(1).read_bytes()
    reply = get(address + "media/1", headers={"Range": "bytes=1000-1999"})
    assert reply.status_code == 206
    assert reply.content == content[1000:2000]
    assert reply.headers["content-range"] == f"bytes 1000-1999/{len(content)}"
    assert reply.headers["content-type"] == "video/mp4"
    assert get(address + "media/1").content == content


@pytest.mark.parametrize(
    "path",
    [
        "media/../../../../etc/passwd",
        "media/..%2f..%2f..%2fetc%2fpasswd",
        "media/%2e%2e/%2e%2e/etc/passwd",
        "media//etc/passwd",
        "media/%2Fetc%2Fpasswd",
        "media/1/../../library.db",
        "media/..\\..\\windows\\win.ini",
        "media/C:%5Cwindows%5Cwin.ini",
        "media/1%00.mp4",
        "media/-1",
        "media/99",
        "ui/../theme.css",
        "ui/..%2f..%2fapp.py",
        "ui/%2e%2e%2f%2e%2e%2fREADME.md",
        "thumbnail/1/../../library.db",
        "thumbnail/1/999",
        "still/9/1.0",
        "sprite/1?first=999&last=1000",
        "sprite/1?first=-1&last=3",
        "sprite/9?first=0&last=3",
        "preview/1?start=5&end=2",
        "preview/1?start=nan&end=2",
        "preview/1?start=-3&end=2",
        "preview/1?start=1e9&end=2e9",
        "gradio_api/file=/etc/passwd",
    ],
)
def test_no_path_leads_out_of_the_library(address: str, path: str) -> None:
    # A raw request: a client library would tidy the path before sending it.
    host = address.split("/")[2]
    command = ["curl", "-s", "-o", "-", "-w", "\n%{http_code}", "--path-as-is"]
    done = subprocess.run([*command, f"http://{host}/{path}"], capture_output=True, check=True)
    body, _, status = done.stdout.rpartition(b"\n")
    assert int(status) in (400, 403, 404, 405, 422), body[:200]
    assert b"root:" not in body


def test_a_file_that_became_a_link_is_not_served(tmp_path: Path) -> None:
    page = planted_page(tmp_path)
    path = page.files.source(2)
    path.unlink()
    path.symlink_to("/etc/passwd")
    with pytest.raises(PageError, match=re.escape("party.mp4: the file is no longer where it was")):
        page.files.source(2)
    page.ingest.close()


def test_a_video_behind_a_link_is_served_while_it_is_the_same(tmp_path: Path) -> None:
    """Folders of videos are often links to another disk."""
    page = planted_page(tmp_path)
    disk = tmp_path / "disk"
    (tmp_path / "videos").rename(disk)
    (tmp_path / "films").symlink_to(disk)
    video = page.library.register(tmp_path / "films" / "beach.mp4")
    assert page.files.source(video.id).samefile(disk / "beach.mp4")
    (tmp_path / "films").unlink()
    (tmp_path / "films").symlink_to("/etc")
    (disk / "beach.mp4").unlink()
    (disk / "beach.mp4").symlink_to("/etc/passwd")
    with pytest.raises(PageError, match="no longer where it was"):
        page.files.source(video.id)
    (tmp_path / "films").unlink()
    (tmp_path / "films").symlink_to(disk)
    with pytest.raises(PageError, match="no longer where it was"):
        page.files.source(video.id)
    page.ingest.close()


def test_a_sprite_holds_the_pictures_of_a_moment(address: str) -> None:
    """Cell by cell the thumbnail of its second, read from the black and white pattern in it."""
    reply = get(address + "sprite/1?first=6&last=9")
    assert reply.headers["cache-control"].startswith("private, max-age")
    with Image.open(io.BytesIO(reply.content)) as sprite:
        assert sprite.size == (4 * 160, 90)
        cells = [np.asarray(sprite.crop((160 * i, 0, 160 * i + 160, 90))) for i in range(4)]
    assert [read_counter(cell) for cell in cells] == [FPS * second for second in range(6, 10)]


def test_a_sprite_is_kept_and_bounded(tmp_path: Path) -> None:
    previews = Previews(tmp_path / "previews", limit_bytes=1 << 20)
    buffer = io.BytesIO()
    Image.new("RGB", (90, 160), "white").save(buffer, "JPEG")  # a phone's video
    made = previews.sprite([buffer.getvalue(), b"no picture", buffer.getvalue()])
    with Image.open(made) as sprite:
        assert sprite.size == (3 * 160, 90)
        assert [np.asarray(sprite)[45, x, 0] // 128 for x in (20, 240, 400)] == [1, 0, 1]
    stamp = made.stat().st_ino
    assert previews.sprite([buffer.getvalue(), b"no picture", buffer.getvalue()]) == made
    assert made.stat().st_ino == stamp
    assert [file.name for file in previews.folder.iterdir()] == [made.name]


def test_a_long_moment_has_thirty_pictures_at_most(
    address: str, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmr.page.files.MOST_PICTURES", 5)
    with Image.open(page.files.sprite(1, 0, 500)) as sprite:  # the video ends before that
        cells = [np.asarray(sprite.crop((160 * i, 0, 160 * i + 160, 90))) for i in range(5)]
    assert [read_counter(cell) for cell in cells] == [FPS * row for row in (0, 4, 8, 12, 16)]


def test_a_still_shows_the_frame_of_its_second(page: Page, tmp_path: Path) -> None:
    still = page.files.previews.still(page.files.source(1), 7.0)
    with av.open(str(still)) as picture:
        shown = next(picture.decode(video=0)).to_ndarray(format="rgb24")
    assert read_counter(shown) == 7 * FPS


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".hevc.mp4"])
def test_a_preview_for_what_browsers_cannot_play(tmp_path: Path, suffix: str) -> None:
    page = planted_page(tmp_path, suffix=suffix)
    assert not page.viewer.listing()["videos"][0]["playable"]
    preview, begins = page.files.preview(1, 6.0, 10.0)
    assert begins == 4.0
    assert frames(preview) == list(range(4 * FPS, 12 * FPS))
    with av.open(str(preview)) as video:
        assert video.streams.video[0].codec_context.name == "h264"
    page.ingest.close()


def test_kept_previews_stay_within_their_limit(page: Page, tmp_path: Path) -> None:
    source = page.files.source(1)
    all_kept = Previews(tmp_path / "all", limit_bytes=1 << 30)
    sizes = [all_kept.still(source, float(second)).stat().st_size for second in range(6)]
    previews = Previews(tmp_path / "some", limit_bytes=sum(sizes[3:]))
    made = []
    for second in range(6):
        made.append(previews.still(source, float(second)))
        time.sleep(0.01)  # the order of use is told by the clock of the file system
    kept = sum(path.stat().st_size for path in made if path.exists())
    assert kept <= sum(sizes[3:])
    assert made[-1].exists()
    assert not made[0].exists()
    assert previews.still(source, 0.0).is_file()  # made again


def test_a_play_list_cannot_name_other_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret.mp4"
    counter_video(secret, 1.0)
    hostile = tmp_path / "hostile.mp4"
    hostile.write_text(f"ffconcat version 1.0\nfile {secret}\n")
    previews = Previews(tmp_path / "previews", limit_bytes=1 << 20)
    with pytest.raises(FfmpegError, match=r"hostile\.mp4: not a video"):
        previews.still(hostile, 0.0)


# Exports


def export(address: str, file: str, *moments: Mapping[str, object]) -> httpx.Response:
    wanted = {"moments": json.dumps(moments)}
    return get(address + f"export/{file}", params=wanted)


def test_a_film_of_two_moments_holds_their_frames(address: str, tmp_path: Path) -> None:
    first = {"video": 1, "start": 6.0, "end": 7.0, "query": DOG, "strength": 0.9}
    second = {"video": 2, "start": 12.04, "end": 12.2}
    reply = export(address, "film.mp4", first, second)
    assert "film.mp4" in reply.headers["content-disposition"]
    film = tmp_path / "film.mp4"
    film.write_bytes(reply.content)
    assert frames(film) == [*range(150, 175), *range(301, 305)]


def test_single_clips_come_in_one_archive(address: str, tmp_path: Path) -> None:
    moments = [{"video": 1, "start": 1, "end": 1.4}, {"video": 3, "start": 2, "end": 2.4}]
    reply = export(address, "clips.zip", *moments)
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        names = archive.namelist()
        assert len(names) == 2
        assert all(name.endswith(".mp4") for name in names)
        (tmp_path / "clip.mp4").write_bytes(archive.read(names[0]))
    assert frames(tmp_path / "clip.mp4") == list(range(25, 35))


@pytest.mark.parametrize(("suffix", "copied"), [(".mp4", ".mp4"), (".avi", ".mkv")])
def test_a_clip_is_copied_on_request(tmp_path: Path, suffix: str, copied: str) -> None:
    """Nothing is encoded anew, so it begins at a key picture and holds at least the moment."""
    page = planted_page(tmp_path, suffix=suffix)
    moment = json.dumps([{"video": 1, "start": 6.0, "end": 8.0}])
    page.files.previews.folder.mkdir()
    clip = make(page.files, "film.mp4", moment, page.files.previews.folder, copy=True)
    assert clip.name == f"beach 6.0-8.0{copied}"
    with av.open(str(clip)) as video, av.open(str(page.files.source(1))) as source:
        assert video.streams.video[0].codec.name == source.streams.video[0].codec.name
        packets = [bytes(packet) for packet in video.demux(video=0) if packet.size]
        original = [bytes(packet) for packet in source.demux(video=0) if packet.size]
    assert set(packets) <= set(original)
    assert set(range(6 * FPS, 8 * FPS)) <= set(frames(clip))
    page.ingest.close()


def test_copied_clips_come_single(address: str, tmp_path: Path) -> None:
    moments = [{"video": 1, "start": 1, "end": 2}, {"video": 3, "start": 2, "end": 3}]
    wanted = {"moments": json.dumps(moments), "copy": "true"}
    refused = get(address + "export/film.mp4", params=wanted)
    assert refused.status_code == 422
    assert "single clips" in refused.json()["detail"]
    reply = get(address + "export/clips.zip", params=wanted)
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        assert archive.namelist() == ["001 beach 1.0-2.0.mp4", archive.namelist()[1]]
        (tmp_path / "clip.mp4").write_bytes(archive.read(archive.namelist()[0]))
    assert set(range(25, 50)) <= set(frames(tmp_path / "clip.mp4"))


@pytest.mark.parametrize("ending", ["csv", "json", "edl", "otio"])
def test_lists_name_the_moment(address: str, ending: str) -> None:
    reply = export(address, f"moments.{ending}", {"video": 1, "start": 6, "end": 10, "query": DOG})
    assert reply.status_code == 200
    assert "beach.mp4" in reply.text
    assert DOG in reply.text


@pytest.mark.parametrize(
    ("file", "moments"),
    [
        ("film.mp4", []),
        ("film.mp4", [{"video": 1, "start": 5, "end": 2}]),
        ("film.mp4", [{"video": 1, "start": 500, "end": 600}]),
        ("film.mp4", [{"video": 1}]),
        ("film.mp4", ["x"]),
        ("film.mp4", [{"video": "../1", "start": 1, "end": 2}]),
        ("evil.sh", [{"video": 1, "start": 1, "end": 2}]),
        ("moments.csv", [{"video": 1, "start": "a", "end": 2}]),
    ],
)
def test_an_export_that_cannot_be_is_refused(
    address: str, file: str, moments: list[dict[str, object]]
) -> None:
    assert export(address, file, *moments).status_code == 422


def test_an_export_of_a_video_that_is_not_there_is_not_found(address: str) -> None:
    reply = export(address, "film.mp4", {"video": 99, "start": 1, "end": 2})
    assert (reply.status_code, reply.json()["detail"]) == (404, "there is no video 99")


def test_a_picture_in_full_size(address: str, shared: str, tmp_path: Path) -> None:
    reply = get(address + "picture/1/7.02")
    assert "picture.jpg" in reply.headers["content-disposition"]
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(reply.content)
    assert frames(picture) == [175]  # the one on the screen at 7.02 s
    assert get(address + "picture/1/900").status_code == 422
    assert get(shared + "picture/1/7.0").status_code == 401
    assert log_in(shared).get("picture/1/7.0").status_code == 403


def test_a_shared_page_exports_lists_without_paths(shared: str) -> None:
    visitor = log_in(shared)
    wanted = {"moments": json.dumps([{"video": 1, "start": 6, "end": 10, "query": DOG}])}
    listed = visitor.get("export/moments.json", params=wanted)
    assert json.loads(listed.text)["moments"][0]["file"] == "beach.mp4"
    assert visitor.get("export/film.mp4", params=wanted).status_code == 403
    assert get(shared + "export/moments.json", params=wanted).status_code == 401


# Uploads


def upload(address: str, name: str, content: bytes, **headers: str) -> httpx.Response:
    return put(address + "upload", params={"name": name}, content=content, headers=headers)


@pytest.mark.parametrize(
    ("name", "content"), [("notes.mp4", b"just text\n" * 500), ("empty.mp4", b"")]
)
def test_what_is_no_video_is_refused_and_not_kept(
    page: Page, address: str, name: str, content: bytes
) -> None:
    reply = upload(address, name, content)
    assert reply.status_code == 422
    assert name in reply.json()["detail"]
    assert str(page.library.folder) not in reply.json()["detail"]
    assert not [*(page.library.folder / "uploads").rglob("*.mp4")]


@pytest.mark.parametrize(
    "name", ["page.html", "run.sh", "noending", "a.mp4.exe", "..", "C:\\a.bat"]
)
def test_only_names_of_videos_are_taken(address: str, name: str) -> None:
    assert upload(address, name, b"x").status_code == 422


@pytest.mark.parametrize(
    "name",
    ["../../evil.mp4", "..\\..\\evil.mp4", "/etc/evil.mp4", "C:\\evil.mp4", "a/b\\c.mp4", "\0.mp4"],
)
def test_an_upload_is_named_by_us(name: str) -> None:
    assert re.fullmatch(r"[\w\- ().,]+\.mp4", safe_name(name))


@pytest.mark.parametrize("name", ["Bunny & friends (2024) 'cut'.mp4", "[a] #1 + b@c!.mp4"])
def test_an_upload_keeps_a_name_that_harms_nobody(
    page: Page, address: str, name: str, tmp_path: Path
) -> None:
    assert safe_name(name) == name
    with page.editor().uploads.draft_folder() as folder:
        counter_video(folder / name, 0.4)
        clip = page.files.previews.still(folder / name, 0.2)  # as ffmpeg meets it
    assert clip.is_file()


def test_removing_a_video_deletes_our_copy_and_nothing_else(tmp_path: Path) -> None:
    page = planted_page(tmp_path)
    page.ingest.pause()
    editor = page.editor()
    counter_video(tmp_path / "mine.mp4", 1.0)
    with editor.uploads.draft_folder() as folder:
        shutil.copy(tmp_path / "mine.mp4", folder)
        editor.take_upload(folder / "mine.mp4")
    first, *_, sent = page.viewer.listing()["videos"]
    assert (first["copied"], sent["name"], sent["copied"]) == (False, "mine.mp4", True)
    ours = page.library.video(sent["id"]).path
    page.library.register(tmp_path / "mine.mp4")  # the visitor's own, under which it is known, too
    for video in (first, sent):
        editor.act("remove", video["id"])
    assert not ours.parent.exists()
    assert (tmp_path / "mine.mp4").exists()
    assert (tmp_path / "videos" / "beach.mp4").exists()
    page.ingest.close()


def test_an_upload_over_the_limit_leaves_nothing(tmp_path: Path) -> None:
    page = planted_page(tmp_path)
    with served(page, "--upload-gb", "0") as address:
        assert upload(address, "large.mp4", b"x" * 1000).status_code == 413
    assert not [*(page.library.folder / "uploads").rglob("*.mp4")]


def test_the_upload_route_of_gradio_takes_nothing(address: str) -> None:
    """Ours names, limits and probes; the one that comes with Gradio must not be a way around."""
    files = {"files": ("a.mp4", b"x" * 100)}
    assert post(address + "gradio_api/upload", files=files).status_code == 413


@pytest.mark.parametrize("change", [True, False])
def test_what_a_stopped_page_had_not_read_is_queued_at_its_next_start(
    tmp_path: Path, change: bool
) -> None:
    page = planted_page(tmp_path, access=Access(change=change))
    page.ingest.pause()
    states: dict[str, State] = {"waits.mp4": "new", "begun.mp4": "indexing", "bad.mp4": "refused"}
    for number, (name, state) in enumerate(states.items()):
        video = page.library.register(write_file(tmp_path / name, bytes([number])))
        page.library.mark(video.id, state)
    with served(page):
        queued = [video["name"] for video in page.viewer.listing()["videos"] if video["queued"]]
        assert queued == (["waits.mp4", "begun.mp4"] if change else [])
        page.ingest.cancel()
        assert not any(video["queued"] for video in page.viewer.listing()["videos"])


# A second look at the disk


def test_a_rescan_says_what_is_new_changed_back_and_missing(tmp_path: Path) -> None:
    page = planted_page(tmp_path)
    page.ingest.pause()
    films = tmp_path / "videos"
    editor = page.editor()
    nothing = {"added": 0, "changed": 0, "back": 0, "missing": 0, "growing": 0, "problems": []}
    assert editor.add_path(str(films)) == {"added": 3}
    assert editor.rescan() == nothing
    away = (films / "beach.mp4").rename(tmp_path / "beach.mp4")
    old = time.time() - 100  # nobody is writing them now
    for name in ("party.mp4", "new.mp4"):
        os.utime(write_file(films / name, b"other"), (old, old))
    (films / "plain.mp4").unlink()
    assert editor.rescan() == nothing | {"added": 1, "changed": 1, "missing": 2}
    states = {video["name"]: video["state"] for video in page.viewer.listing()["videos"]}
    assert (states["beach.mp4"], states["plain.mp4"]) == ("missing", "missing")
    away.rename(films / "beach.mp4")
    assert editor.rescan()["back"] == 1
    page.ingest.close()


@pytest.mark.parametrize("paths", [True, False])
def test_a_rescan_names_folders_only_where_paths_may_be_seen(tmp_path: Path, paths: bool) -> None:
    page = planted_page(tmp_path, access=Access(paths=paths))
    gone = tmp_path / "gone"
    gone.mkdir()
    page.library.remember(gone)
    gone.rmdir()
    (said,) = page.editor().rescan()["problems"]
    assert (str(gone) in said) == paths
    page.ingest.close()


# Who is turned away


def test_own_routes_ask_for_the_login(shared: str) -> None:
    for route in OWN_ROUTES:
        assert get(shared + route).status_code == 401, route
    assert upload(shared, "a.mp4", b"x").status_code == 401
    assert get(shared + "config").status_code == 401
    assert get(shared + "openapi.json").status_code == 404
    assert ask(visit(base_url=shared), "search", DOG, 5, None).status_code == 401


def test_a_wrong_password_opens_nothing(shared: str) -> None:
    visitor = visit(base_url=shared)
    assert visitor.post("login", data={"username": "guest", "password": "no"}).status_code == 400
    assert visitor.get("thumbnail/1/0").status_code == 401


def test_a_shared_page_shows_previews_and_no_paths(shared: str) -> None:
    visitor = log_in(shared)
    assert visitor.get("thumbnail/1/0").status_code == 200
    assert visitor.get("preview/1?start=1&end=2").status_code == 200
    assert visitor.get("media/1").status_code == 403
    listed = ask(visitor, "list").json()["data"][0]["videos"]
    assert all("file" not in video and not video["playable"] for video in listed)
    found = ask(visitor, "search", DOG, 5, None).json()["data"][0]
    assert "/" not in json.dumps(found)


def test_a_shared_page_is_for_reading(shared: str) -> None:
    visitor = log_in(shared)
    put = visitor.put("upload", params={"name": "a.mp4"}, content=b"x")
    assert put.status_code == 403
    assert "searched here, not changed" in put.json()["detail"]
    rating = {"query": DOG, "video": 1, "start": 1, "end": 2, "good": True}
    for name, asked in [
        ("add", {"path": "/etc"}),
        ("act", {"what": "remove", "id": 1}),
        ("rate", rating),
        ("rescan", {}),
    ]:
        reply = call_page(visitor, name, asked)
        assert "searched here, not changed" in reply["error"]
    assert len(ask(visitor, "list").json()["data"][0]["videos"]) == 3


def call_page(visitor: httpx.Client, name: str, asked: object) -> Any:
    """A server function, as the page's scripts call it."""
    component = next(
        part["id"] for part in visitor.get("config").json()["components"] if part["type"] == "html"
    )
    body = {"data": asked, "component_id": component, "fn_name": name, "session_hash": "test"}
    return visitor.post("gradio_api/component_server", json=body).json()


def test_server_functions_answer_nonsense_in_one_line(address: str) -> None:
    visitor = visit(base_url=address)
    nonsense: tuple[object, ...] = ({}, [], None, "x", {"query": 7}, {"query": DOG, "video": "x"})
    for asked in nonsense:
        assert "was not understood" in call_page(visitor, "search", asked)["error"]
    assert "no such file" in call_page(visitor, "add", {"path": "/nowhere"})["error"]
    said = call_page(visitor, "act", {"what": "format disk"})["error"]
    assert "not understood: what: Input should be 'pause', 'resume'" in said


def test_searches_of_a_shared_page_are_limited(
    shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = log_in(shared)
    long_ago = time.monotonic() - 100  # all at one moment, however slow the machine
    monkeypatch.setattr("vmr.page.guard.time", SimpleNamespace(monotonic=lambda: long_ago))
    replies = [ask(visitor, "search", DOG, 1, None) for _ in range(SEARCHES[0] + 5)]
    assert replies[-1].status_code == 500
    assert "too many" in replies[-1].json()["error"]


def test_rate_limit_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(monotonic=lambda: 7.0)
    monkeypatch.setattr("vmr.page.guard.time", clock)
    limit = RateLimit(2, 0.2)
    assert [limit.allows("a"), limit.allows("a"), limit.allows("a")] == [True, True, False]
    assert limit.allows("b")
    clock.monotonic = lambda: 7.25
    assert limit.allows("a")


def test_another_site_cannot_use_the_page(address: str) -> None:
    elsewhere = {"Origin": "https://example.org"}
    assert upload(address, "a.mp4", b"x", **elsewhere).status_code == 403
    assert get(address + "media/1", headers=elsewhere).status_code == 403
    picture = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}  # <img>: no Origin
    assert get(address + "thumbnail/1/0", headers=picture).status_code == 403
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert get(address, headers=link).status_code == 200
    visitor = visit(base_url=address, headers=elsewhere)
    assert "own address" in call_page(visitor, "act", {"what": "remove", "id": 1})["error"]


@pytest.mark.parametrize(
    ("host", "origin", "loopback", "fine"),
    [
        ("127.0.0.1:7860", None, True, True),
        ("localhost:7860", "http://localhost:7860", True, True),
        ("[::1]:7860", None, True, True),
        ("127.0.0.1:7860", "http://127.0.0.1:9999", True, False),
        ("127.0.0.1:7860", "null", True, False),
        ("evil.example:7860", "http://evil.example:7860", True, False),  # its name points to us
        ("abc.gradio.live", "https://abc.gradio.live", False, True),
        ("abc.gradio.live", "https://evil.example", False, False),
        ("[x", None, True, False),  # no address
        ("abc.gradio.live", "https://[x", False, False),
    ],
)
def test_where_a_request_may_come_from(
    host: str, origin: str | None, loopback: bool, fine: bool
) -> None:
    headers = {"host": host} | ({"origin": origin} if origin else {})
    assert from_our_page(headers, loopback=loopback) is fine


def test_a_password_is_made_up_where_others_can_come() -> None:
    shared = read_options(["--share"])
    made = account(shared)
    assert made is not None
    assert len(made[1]) >= 12
    assert made != account(shared)
    assert account(read_options([])) is None
    assert account(read_options(["--auth", "me:a:b"])) == ("me", "a:b")


def test_a_login_without_a_password_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_options(["--auth", "me"])
    assert "argument --auth: a login is written NAME:PASSWORD" in capsys.readouterr().err


def test_what_visitors_may_do() -> None:
    at_home = access_of_visitors(read_options([]))
    assert at_home == Access(change=True, paths=True, originals=True)
    for arguments in (["--share"], ["--host", "0.0.0.0"], ["--host", "192.168.1.5"]):
        access = access_of_visitors(read_options(arguments))
        assert access == Access(change=False, paths=False, originals=False)
    trusting = access_of_visitors(read_options(["--share", "--allow-changes"]))
    assert trusting == Access(change=True, paths=False, originals=False)
    assert not access_of_visitors(read_options(["--kiosk"])).change


def test_no_share_link_is_said_plainly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the relay the page runs on, here only, still behind its password."""

    def unreachable(*_: object) -> str:
        raise RuntimeError("no way to the relay")

    monkeypatch.setattr("gradio.networking.setup_tunnel", unreachable)
    with served(planted_page(tmp_path), "--share") as address:
        assert get(address + "config").status_code == 401
    said = capsys.readouterr().out
    assert "There is no share link: Gradio's relay cannot be reached" in said
    assert re.search(r"Password for visitors: name guest, password \S{12}", said)


def test_a_busy_computer_still_serves_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradio asks its own address and takes three slow seconds for an address that is blocked."""
    monkeypatch.setattr("gradio.networking.url_ok", lambda _: False)
    with served(planted_page(tmp_path)) as address:
        assert get(address + "config").status_code == 200


@pytest.mark.parametrize("with_", [["--share"], ["--host", "0.0.0.0"], ["--auth", "a:b"]])
def test_assistants_only_at_this_computer(
    with_: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Gradio's MCP server answers without the login, so the two never go together."""
    with pytest.raises(SystemExit):
        read_options(["--mcp", *with_])
    assert "--mcp serves this computer only" in capsys.readouterr().err


def test_assistants_find_three_tools_and_use_them(page: Page) -> None:
    async def talk(address: str) -> tuple[list[Tool], str]:
        async with (
            streamablehttp_client(address + "gradio_api/mcp/") as (reading, writing, _),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            tools = await session.list_tools()
            answer = await session.call_tool("search", {"query": GOAL, "top": 1})
            (said,) = answer.content
            assert isinstance(said, TextContent)
            return tools.tools, said.text

    # In a thread of its own: the browser tests may have a loop in this one.
    with served(page, "--mcp") as address, ThreadPoolExecutor(1) as aside:
        tools, text = aside.submit(asyncio.run, talk(address)).result()
    assert {tool.name for tool in tools} == {"search", "list_videos", "clip"}
    assert all(len(tool.description or "") > 30 for tool in tools)
    (search,) = (tool for tool in tools if tool.name == "search")
    assert "best first, with times" in (search.description or "")
    assert search.inputSchema["properties"]["query"]["description"].endswith("written:exit.")
    assert "party.mp4" in text


# Other ways to ask


def test_more_like_this_moment(page: Page) -> None:
    like = page.viewer.like(1, 6.0, 10.0)
    best = like["moments"][0]
    assert best["video"] == 2
    assert 11 <= best["start"] < best["end"] <= 17
    with pytest.raises(PageError, match="no video 99"):
        page.viewer.like(99, 0, 1)


def test_each_word_is_explained_alone(page: Page) -> None:
    explained = page.viewer.explain("a dog runs on the beach", 1)["words"]
    assert [entry["word"] for entry in explained] == ["dog", "runs", "beach"]
    for entry in explained:
        assert len(entry["strength"]) == 20
        assert all(0 <= value <= 1 for value in entry["strength"])
        # Each value is what a search for this word alone would show.
        alone = page.viewer.curve(entry["word"], 1)["strength"]
        assert entry["strength"] == alone


def test_what_each_word_adds(page: Page) -> None:
    """The strength of the whole question, less that without the word, second by second."""
    added = page.viewer.explain(DOG, 1)["added"]
    assert [entry["word"] for entry in added] == ["dog", "runs", "beach"]
    whole = np.array(page.viewer.curve(DOG, 1)["strength"])
    without = np.array(page.viewer.curve("a dog on the beach", 1)["strength"])
    assert added[1]["strength"] == pytest.approx((whole - without).tolist(), abs=0.0011)
    assert page.viewer.explain("dog", 1)["added"] == []  # nothing is left to compare it with
    assert page.viewer.explain("a dog AND a goal", 1)["added"] == []


def test_near_words_come_with_the_error(address: str) -> None:
    asked = {"query": "beachh"}
    reply = call_page(visit(base_url=address), "search", asked)
    assert "no known word" in reply["error"]
    assert reply["unknown"][0]["word"] == "beachh"
    assert "beach" in reply["unknown"][0]["near"]
    assert "unknown" not in call_page(visit(base_url=address), "search", {"query": "AND a dog"})


@pytest.mark.parametrize("picture", ["", "bm8gcGljdHVyZQ==", "%%%", "x" * 9_000_000])
def test_what_is_no_picture_is_said(address: str, picture: str) -> None:
    reply = call_page(visit(base_url=address), "picture", {"picture": picture})
    assert "picture" in reply["error"]


# What the documentation promises


def documented(language: str) -> str:
    text = Path("docs/PAGE.md").read_text()
    return str(re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)[0])


def test_the_documented_python_runs(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = documented("python").replace("http://127.0.0.1:7860/", address)
    exec(code, {})  # noqa: S102  # our own page of documents
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("strong party.mp4 1")
    assert get(said[1]).headers["content-type"] == "video/mp4"


def test_the_documented_curl_runs(address: str) -> None:
    for command in documented("sh").strip().splitlines():
        line = command.replace("http://127.0.0.1:7860/", address)
        done = subprocess.run(["sh", "-c", line], capture_output=True, check=True)
        assert json.loads(done.stdout)["data"][0], line


def test_the_demo_offers_what_the_readme_names() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| \w+ \| \d", Path("README.md").read_text(), re.MULTILINE)
    assert tuple(rows) == QUERIES


def test_every_option_is_documented() -> None:
    text = Path("docs/PAGE.md").read_text()
    for option in vars(read_options([])):
        assert f"--{option.replace('_', '-')}" in text, option
