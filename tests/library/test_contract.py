"""What a library does, whatever it lies on: a folder, or a PostgreSQL server and an S3 store.

Every test runs over both. Those over servers are marked `cluster`: `make cluster-test` runs them.
"""

import os
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from feature_extract.transcript import TextSpan, Transcript
from feature_extract.video.recording import kilometres
from tests.support.planted import (
    FINGERPRINT,
    plant,
    planted_extraction,
    random_rows,
    tiny_model,
    write_file,
)
from vmr.library.ingest import Ingest
from vmr.library.scope import Near, Scope
from vmr.library.store import Library, LibraryError, Rating
from vmr.search.index import ClipIndex

Open = Callable[[], Library]
SERVERS = pytest.param("servers", marks=pytest.mark.cluster)


@pytest.fixture(params=["folder", SERVERS])
def opened(request: pytest.FixtureRequest, tmp_path: Path, noted: Path) -> Iterator[Open]:
    """Opens the same library again and again."""
    if request.param == "folder":
        place, store = tmp_path / "library", ""
    else:
        postgres, objects = request.getfixturevalue("servers")
        place, store = postgres.database(), objects.bucket()
    libraries: list[Library] = []

    def open_() -> Library:
        libraries.append(Library(place, store=store if not libraries else ""))
        return libraries[-1]

    yield open_
    for library in libraries:
        library.close()


@pytest.fixture
def library(opened: Open) -> Library:
    return opened()


def test_what_is_stored_comes_back_and_goes(library: Library, opened: Open, tmp_path: Path) -> None:
    rows = random_rows(5, 1)
    id = plant(library, tmp_path / "a.mp4", rows)
    other = plant(library, tmp_path / "b.mp4", random_rows(3, 2))
    again = opened()
    video = again.video(id)
    assert (video.state, video.rows, video.fps, video.codec) == ("ready", 5, 25.0, "h264")
    assert video.path == tmp_path / "a.mp4"
    assert np.array_equal(again.features(id).rows, rows)
    assert again.thumbnails(id, [4, 0]) == [b"jpeg 4", b"jpeg 0"]
    assert again.fingerprint == FINGERPRINT
    with pytest.raises(LibraryError, match="no thumbnail"):
        again.thumbnails(id, [5])
    library.remove(id)
    assert [video.id for video in again.videos()] == [other]
    for gone in (id, 0, 1 << 70):
        with pytest.raises(LibraryError, match=f"no video {gone}"):
            again.video(gone)
    with pytest.raises(LibraryError):
        again.thumbnails(id, [0])
    assert plant(again, tmp_path / "c.mp4", rows) > other  # no id is used twice


