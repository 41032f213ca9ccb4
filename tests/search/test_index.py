"""The index against brute force in numpy, and its life as a cache."""

import json
import logging
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.support.planted import plant, planted_extraction, random_rows, tiny_model, write_file
from vmr.library.catalogue import Video
from vmr.library.content import full_digest
from vmr.library.store import Library, LibraryError
from vmr.model.retrieval import RetrievalModel
from vmr.model.space import Space
from vmr.search.index import ClipIndex
from vmr.search.parts import PART, Parts
from vmr.search.quantised import QuantisedIndex
from vmr.search.recall import measure

SIZES = (5, 1, 40, 17)
FILES = {"index.clips", "index.times", "index.cuts", "index.json", "index.lock", "index.parts"}


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path / "library")
    for seed, size in enumerate(SIZES):
        plant(library, tmp_path / f"{seed}.mp4", random_rows(size, seed))
    yield library
    library.close()


def clips_of(library: Library, model: RetrievalModel, video: Video) -> NDArray[np.float32]:
    """What the index keeps of a video: float16."""
    clips = model.encode_clips(library.features(video.id).rows)
    return clips.astype(np.float16).astype(np.float32)


def noted_encodings(model: RetrievalModel, patch: pytest.MonkeyPatch) -> list[int]:
    """How many rows the model is given to encode, each time, for as long as the patch holds."""
    encode, counts = model.encode_clips, list[int]()

    def noting(rows: NDArray[np.float16]) -> NDArray[np.float32]:
        counts.append(len(rows))
        return encode(rows)

    patch.setattr(model, "encode_clips", noting)
    return counts


def brute_force(
    library: Library,
    model: RetrievalModel,
    vector: NDArray[np.float32],
    videos: set[int] | None = None,
) -> list[tuple[float, int, int]]:
    """Every clip of every video, compared one by one: (score, video, row), best first."""
    return sorted(
        (
            (float(clip @ vector), video.id, row)
            for video in library.videos()
            if video.searchable and (videos is None or video.id in videos)
            for row, clip in enumerate(clips_of(library, model, video))
        ),
        reverse=True,
    )


def check_against_brute_force(
    index: ClipIndex,
    library: Library,
    model: RetrievalModel,
    seed: int = 0,
    videos: set[int] | None = None,
    count: int = 20,
) -> None:
    vector = np.random.default_rng(seed).normal(size=model.width).astype(np.float32)
    vector /= np.linalg.norm(vector)
    ids, rows, scores = index.nearest(vector, count, videos=videos)
    expected = brute_force(library, model, vector, videos)[:count]
    assert list(zip(ids.tolist(), rows.tolist(), strict=True)) == [e[1:] for e in expected]
    np.testing.assert_allclose(scores, [e[0] for e in expected], atol=1e-5)


@pytest.mark.parametrize("videos", [None, {1}, {2, 4}, {3}, {1, 2, 3, 4}, {99}, set()])
def test_ids_rows_and_scores_equal_brute_force(library: Library, videos: set[int] | None) -> None:
    model = tiny_model()
    index = ClipIndex.open(library, model)
    assert len(index) == sum(SIZES)
    for count in (1, 20, 1000):
        check_against_brute_force(index, library, model, videos=videos, count=count)


@settings(max_examples=15, deadline=None)
@given(changes=st.lists(st.integers(0, 9), min_size=1, max_size=8), seed=st.integers(0, 5))
def test_following_any_changes_equals_a_fresh_index(
    tmp_path_factory: pytest.TempPathFactory, changes: list[int], seed: int
) -> None:
    """Each change adds a video (even) or removes the oldest (odd); the index only follows."""
    folder = tmp_path_factory.mktemp("library")
    library, model = Library(folder), tiny_model()
    index = ClipIndex.open(library, model)
    for step, change in enumerate(changes):
        if change % 2 == 0:
            plant(library, folder / f"files/{step}.mp4", random_rows(change + 1, step))
        elif library.videos():
            library.remove(library.videos()[0].id)
        index.sync()
        check_against_brute_force(index, library, model, seed)
        reopened = ClipIndex.open(library, model)
        check_against_brute_force(reopened, library, model, seed)
    library.close()


