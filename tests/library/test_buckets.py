"""Films in a bucket, on a real server that speaks S3: read, searched, taken from and looked for
again as files of this computer are, and what is said where that cannot be."""

import json
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from feature_extract.extract import Extraction
from feature_extract.files import cache_folder
from feature_extract.video.frames import VideoError
from tests.page.test_page import ask
from tests.support.command import vmr
from tests.support.media import cup_video
from tests.support.planted import FINGERPRINT, planted_extraction, random_rows
from tests.support.planted_page import real_page, served
from tests.support.servers import SLOW, ObjectStore
from vmr.library import film_cache
from vmr.library.blobs import Entry
from vmr.library.content import FileStamp, NotReadError, full_digest, quick_digest
from vmr.library.engine import LocalEngine
from vmr.library.film_cache import is_kept, local_film
from vmr.library.films import BucketPath, bucket_of, film_path, one_look
from vmr.library.folders import find_videos
from vmr.library.ingest import Ingest
from vmr.library.rescan import missing, rescan
from vmr.library.scope import Scope
from vmr.library.store import Library, LibraryError
from vmr.page.access import Access
from vmr.page.scopes import read_scope

pytestmark = pytest.mark.cluster
LARGE = bytes(range(251)) * 4200
"""More than samples of it tell, and several blocks."""


@pytest.fixture(scope="module")
def objects() -> Iterator[ObjectStore]:
    with pytest.MonkeyPatch.context() as patch, ObjectStore(patch) as store:
        yield store


@pytest.fixture
def folder(objects: ObjectStore, noted: Path) -> BucketPath:
    """s3://BUCKET/moments, empty; the cache of films is, too."""
    path = film_path(objects.bucket())
    assert isinstance(path, BucketPath)
    return path


def put(path: Path, content: bytes = b"film") -> BucketPath:
    assert isinstance(path, BucketPath)
    bucket_of(path).put(path.key, content)
    return path


class Reading:
    """Reads a file of this computer: its rows follow from its length."""

    fingerprint = FINGERPRINT

    def extract(
        self, path: Path, *, on_progress: Callable[[float], None] | None = None
    ) -> Extraction:
        if on_progress is not None:
            on_progress(0.5)
        return planted_extraction(random_rows(4, len(path.read_bytes())))


def library_of(folder: Path) -> Library:
    library = Library(folder)
    library.words.want(speech="")
    return library


def indexed(library: Library, *paths: Path) -> dict[Path, str]:
    """What became of each."""
    with Ingest(library, Reading) as ingest:
        ingest.add(paths)
        assert ingest.wait(60)
        return {job.path: f"{job.state} {job.reason}".strip() for job in ingest.progress().jobs}


def looked_again(library: Library, *paths: Path) -> tuple[str, ...]:
    with Ingest(library, Reading) as ingest:
        found = rescan(library, ingest, paths)
        assert ingest.wait(60)
        return found.problems


def test_an_address_is_a_path(folder: BucketPath) -> None:
    name = 'a b/ü 100% #1? "x" ~[2].mp4'
    path = put(folder / name, LARGE)
    assert str(path) == os.fspath(path) == f"{folder}/{name}"
    assert (path.name, path.parent.parent) == (name[4:], folder)
    assert FileStamp.of(path).size_bytes == len(LARGE)
    with local_film(path) as file:
        assert file.read_bytes() == LARGE
        assert quick_digest(path) == quick_digest(file)
        assert full_digest(path) == full_digest(file)
        assert file.name == "ü 100% #1_ _x_ ~[2].mp4"
    assert read_scope({"folder": str(folder)}, Access()).folder == folder
    for wrong in ("s3://", "s3:///a", "s3://films//a", "s3://films/../a"):
        with pytest.raises(ValueError, match="without empty parts"):
            film_path(wrong)


def test_a_folder_of_a_bucket_is_looked_through(folder: BucketPath) -> None:
    inside = ["a.mp4", "b/c.MKV", "b/d.ts", "b/drafts/e.mp4", "notes.txt", "b/code.ts"]
    for name in [*inside, ".hidden/f.mp4", "b/.g.mp4", "@eaDir/h.mp4"]:
        content = (b"G" + b"x" * 187) * 5 if name == "b/d.ts" else b"film"
        put(folder / name, content)
    put(folder.parent / "moments 2" / "other.mp4")
    passed: list[Path] = []
    found = find_videos([folder], exclude=["drafts/"], passed=passed)
    assert found == [folder / name for name in ("a.mp4", "b/c.MKV", "b/d.ts")]
    assert passed == [folder / "b/code.ts", folder / "notes.txt"]
    assert find_videos([folder / "notes.txt"]) == [folder / "notes.txt"]  # named itself
    with pytest.raises(LibraryError, match="gone: no such object or folder"):
        find_videos([folder / "gone"])


