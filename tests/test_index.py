"""The index against brute force in numpy, and its life as a cache."""

import json
from dataclasses import replace

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planted import plant, planted_extraction, random_rows, tiny_ranker, write_file
from vmr.index import ClipIndex
from vmr.store import Library, LibraryError

SIZES = (5, 1, 40, 17)


@pytest.fixture
def library(tmp_path):
    library = Library(tmp_path / "library")
    for seed, size in enumerate(SIZES):
        plant(library, tmp_path / f"{seed}.mp4", random_rows(size, seed))
    yield library
    library.close()


def brute_force(library, ranker, vector, videos=None):
    """Every clip of every video, compared one by one: (score, video, row), best first."""
    return sorted(
        (
            (float(clip @ vector), video.id, row)
            for video in library.videos()
            if video.searchable and (videos is None or video.id in videos)
            for row, clip in enumerate(ranker.clip_vectors(library.features(video.id).rows))
        ),
        reverse=True,
    )


def check_against_brute_force(index, library, ranker, seed=0, videos=None, count=20):
    vector = np.random.default_rng(seed).normal(size=ranker.width).astype(np.float32)
    vector /= np.linalg.norm(vector)
    ids, rows, scores = index.nearest(vector, count, videos=videos)
    expected = brute_force(library, ranker, vector, videos)[:count]
    assert list(zip(ids.tolist(), rows.tolist(), strict=True)) == [e[1:] for e in expected]
    np.testing.assert_allclose(scores, [e[0] for e in expected], atol=1e-5)


@pytest.mark.parametrize("videos", [None, {1}, {2, 4}, {3}, {1, 2, 3, 4}, {99}, set()])
def test_ids_rows_and_scores_equal_brute_force(library, videos):
    ranker = tiny_ranker()
    index = ClipIndex.open(library, ranker)
    assert len(index) == sum(SIZES)
    for count in (1, 20, 1000):
        check_against_brute_force(index, library, ranker, videos=videos, count=count)


@settings(max_examples=15, deadline=None)
@given(changes=st.lists(st.integers(0, 9), min_size=1, max_size=8), seed=st.integers(0, 5))
def test_following_any_changes_equals_a_fresh_index(tmp_path_factory, changes, seed):
    """Each change adds a video (even) or removes the oldest (odd); the index only follows."""
    folder = tmp_path_factory.mktemp("library")
    library, ranker = Library(folder), tiny_ranker()
    index = ClipIndex.open(library, ranker)
    for step, change in enumerate(changes):
        if change % 2 == 0:
            plant(library, folder / f"files/{step}.mp4", random_rows(change + 1, step))
        elif library.videos():
            library.remove(library.videos()[0].id)
        index.sync()
        check_against_brute_force(index, library, ranker, seed)
        reopened = ClipIndex.open(library, ranker)
        check_against_brute_force(reopened, library, ranker, seed)
    library.close()


def test_vectors_of_one_video(library):
    ranker = tiny_ranker()
    index = ClipIndex.open(library, ranker)
    for video in library.videos():
        expected = ranker.clip_vectors(library.features(video.id).rows)
        np.testing.assert_allclose(index.vectors(video.id), expected, atol=1e-6)
    with pytest.raises(LibraryError, match="video 99"):
        index.vectors(99)


def test_seconds_that_could_not_be_read_are_not_found(library, tmp_path):
    """They repeat the last picture before the damage: a file cut after a minute, with a header that
    promises an hour, would answer with 59 minutes of it."""
    ranker = tiny_ranker()
    rows = random_rows(40, 8)
    rows[10:30] = rows[9]
    whole = planted_extraction(rows)
    damaged = replace(whole.features, unreadable=((9.5, 28.5),))
    video = library.register(write_file(tmp_path / "damaged.mp4"))
    library.store(video.id, replace(whole, features=damaged), full="x")
    index = ClipIndex.open(library, ranker)
    asked = ranker.as_query(ranker.clip_vectors(rows[9:10])[0])
    _, found, scores = index.nearest(asked, 40, videos={video.id})
    assert set(found[:3].tolist()) == {9, 28, 29}  # the last two reach beyond the damage
    unread = scores[np.isin(found, range(10, 28))]
    np.testing.assert_allclose(unread, -0.25)
    curve = ranker.curve(index.vectors(video.id), asked)
    assert curve[10:28].max() < 0 < 1 < curve[9]