def test_vectors_of_one_video(library: Library) -> None:
    model = tiny_model()
    index = ClipIndex.open(library, model)
    for video in library.videos():
        expected, features = clips_of(library, model, video), library.features(video.id)
        np.testing.assert_allclose(index.vectors(video.id), expected, atol=1e-6)
        times = index.row_times(video.id)
        for name in ("starts", "ends", "cuts"):
            np.testing.assert_array_equal(getattr(times, name), getattr(features, name))
    with pytest.raises(LibraryError, match="video 99"):
        index.vectors(99)


def test_seconds_that_could_not_be_read_are_not_found(library: Library, tmp_path: Path) -> None:
    """They repeat the last picture before the damage: a file cut after a minute, with a header that
    promises an hour, would answer with 59 minutes of it."""
    model = tiny_model()
    rows = random_rows(40, 8)
    rows[10:30] = rows[9]
    whole = planted_extraction(rows)
    damaged = replace(whole.features, unreadable=((9.5, 28.5),))
    video = library.register(write_file(tmp_path / "damaged.mp4"))
    library.store(video.id, replace(whole, features=damaged), full="x")
    index = ClipIndex.open(library, model)
    asked = model.as_query(model.encode_clips(rows[9:10])[0])
    _, found, scores = index.nearest(asked, 40, videos={video.id})
    assert set(found[:3].tolist()) == {9, 28, 29}  # the last two reach beyond the damage
    unread = scores[np.isin(found, range(10, 28))]
    np.testing.assert_allclose(unread, -0.25)
    curve = model.curve(index.vectors(video.id), asked)
    assert curve[10:28].max() < 0 < 1 < curve[9]