def test_films_come_move_change_and_go(folder: BucketPath, tmp_path: Path) -> None:
    library = library_of(tmp_path / "library")
    first, second = put(folder / "a.mp4", b"first"), put(folder / "b.mp4", b"second")
    assert looked_again(library, folder) == ()
    assert library.folders() == [folder]
    assert [(v.path, v.state, v.size_bytes) for v in library.videos()] == [
        (first, "ready", 5),
        (second, "ready", 6),
    ]
    ids = [video.id for video in library.videos()]
    assert sorted(library.within(Scope(folder=folder))) == ids
    assert library.within(Scope(folder=folder.parent / "mom")) == []
    put(folder / "a.mp4", b"first")  # written again, the same
    bucket_of(folder).delete(second.key)
    put(folder / "deep" / "c.mp4", b"second")  # moved
    third = put(folder / "d.mp4", b"third film")
    assert looked_again(library) == ()
    assert {v.path: v.id for v in library.videos()} == {
        first: ids[0],
        folder / "deep" / "c.mp4": ids[1],
        third: ids[1] + 1,
    }
    put(first, b"another film by now")
    bucket_of(folder).delete(third.key)
    looked_again(library)
    assert [v.path for v in missing(library)] == [third]
    assert ids[0] not in {v.id for v in library.videos()}
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(b"second")
    assert indexed(library, copy) == {copy: "ready"}
    assert {library.video(ids[1]).path, *library.video(ids[1]).also} == {
        copy,
        folder / "deep" / "c.mp4",
    }