def test_a_file_is_known_by_what_it_holds(library: Library, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b'/\xff it\'s 100% ? "end".mp4'
    first = library.register(write_file(Path(os.fsdecode(name)), b"film"))
    copy = library.register(write_file(tmp_path / "copy.mp4", b"film"))
    assert copy.id == first.id
    assert {copy.path, *copy.also} == {first.path, tmp_path / "copy.mp4"}
    first.path.unlink()
    library.check_presence()
    assert library.video(first.id).path == tmp_path / "copy.mp4"
    (tmp_path / "copy.mp4").unlink()
    library.check_presence()
    assert library.video(first.id).state == "missing"
    moved = library.register(write_file(tmp_path / "moved.mp4", b"film"))
    assert (moved.id, moved.also) == (first.id, ())
    write_file(tmp_path / "moved.mp4", b"another")
    assert library.register(tmp_path / "moved.mp4").id != first.id
    library.drop_unnamed()
    assert [video.path for video in library.videos()] == [tmp_path / "moved.mp4"]


def test_united_videos_keep_all_names(library: Library, tmp_path: Path) -> None:
    content = b"x" * (1 << 20)
    first = library.register(write_file(tmp_path / "a.mp4", content))
    library.store(first.id, planted_extraction(random_rows(2, 0)), full="digest")
    os.utime(write_file(tmp_path / "b.mp4", content), ns=(1, 1))
    second = library.register(tmp_path / "b.mp4", compare=False)
    assert second.id != first.id
    assert library.doubtful(second.id)
    assert library.unite(second.id, "digest").id == first.id
    assert library.video(first.id).also == (tmp_path / "b.mp4",)


def test_changes_are_told_once_and_in_order(library: Library, tmp_path: Path) -> None:
    first = plant(library, tmp_path / "a.mp4", random_rows(2, 0))
    second = plant(library, tmp_path / "b.mp4", random_rows(2, 1))
    seen = library.changes()
    assert {video.id for video in seen.videos} == {first, second}
    assert library.has_change(seen.number)
    assert not library.changes(seen.number)
    library.mark(first, "refused", "because")
    library.remove(second)
    after = library.changes(seen.number)
    assert [video.reason for video in after.videos] == ["because"]
    assert after.gone == (second,)
    one = library.changes(at_most=1)
    assert [*one.gone, *(video.id for video in one.videos)] == [first]


def test_no_change_is_missed_while_many_write(
    library: Library, opened: Open, tmp_path: Path
) -> None:
    files = [write_file(tmp_path / f"{number}.mp4") for number in range(12)]
    done = threading.Event()
    known: dict[int, str] = {}

    def follow() -> None:
        reader, number, last = opened(), 0, False
        while not last:
            last = done.is_set()
            while changes := reader.changes(number):
                assert changes.number > number
                number = changes.number
                known.update({video.id: video.reason for video in changes.videos})

    def write(library: Library, files: list[Path]) -> None:
        for file in files:
            library.mark(library.register(file).id, "refused", file.name)

    writers = [threading.Thread(target=write, args=(opened(), files[at::3])) for at in range(3)]
    reader = threading.Thread(target=follow)
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert known == {video.id: video.reason for video in library.videos()}
    assert set(known.values()) == {file.name for file in files}


def test_a_part_of_a_library(library: Library, tmp_path: Path) -> None:
    places = ("berlin/a", "paris/b", "Me\u0301xico/c")
    ids = [plant(library, tmp_path / f"{name}.mp4", random_rows(9, 0)) for name in places]
    db = library.catalogue
    said = ((1e9, 60, 52.52, 13.405, "GoPro", "GoPro Hero"), (2e9, None, 48.85, 2.35, "Sony", "A7"))
    with db.transaction() as statements:
        for id, values in zip(ids, said, strict=False):
            statements.execute(
                "UPDATE videos SET recorded = ?, recorded_offset = ?, latitude = ?, longitude = ?, "
                "make = ?, model = ? WHERE id = ?",
                (*values, id),
            )

    def within(**scope: object) -> list[int]:
        return sorted(ids.index(id) for id in library.within(Scope(**scope)))  # type: ignore[arg-type]

    assert within() == [0, 1, 2]
    assert within(folder=tmp_path / "paris") == [1]
    assert within(folder=tmp_path / "par") == []
    assert within(folder=tmp_path / "M\u00e9xico") == [2]
    assert within(min_length=9) == [0, 1, 2]
    assert within(min_length=9.5) == []
    assert within(since=0, until=1e12) == [0, 1, 2]
    assert within(until=1) == []
    assert within(camera="gopro hero") == [0]
    assert within(camera="sony a7") == [1]
    assert within(camera="gopro gopro") == []
    assert within(recorded_until=datetime(2010, 1, 1)) == [0]
    assert within(near=Near(52.5, 13.4, 20)) == [0]
    apart = kilometres(52.52, 13.405, 48.85, 2.35)
    assert within(near=Near(52.52, 13.405, apart + 1e-6)) == [0, 1]
    assert within(near=Near(52.52, 13.405, apart - 1e-6)) == [0]
    assert library.recordings.silent().place == 1


def test_ratings_folders_and_settings(library: Library, opened: Open, tmp_path: Path) -> None:
    id = plant(library, tmp_path / "a.mp4", random_rows(9, 0))
    library.rate(Rating("a dog", id, 1.0, 2.0, True))
    library.rate(Rating("a dog", id, 1.5, 3.0, False))
    library.rate(Rating("a cat", id, 1.5, 3.0, True))
    assert opened().ratings() == [
        Rating("a dog", id, 1.5, 3.0, False),
        Rating("a cat", id, 1.5, 3.0, True),
    ]
    library.withdraw(Rating("a dog", id, 0.0, 9.0, True))
    assert [rating.query for rating in library.ratings()] == ["a cat"]
    for _ in range(2):
        library.remember(tmp_path)
    assert library.folders() == [tmp_path]
    library.settings.set("what", "said ?%s 'it'")
    library.settings.set("what", "said ?%s 'again'")
    assert opened().settings.get("what") == "said ?%s 'again'"
    library.settings.set("what", "")
    assert library.settings.get("what") == ""
    with pytest.raises(LibraryError, match="other networks"):
        library.adopt("planted-2")
    library.adopt("planted-2", reindex=True)
    assert library.video(id).state == "new"
    library.remove(id)
    assert library.ratings() == []


def _said(*texts: str) -> Transcript:
    spans = tuple(TextSpan(20.0 * n, 20.0 * n + 9, text) for n, text in enumerate(texts))
    return Transcript("said", "made up", "en", spans)


def test_words_are_found_alike(library: Library, tmp_path: Path) -> None:
    film, other = (plant(library, tmp_path / f"{n}.mp4", random_rows(99, n)) for n in range(2))
    told = library.transcripts
    told.replace(film, _said("thank you very much", "the exits are closed", "cats and dogs"))
    told.replace(other, _said("Un caf\u00e9 l\\'\u00e9t\u00e9", "\u65e5\u672c\u8a9e \u3067\u3059"))
    written = Transcript("written", "made up", None, (TextSpan(0.0, 1.0, "EXIT only"),))
    told.replace(other, written)

    def found(*terms: str, **only: object) -> list[tuple[int, str]]:
        return sorted({(p.video, p.sense) for p in told.search(terms, **only)})  # type: ignore[arg-type]

    assert found("thank you") == [(film, "said")]
    assert found("you thank") == []
    assert found("exit") == [(film, "said"), (other, "written")]
    assert found("exit", sense="written") == [(other, "written")]
    assert found("ex*", sense="said") == [(film, "said")]
    assert found("dog", "very") == [(film, "said")]
    assert found("cafe") == [(other, "said")]
    assert found("l'ete") == [(other, "said")]
    assert found("\u672c\u8a9e") == [(other, "said")]
    assert found("exit", scope={film}) == [(film, "said")]
    assert found("unheard", "dog") == [(film, "said")]
    assert found("-") == []
    near = told.near([["thank", "much"], ["exit", "dog"]], sense="said")
    assert [passage.video for passage in near] == [film, film]
    assert told.near([["exit", "unheard"]]) == []
    assert told.count("exit") == 3  # two passages share a span
    assert told.of(other, "written") == written
    assert [span.text for span in told.between(film, "said", 19.0, 30.0)] == [
        "the exits are closed"
    ]
    assert told.passages() == 4
    told.replace(film, _said("nothing"))
    assert found("thank you") == []
    library.remove(other)
    assert found("exit") == []
    with pytest.raises(LibraryError, match="no video"):
        told.replace(other, _said("late"))
    assert told.known() == {film: {"said": "made up"}}


def test_words_wanted_and_looked_for(library: Library, tmp_path: Path) -> None:
    library.words.settle()
    assert library.words.wanted().speech == "tiny.en"
    id = plant(library, tmp_path / "a.mp4", random_rows(9, 0))
    assert library.words.left("said") == [id]
    library.words.record(id, "said", None, "it failed", model="tiny.en")
    library.words.record(id, "said", None, "it failed again", model="tiny.en")
    assert library.words.looks()[id]["said"].reason == "it failed again"
    assert library.words.left("said") == []
    library.words.forget_failures()
    assert library.words.left("said") == [id]
    library.words.record(id, "said", _said("hello"), "", model="tiny.en")
    library.words.want(speech="small")
    assert library.words.left("said") == [id]


def test_a_transaction_is_kept_whole_or_not_at_all(library: Library, tmp_path: Path) -> None:
    id = plant(library, tmp_path / "a.mp4", random_rows(2, 0))
    before = library.changes().number

    def half() -> None:
        with library.catalogue.transaction():
            library.mark(id, "refused", "half")
            library.settings.set("half", "done")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert library.video(id).state == "ready"
    assert library.settings.get("half") == ""
    assert library.changes().number == before
    with pytest.raises(LibraryError), library.catalogue.transaction() as statements:
        statements.execute("INSERT INTO paths (path, video) VALUES (?, ?)", (b"x", 1 << 40))
    library.mark(id, "refused", "whole")
    assert library.video(id).reason == "whole"


def test_a_lock_is_held_by_one(library: Library, opened: Open) -> None:
    other = opened()
    with library.exclusive() as alone:
        assert alone
        with other.exclusive() as second, other.lock("words") as words:
            assert (second, words) == (False, True)
    with other.exclusive() as alone:
        assert alone


def test_what_nobody_indexes_any_more_waits_again(
    library: Library, opened: Open, tmp_path: Path
) -> None:
    id = library.register(write_file(tmp_path / "a.mp4")).id
    library.mark(id, "indexing", progress=0.5)
    with library.exclusive():
        assert opened().video(id).state == "indexing"
    assert opened().video(id).state == "new"


def test_damaged_features_are_read_again(library: Library, tmp_path: Path) -> None:
    id = plant(library, tmp_path / "a.mp4", random_rows(5, 0))
    key = f"features/{id}.safetensors"
    content = bytearray(library.blobs.get(key))
    content[-1] ^= 1
    library.blobs.put(key, bytes(content))
    with pytest.raises(LibraryError, match="damaged"):
        library.features(id)
    assert library.video(id).state == "new"
    plant(library, tmp_path / "a.mp4", random_rows(5, 0))
    library.blobs.delete([key])
    with pytest.raises(LibraryError):
        library.features(id)
    assert library.video(id).state == "new"


def test_blobs(library: Library) -> None:
    blobs, key = library.blobs, "features/7.safetensors"
    content = bytes(range(256)) * 3000
    for sent in (b"", content):
        blobs.put(key, sent)
        assert blobs.get(key) == sent
    assert blobs.get_range(key, 255, 258) == content[255:258]
    assert blobs.get_range(key, len(content) - 2, len(content) + 9) == content[-2:]
    assert blobs.sizes("features/") == {key: len(content)}
    assert blobs.sizes("thumbnails/") == {}
    with blobs.open(key) as file:
        for at in (700_000, 1 << 18, 5):
            file.seek(at)
            assert file.read(300) == content[at : at + 300]
        assert file.seek(-3, os.SEEK_END) == len(content) - 3
        assert file.read() == content[-3:]
    with blobs.local(key) as copy:
        assert copy.read_bytes() == content
    blobs.delete([key, "features/none.zip"])
    for read in (blobs.get, blobs.open):
        with pytest.raises(FileNotFoundError):
            read(key)
    assert "reads" in blobs.about()
    assert blobs.sizes("features/") == {}


class _Reader:
    fingerprint = FINGERPRINT

    def extract(self, path: Path, *, on_progress: object = None) -> object:
        return planted_extraction(random_rows(4, path.stat().st_size))


def test_the_queue_fills_it_and_a_question_is_answered_alike(
    library: Library, opened: Open, tmp_path: Path
) -> None:
    model = tiny_model()
    empty = opened()
    follower = ClipIndex.open(empty, model)
    sizes = range(40, 52)
    files = [write_file(tmp_path / f"{size}.mp4", b"x" * size) for size in sizes]
    with Ingest(library, _Reader) as ingest:  # type: ignore[arg-type]
        library.words.want(speech="")
        ingest.add(files)
        assert ingest.wait(60)
        assert {job.state for job in ingest.progress().jobs} == {"ready"}
        ingest.add(files)
        assert all(job.skipped for job in ingest.progress().jobs)
    index = ClipIndex.open(library, model)
    follower.sync()
    questions = np.random.default_rng(0).normal(size=(5, model.width)).astype(np.float32)
    for vector in questions:
        ids, rows, scores = index.nearest(vector, 10)
        expected, exact = index.compare_all(vector, 10)
        assert list(zip(ids.tolist(), rows.tolist(), strict=True)) == expected
        assert np.allclose(scores, exact, atol=1e-5)
        followed = follower.nearest(vector, 10)
        for own, other in zip(followed, (ids, rows, scores), strict=True):
            np.testing.assert_array_equal(own, other)
    library.remove(int(ids[0]))
    follower.sync()
    assert int(ids[0]) not in follower.nearest(questions[-1], 48)[0].tolist()