def test_the_cache_is_used_and_adding_encodes_only_what_is_new(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model()
    ClipIndex.open(library, model)
    encoded = noted_encodings(model, monkeypatch)
    ClipIndex.open(library, model)
    assert encoded == []
    plant(library, tmp_path / "new.mp4", random_rows(7, 9))
    ClipIndex.open(library, model)
    assert encoded == [7]


Damage = Callable[[Path, Path], None]


def damage_cut(file: Path, record: Path) -> None:
    file.write_bytes(file.read_bytes()[:-10])


def damage_flip(file: Path, record: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def damage_gone(file: Path, record: Path) -> None:
    file.unlink()


def damage_record_gone(file: Path, record: Path) -> None:
    record.unlink()


def damage_record_text(file: Path, record: Path) -> None:
    record.write_text("[")


def damage_record_list(file: Path, record: Path) -> None:
    record.write_text("[]")


def damage_counts(file: Path, record: Path) -> None:
    """A record that claims more rows than there are: its own checksum still fits."""
    rewrite_parts(record, lambda log: log["count"].__setitem__(0, log["count"][0] + 5))


def damage_counts_under_the_same_total(file: Path, record: Path) -> None:
    """More rows of one video, less of a later one: all between them would be of another second."""

    def moved(log: NDArray[np.void]) -> None:
        log["count"][0] += 2
        log["row"][1] += 2
        log["row"][2] += 2
        log["count"][2] -= 2

    rewrite_parts(record, moved)


def rewrite_parts(record: Path, change: Callable[[NDArray[np.void]], None]) -> None:
    """Have the list of parts, and its checksum in the record, be what they were not."""
    file, stored = record.with_name("index.parts"), json.loads(record.read_text())
    log = np.fromfile(file, PART)
    change(log)
    log.tofile(file)
    record.write_text(json.dumps(stored | {"checksum": zlib.crc32(log.tobytes())}))


@pytest.mark.parametrize(
    "damage",
    [
        damage_cut,
        damage_flip,
        damage_gone,
        damage_record_gone,
        damage_record_text,
        damage_record_list,
        damage_counts,
        damage_counts_under_the_same_total,
    ],
)
@pytest.mark.parametrize("name", ["index.clips", "index.times"])
def test_a_damaged_cache_is_made_again(
    library: Library, damage: Damage, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny_model()
    ClipIndex.open(library, model)
    file, record = library.folder / name, library.folder / "index.json"
    whole = file.read_bytes()
    damage(file, record)
    caplog.set_level(logging.INFO, "vmr")
    caplog.clear()
    index = ClipIndex.open(library, model)
    said = "no index yet" if damage is damage_record_gone else "made anew"
    assert f"{library.folder}: " in caplog.text
    assert said in caplog.text
    check_against_brute_force(index, library, model)
    assert file.read_bytes() == whole
    assert {p.name for p in library.folder.glob("index.*")} == FILES


def test_another_model_gets_another_index(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    first, other = tiny_model(0), tiny_model(1)
    ClipIndex.open(library, first)
    caplog.set_level(logging.INFO, "vmr")
    ClipIndex.open(library, first)
    assert caplog.text == ""
    check_against_brute_force(ClipIndex.open(library, other), library, other)
    assert f"model {first.fingerprint} and is made anew" in caplog.text


def test_features_that_the_model_does_not_read_are_refused(library: Library) -> None:
    model = tiny_model(blocks={"appearance": 24, "motion": 8})
    with pytest.raises(LibraryError, match="rescan --reindex"):
        ClipIndex.open(library, model)


def test_a_video_with_damaged_features_leaves_the_others_answering(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vmr")
    file = library.folder / "features" / "3.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1  # a flipped bit keeps the size: only the checksum sees it
    file.write_bytes(content)
    model = tiny_model()
    index = ClipIndex.open(library, model)
    assert len(index) == sum(SIZES) - SIZES[2]
    assert library.video(3).state == "new"
    assert "damaged" in library.video(3).reason
    assert f"{library.video(3).path}: left out of the index: " in caplog.text
    check_against_brute_force(index, library, model)


def test_reading_only_writes_nothing(library: Library) -> None:
    before = sorted(library.folder.rglob("*"))
    second_stage = Library(library.folder, read_only=True)
    model = tiny_model()
    check_against_brute_force(ClipIndex.open(second_stage, model), second_stage, model)
    second_stage.close()
    assert sorted(library.folder.rglob("*")) == before


@pytest.mark.parametrize("vector", [np.zeros(3, np.float32), np.full(17, np.nan, np.float32)])
def test_vectors_that_do_not_fit_are_refused(library: Library, vector: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match="finite"):
        ClipIndex.open(library, tiny_model()).nearest(vector, 3)


def test_an_empty_library_has_no_neighbours(tmp_path: Path) -> None:
    model = tiny_model()
    index = ClipIndex.open(Library(tmp_path / "empty"), model)
    ids, rows, scores = index.nearest(np.zeros(model.width, dtype=np.float32), 5)
    assert len(ids) == len(rows) == len(scores) == 0
    write_file(tmp_path / "x.mp4")


# Large libraries: here, everything above ten rows


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every search of more than ten rows goes through the sketch."""
    monkeypatch.setattr("vmr.search.index.EXACT", 10)


@pytest.mark.parametrize("videos", [None, {1}, {2, 4}, {3}, {99}, set()])
def test_the_best_of_the_sketch_are_compared_exactly(
    library: Library, large: None, videos: set[int] | None
) -> None:
    """As many candidates as there are rows: the answer is that of brute force, bit for bit."""
    model = tiny_model()
    index = ClipIndex.open(library, model)
    assert (library.folder / "index.faiss").exists()
    for count in (1, 20, 1000):
        check_against_brute_force(index, library, model, videos=videos, count=count)


def test_the_sketch_promises_what_is_near(
    library: Library, large: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A hundred candidates of 4,000 rows hold the best ten."""
    plant(library, tmp_path / "long.mp4", random_rows(4000, 7))
    monkeypatch.setattr("vmr.search.index.LEAST", 100)
    model = tiny_model()
    index = ClipIndex.open(library, model)
    for seed in range(5):
        check_against_brute_force(index, library, model, seed, count=10)


def test_a_large_library_is_followed_and_opened_again(
    library: Library, large: None, tmp_path: Path
) -> None:
    model = tiny_model()
    index = ClipIndex.open(library, model)
    for step in range(3):
        plant(library, tmp_path / f"more{step}.mp4", random_rows(12, 50 + step))
        library.remove(library.videos()[0].id)
        index.sync()
        check_against_brute_force(index, library, model, step)
        check_against_brute_force(ClipIndex.open(library, model), library, model, step)


def test_gaps_are_closed_when_most_rows_are_of_no_video(library: Library) -> None:
    model = tiny_model()
    index = ClipIndex.open(library, model)
    library.remove(1)
    library.remove(2)
    index.sync()
    clips = library.folder / "index.clips"
    held = clips.stat().st_size
    library.remove(3)
    index.sync()
    assert clips.stat().st_size == held * SIZES[3] / sum(SIZES)
    check_against_brute_force(index, library, model)
    check_against_brute_force(ClipIndex.open(library, model), library, model)


def test_two_indexes_of_one_library_follow_each_other(library: Library, tmp_path: Path) -> None:
    """A page and a command: what one has written the other takes, and what it had mapped stays."""
    model = tiny_model()
    one, other = ClipIndex.open(library, model), ClipIndex.open(library, model)
    for step in range(4):
        plant(library, tmp_path / f"more{step}.mp4", random_rows(9, 70 + step))
        if step % 2:
            library.remove(library.videos()[0].id)
        (one, other)[step % 2].sync()
        if step > 1:
            other.sync()
            one.sync()
    for index in (one, other):
        check_against_brute_force(index, library, model)
    held = Parts()
    stored = json.loads((library.folder / "index.json").read_text())
    held.read(library.folder / "index.parts", stored["parts"], stored["checksum"])
    assert len(held) == len(SIZES) + 4


def test_where_nothing_changed_no_video_is_looked_at(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for a question nor at the start; and where one has changed, only that one."""
    model = tiny_model()
    index = ClipIndex.open(library, model)
    looked: list[list[int]] = []

    def none() -> list[Video]:
        raise AssertionError("the whole library was read")

    def noting(ids: Iterable[int]) -> dict[int, Video]:
        looked.append([*ids])
        return found_in(looked[-1])

    found_in = library.videos_of
    monkeypatch.setattr(library, "videos", none)
    monkeypatch.setattr(library, "within", lambda _: none())
    monkeypatch.setattr(library, "videos_of", noting)
    for _ in range(3):
        index.sync()
        ClipIndex.open(library, model)
    assert looked == []
    library.mark(2, "refused", "planted")
    index.sync()
    ClipIndex.open(library, model)
    assert {id for ids in looked for id in ids} == {2}
    assert len(index) == sum(SIZES) - SIZES[1]


@pytest.mark.parametrize("lead", [0, 1, 5])
def test_a_library_put_back_to_an_earlier_day_gets_its_own_index(
    library: Library, tmp_path: Path, lead: int
) -> None:
    """Only library.db is put back: the index has followed another history, in which other videos
    had the same ids."""
    model = tiny_model()
    ClipIndex.open(library, model)
    earlier = tmp_path / "earlier.db"
    with sqlite3.connect(earlier) as copy, sqlite3.connect(library.folder / "library.db") as db:
        db.backup(copy)
    for seed in range(3):
        plant(library, tmp_path / f"lost{seed}.mp4", random_rows(11, 20 + seed))
    library.remove(1)
    ClipIndex.open(library, model)
    library.close()
    for file in library.folder.glob("library.db*"):
        file.unlink()
    earlier.rename(library.folder / "library.db")
    again = Library(library.folder)
    for seed in range(lead):
        plant(again, tmp_path / f"other{seed}.mp4", random_rows(11, 30 + seed))
    for _ in range(2):
        check_against_brute_force(ClipIndex.open(again, model), again, model, count=1000)
    again.close()


@pytest.mark.parametrize("row", [0, 5, 30, sum(SIZES) - 1])
@pytest.mark.parametrize("number", [np.nan, np.inf, 5.0])
def test_damage_in_a_large_library_is_made_good_before_it_is_shown(
    library: Library, large: None, row: int, number: float
) -> None:
    """Whichever row is hit: its video is encoded again from its features, the others are not."""
    model = tiny_model()
    ClipIndex.open(library, model)
    clips = np.memmap(library.folder / "index.clips", np.float16, "r+")
    clips.reshape(-1, model.width)[row] = number
    clips.flush()
    index = ClipIndex.open(library, model)
    with pytest.MonkeyPatch.context() as patch:
        encoded = noted_encodings(model, patch)
        held = [index.vectors(video.id) for video in library.videos()]
        assert encoded == [SIZES[int(np.searchsorted(np.cumsum(SIZES), row, side="right"))]]
        for vectors, video in zip(held, library.videos(), strict=True):
            np.testing.assert_array_equal(vectors, clips_of(library, model, video))
        check_against_brute_force(index, library, model)
    check_against_brute_force(ClipIndex.open(library, model), library, model)


@pytest.mark.parametrize("damage", [damage_cut, damage_flip, damage_gone])
def test_damaged_sketches_are_made_again(
    library: Library, large: None, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vmr")
    model = tiny_model()
    ClipIndex.open(library, model)
    file = library.folder / "index.faiss"
    whole = file.read_bytes()
    damage(file, library.folder / "index.json")
    check_against_brute_force(ClipIndex.open(library, model), library, model)
    assert file.read_bytes() == whole
    assert f"{file}: " in caplog.text
    assert "made anew" in caplog.text


def test_the_file_of_sketches_is_written_when_much_is_missing(
    library: Library, large: None, tmp_path: Path
) -> None:
    """It is written whole: not for every video that comes, but before its lack is felt."""
    plant(library, tmp_path / "long.mp4", random_rows(400, 5))
    model = tiny_model()
    index = ClipIndex.open(library, model)
    file, sketched = library.folder / "index.faiss", []
    for step in range(12):
        plant(library, tmp_path / f"more{step}.mp4", random_rows(10, 80 + step))
        index.sync()
        sketched.append(json.loads((library.folder / "index.json").read_text())["sketched"])
        rows = 463 + 10 * (step + 1)
        assert rows * 15 / 16 <= sketched[-1] <= rows
    assert 2 < len(set(sketched)) < 7
    whole = file.read_bytes()
    check_against_brute_force(ClipIndex.open(library, model), library, model)
    assert file.read_bytes() == whole


def test_sketches_of_another_kind_are_not_taken(tmp_path: Path) -> None:
    """Another kind of index, another size, under the right digest."""
    space = Space(16)
    background = np.random.default_rng(0).normal(size=(200, 17)).astype(np.float32)
    file = tmp_path / "index.faiss"
    for other in (faiss.IndexHNSWFlat(17, 8), faiss.IndexFlatIP(5)):
        other.add(np.zeros((3, other.d), dtype=np.float32))
        faiss.write_index(other, str(file))
        sketch = QuantisedIndex(space, background)
        sketch.read(file, 3, full_digest(file))
        assert len(sketch) == 0
    own = QuantisedIndex(space, background)
    own.add(background[:3])
    digest = own.write(file)
    for count, name, taken in ((3, digest, 3), (2, digest, 0), (3, "", 0), (3, "other", 0)):
        again = QuantisedIndex(space, background)
        again.read(file, count, name)
        assert len(again) == taken


def test_recall_is_measured_against_every_clip(
    library: Library, large: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole where all are compared, with a gap too; lower when half of the best is lost."""
    model = tiny_model()
    plant(library, tmp_path / "long.mp4", random_rows(500, 6))
    index = ClipIndex.open(library, model)
    library.remove(2)
    index.sync()
    vector = model.sentences(1)[0]
    found, scores = index.compare_all(vector, 30)
    expected = brute_force(library, model, vector)[:30]
    assert found == [entry[1:] for entry in expected]
    np.testing.assert_allclose(scores, [entry[0] for entry in expected], atol=1e-5)
    measured = measure(index, model, queries=7)
    assert (measured.recall, measured.least, len(measured.milliseconds)) == (1, 1, 7)
    best = index.nearest
    monkeypatch.setattr(index, "nearest", lambda v, count: best(v, count // 2))
    assert measure(index, model, queries=7).recall == 0.5


def test_nothing_to_measure_is_said(tmp_path: Path) -> None:
    model = tiny_model()
    with pytest.raises(ValueError, match="no searchable video"):
        measure(ClipIndex.open(Library(tmp_path / "empty"), model), model, queries=5)