def test_a_look_asks_the_store_once_for_a_film(
    folder: BucketPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = library_of(tmp_path / "library")
    inside, alone = put(folder / "in" / "a.mp4", LARGE), put(folder / "b.mp4")
    assert looked_again(library, folder / "in") == ()
    assert indexed(library, alone) == {alone: "ready"}
    put(folder / "in" / "c.mp4", LARGE[:-1])
    asked = counted(monkeypatch)
    assert looked_again(library) == ()
    states = {video.path.name: video.state for video in library.videos()}
    assert states == {"a.mp4": "ready", "b.mp4": "ready", "c.mp4": "ready"}
    # Those in the folder are known by its list. The new one is looked at again where it is fetched,
    # and when it has been read.
    assert asked == Counter({alone.key: 1, (folder / "in" / "c.mp4").key: 2})
    with one_look():
        stamp = FileStamp.of(inside)
        put(inside, LARGE[::-1])
        assert FileStamp.of(inside) == stamp
        with pytest.raises(NotReadError, match="replaced meanwhile"):
            quick_digest(inside)
    assert FileStamp.of(inside) != stamp


def counted(patch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a store is asked for what it knows of an object, by its key, from now on."""
    from vmr.library.bucket import Bucket

    asked, entry = Counter[str](), Bucket.entry

    def counting(self: Bucket, key: str) -> Entry:
        asked[key] += 1
        return entry(self, key)

    patch.setattr(Bucket, "entry", counting)
    return asked


def test_a_store_that_is_away_makes_nothing_missing(
    folder: BucketPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmr.library.bucket.RETRY_SECONDS", 0.5)
    library = library_of(tmp_path / "library")
    path = put(folder / "a.mp4")
    assert indexed(library, path) == {path: "ready"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")  # nobody is there
    with pytest.raises(LibraryError, match="no answer"):
        looked_again(library)
    assert library.videos()[0].state == "ready"
    (said,) = indexed(library, folder / "new.mp4").values()
    assert said.startswith("waiting could not be read now (no answer (")


def test_why_a_film_is_not_read_is_one_line(
    folder: BucketPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = library_of(tmp_path / "library")
    gone, nowhere = folder / "gone.mp4", BucketPath("s3://no-such-bucket/a.mp4")
    said = indexed(library, gone)
    assert said == {gone: "waiting could not be read now (no such object)"}
    assert looked_again(library, nowhere.parent) == ("s3://no-such-bucket: no such bucket",)
    path = put(folder / "a.mp4", LARGE)
    with monkeypatch.context() as full:
        full.setattr(film_cache, "FREE_BYTES", 1 << 60)
        assert "have no room in the cache" in indexed(library, path)[path]
    monkeypatch.setattr(film_cache, "PART_BYTES", 1 << 18)

    def replaced(share: float) -> None:
        if share > 0.5:
            put(path, LARGE[::-1])

    with pytest.raises(NotReadError, match="it was replaced meanwhile"), local_film(path, replaced):
        raise AssertionError("no film of two halves")

    class Broken(Reading):
        def extract(self, path: Path, **_: object) -> Extraction:
            raise VideoError(f"{path}: no picture can be read")

    with Ingest(library, Broken) as ingest:
        ingest.add([path])
        assert ingest.wait(60)
        (job,) = ingest.progress().jobs
    assert (job.state, job.reason) == ("refused", "no picture can be read")


def test_a_fetch_can_be_left(
    folder: BucketPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film_cache, "PART_BYTES", 1 << 18)
    library, path = library_of(tmp_path / "library"), put(folder / "a.mp4", LARGE)
    told: list[float] = []

    def cancel(share: float) -> None:
        told.append(share)
        if len(told) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalEngine(library, Reading).read(1, path, cancel)
    assert told == sorted(told)
    assert 0 < told[-1] < 0.3
    assert not is_kept(path)
    left = [file for file in (cache_folder() / "films").iterdir() if file.suffix != ".lock"]
    assert left == []


def test_films_are_kept_within_a_limit(folder: BucketPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film_cache, "KEPT_BYTES", 250)
    films = [put(folder / f"{n}.mp4", bytes([n]) * 100) for n in range(3)]
    with local_film(films[0]) as first:
        with local_film(films[1]):
            pass
        with local_film(films[0]):  # used again: the other one is the first to go
            pass
        with local_film(films[2]) as third:
            assert third.read_bytes() == bytes([2]) * 100
        assert [is_kept(film) for film in films] == [True, False, True]
        monkeypatch.setattr(film_cache, "KEPT_BYTES", 100)
        with local_film(films[1]):
            pass
        assert [is_kept(film) for film in films] == [False, True, False]
        assert first.read_bytes() == bytes(100)  # whoever uses one has it
    with local_film(put(folder / "large.mp4", bytes(101))) as large:
        assert large.stat().st_size == 101
    assert not is_kept(folder / "large.mp4")


def test_a_store_that_answers_late_or_never_in_part_gives_the_whole_film(
    noted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmr.library.bucket.REQUEST_SECONDS", 1.0)
    monkeypatch.setattr(film_cache, "PART_BYTES", 1 << 18)
    with ObjectStore(monkeypatch, failing_every=3, failing=SLOW) as store:
        path = put(film_path(store.bucket()) / "a.mp4", LARGE)
        library = library_of(tmp_path / "library")
        assert looked_again(library, path.parent) == ()
        (video,) = library.videos()
        assert (video.state, video.full) == ("ready", full_digest_of(LARGE, tmp_path))


def full_digest_of(content: bytes, folder: Path) -> str:
    file = folder / "twin"
    file.write_bytes(content)
    return full_digest(file)


def test_the_commands_and_the_page_from_end_to_end(
    folder: BucketPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cup = tmp_path / "cup.mp4"
    cup_video(cup)
    path = put(folder / "holiday" / "cup.mp4", cup.read_bytes())
    home, away = (tmp_path / name / "library" for name in ("home", "away"))
    for library, source in ((home, cup), (away, folder)):
        vmr("index", str(source), "--library", str(library), "--no-speech")
    answers = [
        json.loads(vmr("search", "a cup of coffee", "--library", str(library), "--json"))
        for library in (home, away)
    ]
    assert answers[1]["moments"][0].pop("path") == str(path)
    assert answers[0]["moments"][0].pop("path") == str(cup)
    assert answers[1]["moments"] == answers[0]["moments"]
    (listed,) = json.loads(vmr("list", "--library", str(library), "--json"))["videos"]
    assert (listed["path"], listed["name"], listed["state"]) == (str(path), "cup.mp4", "ready")
    for target in ("clip.mp4", "list.fcpxml"):
        vmr("export", "1@0-1", "--to", str(tmp_path / target), "--library", str(library))
        assert (tmp_path / target).stat().st_size
    assert str(path) in (tmp_path / "list.fcpxml").read_text()
    checks = json.loads(vmr("doctor", "--library", str(library), "--json", status=None))["checks"]
    (films,) = [check for check in checks if check["name"] == "films"]
    assert films["good"]
    assert f"s3://{folder.bucket} at http://127.0.0.1" in films["finding"]
    plays(library, cup.read_bytes(), counted(monkeypatch))
    assert "0 refused" in vmr("rescan", "--library", str(library), stream="stderr")
    vmr("remove", str(path), "--library", str(library))
    assert json.loads(vmr("list", "--library", str(library), "--json")) == {"videos": []}


def plays(library: Path, content: bytes, asked: Counter[str]) -> None:
    """The page plays a film in ranges, shows stills and previews, and takes clips."""
    with (
        served(real_page(library.parent)) as address,
        httpx.Client(base_url=address, timeout=60) as visitor,
    ):
        whole = visitor.get("media/1")
        assert (whole.status_code, whole.content) == (200, content)
        get = partial(visitor.get, "media/1")
        for span, start, end in (("0-99", 0, 100), ("100-", 100, None), ("-50", -50, None)):
            asked.clear()
            part = get(headers={"Range": f"bytes={span}"})
            assert (part.status_code, part.content) == (206, content[start:end])
            begin = start % len(content)
            last = (end or len(content)) - 1
            assert part.headers["content-range"] == f"bytes {begin}-{last}/{len(content)}"
            assert asked.total() == 1
        assert get(headers={"Range": f"bytes={len(content)}-"}).status_code == 416
        assert visitor.get("still/1/0.5").headers["content-type"] == "image/jpeg"
        assert visitor.get("preview/1", params={"start": 0, "end": 1}).status_code == 200
        moments = json.dumps([{"video": 1, "start": 0, "end": 1}])
        film = visitor.get("export/film.mp4", params={"moments": moments})
        assert film.headers["content-disposition"].startswith("attachment")
        (video,) = ask(visitor, "list").json()["data"][0]["videos"]
        assert video["playable"]
