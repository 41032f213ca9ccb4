"""An index on a real Milvus server answers as the one on this computer does, hit for hit."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.index_types import Kind, compare
from tests.support.planted import plant, random_rows, tiny_model, write_file
from tests.support.servers import Milvus, ObjectStore, Postgres
from vmr.library.locks import AwayError
from vmr.library.scope import Scope
from vmr.library.store import Library, LibraryError, Rating
from vmr.model.retrieval import RetrievalModel
from vmr.search.clips import Index, windows_of
from vmr.search.index import ClipIndex
from vmr.search.index_address import IndexAddress
from vmr.search.indexes import about, open_index, place, rebuild
from vmr.search.recall import measure
from vmr.search.searcher import Searcher

pytestmark = pytest.mark.cluster
LENGTHS = (150, 3, 64, 65, 1, 300)
QUESTIONS = (
    "a dog runs on the beach",
    "somebody opens a door THEN a cup falls",
    "a red car NOT people",
)


@pytest.fixture(scope="module")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milvus]:
    folder = tmp_path_factory.mktemp("milvus")
    with pytest.MonkeyPatch.context() as patch, Milvus(folder, patch) as server:
        yield server


@pytest.fixture(scope="module")
def model() -> RetrievalModel:
    return tiny_model()


Open = Callable[[], Library]


@pytest.fixture
def opened(
    servers: tuple[Postgres, ObjectStore], milvus: Milvus, tmp_path: Path, noted: Path
) -> Iterator[Open]:
    """Opens a library whose index lies on the server, as another machine would."""
    postgres, objects = servers
    address, store = postgres.database(), objects.bucket()
    libraries = [Library(address, store=store)]
    place(libraries[0], milvus.address)

    def open_() -> Library:
        libraries.append(Library(address))
        return libraries[-1]

    yield open_
    place(libraries[0], "here")
    for library in libraries:
        library.close()


@pytest.fixture
def library(opened: Open, tmp_path: Path) -> Library:
    library = opened()
    for number, length in enumerate(LENGTHS):
        plant(library, tmp_path / f"{number % 2}" / f"{number}.mp4", random_rows(length, number))
    return library


def test_every_answer_is_that_of_the_index_on_this_computer(
    library: Library, model: RetrievalModel
) -> None:
    there, here = open_index(library, model), ClipIndex.open(library, model)
    assert type(there) is not type(here)
    assert (len(there), there.count(), there.change) == (len(here), here.count(), here.change)
    ids = [video.id for video in library.videos()]
    for videos in (None, set(ids[:2]), [ids[3]], [10_000], []):
        assert there.count(videos) == here.count(videos)
        for vector in np.random.default_rng(0).normal(size=(2, model.width)).astype(np.float32):
            for count in (10, 1000):
                _same(there, here, vector, count, videos)
    assert there.compare_all(vector, 20) == here.compare_all(vector, 20)
    assert measure(there, model, queries=5).least == 1.0
    for id in ids:
        np.testing.assert_array_equal(there.vectors(id), here.vectors(id))
        np.testing.assert_array_equal(there.vectors(id, 63, 65), here.vectors(id, 63, 65))
        for name in ("starts", "ends", "cuts"):
            own, other = getattr(there.row_times(id), name), getattr(here.row_times(id), name)
            np.testing.assert_array_equal(own, other)
        for own, other in zip(
            windows_of(there, id, [0, 64]), windows_of(here, id, [0, 64]), strict=True
        ):
            np.testing.assert_array_equal(own.clips, other.clips)
            assert (own.first, own.length) == (other.first, other.length)
    assert (ids[0] in there, 10_000 in there) == (True, False)
    for ask in (there.vectors, there.row_times):
        with pytest.raises(LibraryError, match="not in the index"):
            ask(10_000)


def _same(
    there: Index, here: Index, vector: np.ndarray, count: int, videos: list[int] | set[int] | None
) -> None:
    own, other = (
        there.nearest(vector, count, videos=videos),
        here.nearest(vector, count, videos=videos),
    )
    assert own[0].tolist() == other[0].tolist()
    assert own[1].tolist() == other[1].tolist()
    np.testing.assert_allclose(own[2], other[2], rtol=1e-5, atol=1e-5)


def test_answers_are_those_of_the_index_on_this_computer_hit_for_hit(
    library: Library, model: RetrievalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Searcher(library, model)
    monkeypatch.setattr("vmr.search.searcher.open_index", ClipIndex.open)
    here = Searcher(library, model)
    first = library.videos()[0].id
    library.rate(Rating("a dog runs on the beach", first, 3.0, 9.0, True))
    for text in QUESTIONS:
        for among in (None, Scope(folder=tmp_path / "1"), [first]):
            answer = there.search(text, among=among, top=50)
            assert answer == here.search(text, among=among, top=50)
            assert answer.moments
        np.testing.assert_array_equal(
            there.strength_curve(text, first), here.strength_curve(text, first)
        )
    assert there.like(first, 3.0, 9.0) == here.like(first, 3.0, 9.0)
    np.testing.assert_array_equal(there.window(first, 100.0).clips, here.window(first, 100.0).clips)


def test_another_machine_follows_and_puts_nothing_there_twice(
    library: Library,
    opened: Open,
    model: RetrievalModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = open_index(library, model)
    other = opened()
    second = open_index(other, model)
    added: list[int] = []
    rows = type(first._rows)  # type: ignore[attr-defined]
    add = rows.add

    def counted(self: object, video: int, *what: object) -> None:
        added.append(video)
        add(self, video, *what)

    monkeypatch.setattr(rows, "add", counted)
    came = plant(library, tmp_path / "new.mp4", random_rows(70, 99))
    for index in (second, first):
        index.sync()
        assert came in index
    assert added == [came]
    vector = np.random.default_rng(1).normal(size=model.width).astype(np.float32)
    _same(first, second, vector, 500, None)
    gone = library.videos()[0].id
    other.remove(gone)
    for index in (first, second):
        index.sync()
        assert gone not in index
        assert gone not in index.nearest(vector, 1000)[0].tolist()
    changed = library.videos()[0]
    with library.catalogue.transaction() as statements:
        statements.execute("UPDATE videos SET full = 'other' WHERE id = ?", (changed.id,))
    library.mark(changed.id, "new")
    first.sync()
    assert changed.id not in first
    library.mark(changed.id, "ready")
    second.sync()
    first.sync()
    _same(first, ClipIndex.open(other, model), vector, 500, None)
    assert added == [came, changed.id]
    names = library.blobs.sizes("clips/")
    assert len(names) == 2 * len(library.videos())


def test_what_a_killed_machine_left_half_is_made_whole(
    library: Library, opened: Open, model: RetrievalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vmr.search.milvus import MilvusRows

    ask = MilvusRows._ask

    def killed(self: MilvusRows, what: str, **how: object) -> object:
        if what == "insert" and how["data"][0]["rows"]:  # type: ignore[index]
            raise KeyboardInterrupt  # before the first row, which comes last
        return ask(self, what, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(MilvusRows, "_ask", killed)
    with pytest.raises(KeyboardInterrupt):
        open_index(library, model)
    monkeypatch.setattr(MilvusRows, "_ask", ask)
    other = opened()
    vector = np.random.default_rng(2).normal(size=model.width).astype(np.float32)
    _same(open_index(other, model), ClipIndex.open(other, model), vector, 1000, None)


def test_damage_in_the_store_is_made_good_or_said(
    library: Library, opened: Open, model: RetrievalModel
) -> None:
    open_index(library, model)
    sizes = library.blobs.sizes("clips/")
    for number, key in enumerate(sizes):
        if number % 3 == 0:
            library.blobs.delete([key])
        elif number % 3 == 1:
            content = bytearray(library.blobs.get(key))
            content[number % len(content)] ^= 1
            library.blobs.put(key, bytes(content))
    other = opened()
    there, here = open_index(other, model), ClipIndex.open(other, model)
    for video in other.videos():
        np.testing.assert_array_equal(there.vectors(video.id), here.vectors(video.id))
    assert library.blobs.sizes("clips/") == sizes


def test_it_is_dropped_and_made_again(
    library: Library, opened: Open, model: RetrievalModel, milvus: Milvus
) -> None:
    index = open_index(library, model)
    known = index.nearest(np.ones(model.width, np.float32), 50)
    index._rows.delete([library.videos()[0].id])  # type: ignore[attr-defined]
    again = rebuild(opened(), model)
    for own, other in zip(again.nearest(np.ones(model.width, np.float32), 50), known, strict=True):
        np.testing.assert_array_equal(own, other)
    assert "Milvus 2.3.5" in about(library)
    assert "root:" not in about(library)
    place(library, "here")
    assert library.blobs.sizes("clips/") == {}
    assert about(library) == ""
    assert isinstance(open_index(library, model), ClipIndex)
    place(library, milvus.address)
    assert len(open_index(library, model)) == sum(LENGTHS)


def test_rows_of_no_video_take_nobodys_place(
    library: Library, opened: Open, model: RetrievalModel
) -> None:
    """A machine that is killed while it takes a video away may leave some of its rows."""
    index, vector = open_index(library, model), np.ones(model.width, np.float32)
    video = 1 << 20
    left = [
        {"key": (video << 32) + row, "video": video, "name": 0, "rows": 0, "vector": 9 * vector}
        for row in range(1, 90)
    ]
    index._rows._ask("insert", data=left)  # type: ignore[attr-defined]
    for count in (1, 30, 1000):
        _same(open_index(opened(), model), ClipIndex.open(library, model), vector, count, None)


def test_rows_that_are_missing_are_no_answer(
    library: Library, opened: Open, model: RetrievalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmr.search.milvus.PATIENCE", (0.1,))
    index, vector = open_index(library, model), np.ones(model.width, np.float32)
    rows = index._rows  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setattr(rows._client, "search", lambda *_, **__: rows._client.query("none such"))
        with pytest.raises(AwayError, match="does not answer"):
            index.nearest(vector, 5)
    index.nearest(vector, 5)
    last = library.videos()[0].id * (1 << 32) + LENGTHS[0] - 1
    rows._ask("delete", ids=[last])
    with pytest.raises(AwayError, match=f"has {sum(LENGTHS) - 1} of {sum(LENGTHS)} rows.*rebuild"):
        open_index(opened(), model)
    rows._was_away = True
    with pytest.raises(AwayError, match="rows"):
        index.nearest(vector, 5)
    assert len(rebuild(opened(), model)) == sum(LENGTHS)


def test_types_of_index_are_compared(milvus: Milvus) -> None:
    """Of rows enough that the server makes an index at all; one that it does not know is said."""
    rows = np.random.default_rng(4).normal(size=(1500, 16)).astype(np.float32)
    kinds = [Kind("FLAT"), Kind("IVF_FLAT", {"nlist": 8}, "nprobe", (8,)), Kind("MADE_UP")]
    from vmr.search.milvus import connect

    client = connect(IndexAddress.read(milvus.address))
    head, _, flat, whole, unknown = compare(client, rows, rows[:5], kinds)
    assert head == "| 1,500 rows, 5 questions | as they are | norms equal |"
    for line, name in ((flat, "FLAT"), (whole, "IVF_FLAT nlist 8 nprobe 8")):
        assert line.startswith(f"| {name} | 1.000, ")
        assert line.count("1.000") == 2
    assert unknown.startswith("| MADE_UP | ")
    assert "ms" not in unknown


def test_who_may_not_gets_one_line(
    library: Library, milvus: Milvus, model: RetrievalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILVUS_TOKEN", "root:not to be seen")
    with pytest.raises(AwayError, match="MILVUS_TOKEN") as said:
        open_index(library, model)
    assert "not to be seen" not in str(said.value)
    monkeypatch.setenv("MILVUS_TOKEN", "root:Milvus")
    with pytest.raises(LibraryError, match="password"):
        place(library, "milvus://me:secret@127.0.0.1/x")
    assert IndexAddress.read(milvus.address).encrypted
    assert len(open_index(library, model)) == sum(LENGTHS)


def test_a_server_that_is_gone_answers_nothing_wrong(
    library: Library, milvus: Milvus, model: RetrievalModel, tmp_path: Path
) -> None:
    """The last one: the server is killed."""
    searcher = Searcher(library, model)
    assert searcher.search("a dog").moments
    milvus.kill()
    with pytest.raises(AwayError, match="does not answer"):
        searcher.search("a dog")
    with pytest.raises(AwayError, match="answer"):
        open_index(library, model)
    write_file(tmp_path / "late.mp4")
    place(library, "here")
    assert Searcher(library, model).search("a dog").moments
