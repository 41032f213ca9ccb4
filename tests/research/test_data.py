"""Feature files in every layout, and how rows and words are prepared for the network."""

import json
from itertools import chain, pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_extract.features import Features
from vmr.model.network import ModelConfig
from vmr.model.text import Words
from vmr.research.annotations import read_annotations
from vmr.research.data import (
    UNKNOWN,
    DataConfig,
    DataError,
    MomentData,
    Stream,
    build_vocabulary,
    collate,
    hide,
    prepare_rows,
    resample,
    tokens,
)
from vmr.research.rows import FolderRows, Hdf5Rows, RowsError, open_rows

torch.set_num_threads(1)
MODEL = ModelConfig(feature_width=3, word_width=50, clips=4, pool=2, width=8, heads=2, positions=12)


def some_rows(count: int = 5, width: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)


# Feature files.


def test_hdf5_in_both_published_key_styles(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["s1-d1.avi"] = some_rows()
        file["v_abc/c3d_features"] = some_rows(7)
    source = open_rows(tmp_path / "f.h5")
    assert isinstance(source, Hdf5Rows)
    assert np.array_equal(source.rows("s1-d1.avi"), some_rows())
    assert source.rows("v_abc").shape == (7, 3)
    assert source.has("v_abc")
    assert not source.has("v_other")


def test_hdf5_group_without_the_key_says_what_it_found(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["v_abc/i3d"] = some_rows()
    with pytest.raises(RowsError, match="v_abc holds i3d; expected c3d_features"):
        open_rows(tmp_path / "f.h5").rows("v_abc")


def test_a_folder_of_arrays_and_of_our_own_files(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", some_rows())
    np.savez(tmp_path / "b.mp4.npz", features=some_rows(6), other=np.zeros(1))
    np.savez(tmp_path / "c.npz", some_rows(7))
    seconds = np.arange(4, dtype=np.float64)
    Features(
        rows=some_rows(4).astype(np.float16),
        starts=seconds,
        ends=seconds + 1,
        blocks={"appearance": 3},
        cuts=np.zeros(0),
        duration=4.0,
        unreadable=(),
        fingerprint="test",
    ).save(tmp_path / "d.mp4.safetensors")
    source = open_rows(tmp_path)
    assert isinstance(source, FolderRows)
    counts = [len(source.rows(name)) for name in ("a.mp4", "b.mp4", "c", "d.mp4")]
    assert counts == [5, 6, 7, 4]
    assert not source.has("e.mp4")
    with pytest.raises(RowsError, match=r"no file for e\.mp4"):
        source.rows("e.mp4")


def test_pickles_are_never_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(RowsError, match="not a readable array file"):
        open_rows(tmp_path).rows("a")


def test_files_that_are_no_rows_say_what_they_are(tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", np.zeros(5))
    np.save(tmp_path / "whole.npy", np.zeros((2, 3), np.int64))
    np.savez(tmp_path / "two.npz", a=np.zeros((2, 3)), b=np.zeros((2, 3)))
    (tmp_path / "junk.npy").write_bytes(b"junk")
    source = open_rows(tmp_path)
    for name, message in (
        ("flat", r"found an array \(5,\) float64; expected \(rows, columns\)"),
        ("whole", "int64"),
        ("two", "found a, b; expected one array, or 'features'"),
        ("junk", "not a readable array file"),
    ):
        with pytest.raises(RowsError, match=message):
            source.rows(name)
    with pytest.raises(RowsError, match="no such feature file"):
        open_rows(tmp_path / "none.h5")
    with pytest.raises(RowsError, match="found no HDF5 file"):
        open_rows(tmp_path / "junk.npy")


# Preparation.


def test_resampling_is_the_published_loop() -> None:
    for n in (1, 3, 7, 8, 9, 50, 257):
        rows = some_rows(n)
        bounds = [min(n - 1, round(i / 8 * n)) for i in range(9)]
        expected = [rows[a:b].mean(0) if a < b else rows[a] for a, b in pairwise(bounds)]
        assert np.allclose(resample(rows, 8), expected, atol=1e-6)


@given(st.integers(1, 400), st.integers(1, 64))
@settings(max_examples=50, deadline=None)
def test_resampling_keeps_constants(rows: int, count: int) -> None:
    found = resample(np.full((rows, 2), 3.0, np.float32), count)
    assert found.shape == (count, 2)
    assert np.allclose(found, 3)


def test_fixed_and_variable_length() -> None:
    fixed = prepare_rows(some_rows(5), MODEL, DataConfig(normalise=False))
    assert (fixed.rows.shape, fixed.clips, fixed.extent) == ((8, 3), 4, 4)
    config = DataConfig(length="variable", normalise=False)
    short = prepare_rows(some_rows(5), MODEL, config)
    assert (short.rows.shape, short.clips, short.extent) == ((6, 3), 3, 2.5)
    assert np.array_equal(short.rows[:5], some_rows(5))
    assert not short.rows[5:].any()
    assert prepare_rows(some_rows(9), MODEL, config).rows.shape == (8, 3)


def test_rows_are_normalised_and_zero_rows_stay_zero() -> None:
    rows = some_rows(8)
    rows[3] = 0
    lengths = np.linalg.norm(prepare_rows(rows, MODEL, DataConfig()).rows, axis=1)
    assert np.allclose(np.delete(lengths[:7], 3), 1, atol=1e-6)
    assert lengths[3] == 0


def test_words_are_split_as_published() -> None:
    assert tokens("He's cutting; a (red) Onion/carrot-mix.") == [
        *("he's", "cutting", "a", "red", "onion", "carrot", "mix")
    ]


@given(st.integers(0, 40), st.floats(0.05, 0.95), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_hiding_leaves_some_and_takes_some(count: int, share: float, seed: int) -> None:
    hidden = hide(count, share, np.random.default_rng(seed))
    if count < 2:
        assert not hidden.any()
    else:
        assert 0 < hidden.sum() < count


# Whole splits.


def split(folder: Path, *, rows: int = 5) -> tuple[Path, Path]:
    """Annotations of three videos, one without features, and a folder of features."""
    content = {
        "a": {"duration": 10.0, "timestamps": [[0, 5], [5, 10]], "sentences": ["a dog", "a cat"]},
        "b": {"duration": 8.0, "timestamps": [[0, 8], [4, 2]], "sentences": ["dogs xyzzyx", "no"]},
        "gone": {"duration": 8.0, "timestamps": [[0, 8]], "sentences": ["a dog runs"]},
        "c": {"duration": 8.0, "timestamps": [[0, 8], [0, 8]], "sentences": ["...", "a b " * 9]},
    }
    (folder / "a.json").write_text(json.dumps(content))
    for number, name in enumerate("abc"):
        np.save(folder / f"{name}.npy", some_rows(rows + number))
    return folder / "a.json", folder


def opened(folder: Path, words: Words, config: DataConfig | None = None) -> MomentData:
    annotations = read_annotations(split(folder)[0])
    vocabulary = build_vocabulary(annotations.queries)
    return MomentData(
        annotations, open_rows(folder), words, MODEL, config or DataConfig(), vocabulary
    )


def test_what_is_left_out_or_repaired_is_counted(tmp_path: Path, words: Words) -> None:
    split(tmp_path)
    annotations = read_annotations(tmp_path / "a.json")
    broken = some_rows(5)
    broken[2, 1], broken[4, 0] = np.nan, np.inf
    np.save(tmp_path / "a.npy", broken)
    data = MomentData(annotations, open_rows(tmp_path), words, MODEL, DataConfig())
    assert [query.sentence for query in data.queries] == [
        *("a dog", "a cat", "dogs xyzzyx", ("a b " * 9).strip())
    ]
    assert data.dropped == {
        "moment ends before it starts": 1,
        "video without features": 1,
        "query whose video has no features": 1,
        "query without words": 1,
        "query cut to 7 words (kept)": 1,
        "row with NaN or infinity (read as zero)": 2,
    }
    assert np.isfinite(data.video("a").rows).all()


def test_spans_are_in_clips(tmp_path: Path, words: Words) -> None:
    data = opened(tmp_path, words)
    assert data.item(1, (5.0, 10.0)).span == (2, 4)
    variable = opened(tmp_path, words, DataConfig(length="variable"))
    assert variable.item(1, (5.0, 10.0)).span == (1.25, 2.5)  # five rows are two and a half clips
    assert variable.item(1, (5.0, 10.0)).clips == 3


def test_words_become_vectors_and_ids(tmp_path: Path, words: Words) -> None:
    data = opened(tmp_path, words)
    item = data.item(2, (0.0, 8.0))
    assert torch.equal(item.words[0], torch.from_numpy(words.lookup(["dogs"])[0]))
    assert not item.words[1].any()  # no such word: a zero vector, as published
    vocabulary = build_vocabulary(read_annotations(tmp_path / "a.json").queries)
    assert item.word_ids.tolist() == [2 + vocabulary.index(w) for w in ("dogs", "xyzzyx")]
    other = MomentData(
        read_annotations(tmp_path / "a.json"), open_rows(tmp_path), words, MODEL, DataConfig(), ()
    )
    assert other.item(2, (0.0, 8.0)).word_ids.tolist() == [UNKNOWN, UNKNOWN]


def test_without_words_nothing_of_the_query_is_left(tmp_path: Path, words: Words) -> None:
    data = opened(tmp_path, words, DataConfig(read_words=False))
    assert not data.item(0, (0.0, 5.0)).words.any()


def test_batches_pad_and_mask(tmp_path: Path, words: Words) -> None:
    data = opened(tmp_path, words, DataConfig(length="variable"))
    batches = list(data.batches(3))
    assert [len(batch.queries) for batch in batches] == [3, 1]
    batch = batches[0]
    assert batch.rows.shape == (3, 6, 3)
    assert batch.clips.tolist() == [3, 3, 3]
    assert batch.word_mask.sum(1).tolist() == [2, 2, 2]
    mixed = collate([data.item(0, (0.0, 5.0)), data.item(3, (0.0, 8.0))])
    assert mixed.rows.shape == (2, 8, 3)
    assert not mixed.rows[0, 6:].any()
    assert mixed.word_mask.sum(1).tolist() == [2, 7]
    assert not mixed.words[0, 2:].any()


def test_queries_of_one_moment_share_its_number(tmp_path: Path, words: Words) -> None:
    data = opened(tmp_path, words)
    moments = [data.item(number, span).moment for number, span in data.pairs]
    assert moments == [0, 1, 2, 3]
    assert data.item(2, data.queries[2].spans[0]).moment == moments[2]


def test_the_stream_is_every_pair_once_a_pass_and_the_same_again(
    tmp_path: Path, words: Words
) -> None:
    data = opened(tmp_path, words)
    first, again = Stream(data, seed=1), Stream(data, seed=1)
    passes = [[first[k].query for k in range(start, start + 4)] for start in (0, 4, 8, 12)]
    assert all(sorted(queries) == [0, 1, 2, 3] for queries in passes)
    assert len({tuple(queries) for queries in passes}) > 1
    # Out of order, as a worker process would ask: the same pair with the same words hidden.
    for k in (13, 2, 7):
        assert again[k].query == first[k].query
        assert torch.equal(again[k].hidden_words, first[k].hidden_words)
    assert [Stream(data, seed=2)[k].query for k in range(16)] != list(chain(*passes))


def test_the_wrong_width_and_the_wrong_features_are_one_clear_line(
    tmp_path: Path, words: Words
) -> None:
    annotations = read_annotations(split(tmp_path)[0])
    wide = ModelConfig(feature_width=4096, word_width=50, clips=4, width=8, heads=2, positions=12)
    with pytest.raises(DataError, match=r"a has 3 columns, the model expects 4096.*--set") as one:
        MomentData(annotations, open_rows(tmp_path), words, wide, DataConfig())
    assert "\n" not in str(one.value)
    large = ModelConfig(feature_width=3, clips=4, width=8, heads=2, positions=12)
    with pytest.raises(DataError, match="word vectors have 50 columns, the model expects 300"):
        MomentData(annotations, open_rows(tmp_path), words, large, DataConfig())
    (tmp_path / "empty").mkdir()
    none = r"features of none of the 4 annotated videos: found {}, expected names like a"
    with pytest.raises(DataError, match=none.format("nothing")):
        MomentData(annotations, open_rows(tmp_path / "empty"), words, MODEL, DataConfig())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["v_other"] = np.zeros((2, 3), np.float32)
    with pytest.raises(DataError, match=none.format("v_other")):
        MomentData(annotations, open_rows(tmp_path / "other.h5"), words, MODEL, DataConfig())
    with pytest.raises(ValueError, match=r"data\.length"):
        DataConfig(length="long")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"data\.hide_words"):
        DataConfig(hide_words=1.0)