def test_the_cache_is_used_and_adding_encodes_only_what_is_new(library, tmp_path):
    ranker = tiny_ranker()
    ClipIndex.open(library, ranker)
    encoded = []
    encode = ranker.clip_vectors
    ranker.clip_vectors = lambda rows: encoded.append(len(rows)) or encode(rows)
    ClipIndex.open(library, ranker)
    assert encoded == []
    plant(library, tmp_path / "new.mp4", random_rows(7, 9))
    ClipIndex.open(library, ranker)
    assert encoded == [7]


def damage_cut(file, record):
    file.write_bytes(file.read_bytes()[:-10])


def damage_flip(file, record):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def damage_gone(file, record):
    file.unlink()


def damage_record_gone(file, record):
    record.unlink()


def damage_record_text(file, record):
    record.write_text("[")


def damage_record_list(file, record):
    record.write_text("[]")


def damage_counts(file, record):
    """A record that claims more rows than there are: its own checksum still fits."""
    stored = json.loads(record.read_text())
    stored["parts"][0]["count"] += 5
    record.write_text(json.dumps(stored))


def damage_counts_under_the_same_total(file, record):
    """More rows of one video, less of a later one: all between them would be of another second."""
    stored = json.loads(record.read_text())
    stored["parts"][0]["count"] += 2
    stored["parts"][2]["count"] -= 2
    record.write_text(json.dumps(stored))


def damage_kind(file, record):
    """Another kind of index under the right checksum."""
    other = faiss.IndexHNSWFlat(tiny_ranker().width, 8)
    other.add(np.zeros((sum(SIZES), tiny_ranker().width), dtype=np.float32))
    faiss.write_index(other, str(file))
    from vmr.content import full_digest

    stored = json.loads(record.read_text())
    stored["checksum"] = full_digest(file)
    record.write_text(json.dumps(stored))


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
        damage_kind,
    ],
)
def test_a_damaged_cache_is_made_again(library, damage):
    ranker = tiny_ranker()
    ClipIndex.open(library, ranker)
    file, record = library.folder / "index.faiss", library.folder / "index.json"
    whole = file.read_bytes()
    damage(file, record)
    index = ClipIndex.open(library, ranker)
    check_against_brute_force(index, library, ranker)
    assert file.read_bytes() == whole
    assert sorted(p.name for p in library.folder.glob("index.*")) == ["index.faiss", "index.json"]


def test_another_model_gets_another_index(library):
    ClipIndex.open(library, tiny_ranker(0))
    other = tiny_ranker(1)
    check_against_brute_force(ClipIndex.open(library, other), library, other)


def test_features_that_the_model_does_not_read_are_refused(library):
    ranker = tiny_ranker(blocks={"appearance": 24, "motion": 8})
    with pytest.raises(LibraryError, match="rescan --reindex"):
        ClipIndex.open(library, ranker)


def test_a_video_with_damaged_features_leaves_the_others_answering(library):
    file = library.folder / "features" / "3.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1  # a flipped bit keeps the size: only the checksum sees it
    file.write_bytes(content)
    ranker = tiny_ranker()
    index = ClipIndex.open(library, ranker)
    assert len(index) == sum(SIZES) - SIZES[2]
    assert library.video(3).state == "new"
    assert "damaged" in library.video(3).reason
    check_against_brute_force(index, library, ranker)


def test_reading_only_writes_nothing(library):
    before = sorted(library.folder.rglob("*"))
    reader = Library(library.folder, read_only=True)
    ranker = tiny_ranker()
    check_against_brute_force(ClipIndex.open(reader, ranker), reader, ranker)
    reader.close()
    assert sorted(library.folder.rglob("*")) == before


@pytest.mark.parametrize("vector", [np.zeros(3, np.float32), np.full(17, np.nan, np.float32)])
def test_vectors_that_do_not_fit_are_refused(library, vector):
    with pytest.raises(ValueError, match="finite"):
        ClipIndex.open(library, tiny_ranker()).nearest(vector, 3)


def test_an_empty_library_has_no_neighbours(tmp_path):
    ranker = tiny_ranker()
    index = ClipIndex.open(Library(tmp_path / "empty"), ranker)
    ids, rows, scores = index.nearest(np.zeros(ranker.width, dtype=np.float32), 5)
    assert len(ids) == len(rows) == len(scores) == 0
    write_file(tmp_path / "x.mp4")
