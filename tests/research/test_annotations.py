"""Every annotation format from a small file of its own, and the real files against known counts.

The published files are not part of this repository. They are looked for in ../shared/annotations;
where they are not, the counts are reported as skipped, by name, and everything else still runs.
"""

import json
import warnings
from pathlib import Path

import pytest

from vmr.research.annotations import AnnotationError, read_annotations
from vmr.research.data import build_vocabulary, tokens, vocabulary_size

PUBLISHED = Path(__file__).resolve().parents[3] / "shared" / "annotations"

# file, dataset, videos, usable queries (PAPER counts: Gao et al. 2017 splits as 2D-TAN has them)
COUNTS = [
    ("TACoS/train.json", "tacos", 75, 9_790),
    ("TACoS/val.json", "tacos", 27, 4_436),
    ("TACoS/test.json", "tacos", 25, 4_001),
    ("ActivityNet/train.json", "activitynet", 10_009, 37_417),
    ("ActivityNet/val.json", "activitynet", 4_917, 17_505),
    ("ActivityNet/test.json", "activitynet", 4_885, 17_031),
    ("Charades-STA/charades_sta_train.txt", "charades", 5_336, 12_404),
    ("Charades-STA/charades_sta_test.txt", "charades", 1_334, 3_720),
    ("DiDeMo/val_data.json", "didemo", 1_094, 4_180),
    ("DiDeMo/test_data.json", "didemo", 1_037, 4_021),
    ("QVHighlights/highlight_train_release.jsonl", "qvhighlights", 7_100, 7_218),
    ("QVHighlights/highlight_val_release.jsonl", "qvhighlights", 1_519, 1_550),
    ("QVHighlights/highlight_test_with_gt.jsonl", "qvhighlights", 1_529, 1_542),
]


def published(name: str) -> Path:
    file = PUBLISHED / name
    if not file.is_file():
        reason = f"COULD NOT RUN: the published {name} is not in {PUBLISHED}"
        warnings.warn(reason, stacklevel=2)  # listed at the end of the run, unlike a skip
        pytest.skip(reason)
    return file


@pytest.mark.parametrize(("name", "dataset", "videos", "queries"), COUNTS)
def test_counts_of_the_published_files(name: str, dataset: str, videos: int, queries: int) -> None:
    annotations = read_annotations(published(name), expect=dataset)
    assert (len(annotations.videos), len(annotations.queries)) == (videos, queries)
    assert len({query.id for query in annotations.queries}) == queries
    for query in annotations.queries:
        assert all(0 <= start < end <= query.duration for start, end in query.spans)


def test_dropped_rows_of_the_published_files_are_counted() -> None:
    backwards = "moment ends before it starts"
    for name in ("ActivityNet/train.json", "Charades-STA/charades_sta_train.txt"):
        assert read_annotations(published(name)).dropped[backwards] == 4


@pytest.mark.parametrize(
    ("name", "words", "longest"), [("TACoS", 1_514, 64), ("ActivityNet", 10_728, 82)]
)
def test_vocabulary_has_the_published_size(name: str, words: int, longest: int) -> None:
    splits = {
        split: read_annotations(published(f"{name}/{split}.json")).queries
        for split in ("train", "val", "test")
    }
    assert vocabulary_size(build_vocabulary(splits["train"])) == words
    everything = [query for queries in splits.values() for query in queries]
    assert max(len(tokens(query.sentence)) for query in everything) == longest


def write(folder: Path, name: str, content: object) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


TACOS = {
    "s1-d1.avi": {
        "timestamps": [[0, 50], [50, 100], [90, 20]],
        "sentences": ["He cuts.", "She stirs.", "Backwards."],
        "fps": 25.0,
        "num_frames": 200,
    }
}
ACTIVITYNET = {
    "v_a": {"duration": 10.0, "timestamps": [[0, 4], [3.5, 12.0]], "sentences": ["One", " Two "]}
}


def test_tacos_times_are_frames(tmp_path: Path) -> None:
    found = read_annotations(write(tmp_path, "a.json", TACOS))
    assert found.dataset == "tacos"
    assert [query.spans for query in found.queries] == [((0, 2),), ((2, 4),)]
    assert found.queries[0].duration == 8
    assert found.dropped == {"moment ends before it starts": 1}


def test_activitynet_times_are_cut_to_the_video_and_counted(tmp_path: Path) -> None:
    found = read_annotations(write(tmp_path, "a.json", ACTIVITYNET))
    assert [query.spans for query in found.queries] == [((0, 4),), ((3.5, 10),)]
    assert found.queries[1].sentence == "Two"
    assert found.dropped == {"moment cut to the video (kept)": 1}


def test_charades_durations_come_from_the_csv(tmp_path: Path) -> None:
    file = write(tmp_path, "sta.txt", "AB 1.0 3.0##a person sits\nCD 0.0 1.0##no length\n")
    with pytest.raises(AnnotationError, match=r"Charades_v1_train\.csv"):
        read_annotations(file)
    write(tmp_path, "Charades_v1_test.csv", "id,subject,length\nAB,x,20.5\n")
    found = read_annotations(file)
    assert found.dataset == "charades"
    assert [(query.video, query.duration) for query in found.queries] == [("AB", 20.5)]
    assert found.dropped == {"video without a duration": 1}
    write(tmp_path, "sta.txt", "AB 1.0 3.0 no mark\n")
    with pytest.raises(AnnotationError, match=r"sta\.txt:1: expected 'VIDEO START END##sentence'"):
        read_annotations(file)


def test_didemo_puts_the_span_of_most_annotators_first(tmp_path: Path) -> None:
    entry = {
        "num_segments": 6,
        "description": "a dog",
        "times": [[4, 4], [2, 3], [2, 3], [0, 0]],
        "video": "x.mov",
        "annotation_id": 7,
    }
    found = read_annotations(write(tmp_path, "a.json", [entry])).queries[0]
    assert found.spans[0] == (10, 20)
    assert set(found.spans) == {(10, 20), (20, 25), (0, 5)}
    assert (found.duration, found.id) == (30, "7")


def test_youcook2_takes_one_subset(tmp_path: Path) -> None:
    def recipe(subset: str) -> dict[str, object]:
        step = {"segment": [5, 9], "sentence": "chop", "id": 0}
        return {"duration": 100.0, "subset": subset, "annotations": [step]}

    database = {"database": {"a": recipe("training"), "b": recipe("validation")}}
    file = write(tmp_path, "youcook.json", database)
    assert read_annotations(file).videos == ("a", "b")
    only = read_annotations(f"{file}#validation")
    assert (only.dataset, only.videos, only.queries[0].spans) == ("youcook2", ("b",), ((5, 9),))
    with pytest.raises(AnnotationError, match="no subset 'testing' in it, only training, valid"):
        read_annotations(f"{file}#testing")


def test_json_lines_of_highlights_and_of_our_own(tmp_path: Path) -> None:
    line = {
        "qid": 3,
        "query": "a cat",
        "vid": "v",
        "duration": 150,
        "relevant_windows": [[0, 10], [20, 30]],
        "saliency_scores": [[1, 2, 3]],
    }
    found = read_annotations(write(tmp_path, "q.jsonl", json.dumps(line) + "\n\n"))
    assert (found.dataset, found.queries[0].spans) == ("qvhighlights", ((0, 10), (20, 30)))
    ours = {"video": "a.mp4", "query": "a cat", "duration": 9.0, "moments": [[1, 2]]}
    found = read_annotations(write(tmp_path, "o.jsonl", json.dumps(ours)))
    assert (found.dataset, found.queries[0].id) == ("jsonl", "1")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{", "not a readable annotation file"),
        ("a.json", {"v": {"something": 1}}, "none of the known formats"),
        ("a.json", {}, "none of the known formats"),
        ("a.jsonl", '{"video": "x"}', r"a\.jsonl:1: expected one JSON object with video"),
        ("a.jsonl", "[1, 2]", r"a\.jsonl:1: expected"),
        ("a.jsonl", "", "no usable query"),
        ("a.json", {"v": {"duration": 1, "timestamps": [[0]], "sentences": ["x"]}}, "IndexError"),
        ("a.json", {"v": {"duration": "x", "timestamps": [[0, 1]], "sentences": ["x"]}}, "read"),
    ],
)
def test_files_that_are_none_say_so(
    tmp_path: Path, name: str, content: object, message: str
) -> None:
    with pytest.raises(AnnotationError, match=message) as caught:
        read_annotations(write(tmp_path, name, content))
    assert "\n" not in str(caught.value)


def test_another_dataset_is_refused_by_name(tmp_path: Path) -> None:
    file = write(tmp_path, "a.json", ACTIVITYNET)
    with pytest.raises(AnnotationError, match="found activitynet annotations, expected tacos"):
        read_annotations(file, expect="tacos")
    with pytest.raises(AnnotationError, match="no such annotation file"):
        read_annotations(tmp_path / "none.json")


def test_times_that_are_no_times_are_counted(tmp_path: Path) -> None:
    times = [[float("nan"), 2], [11, 12], [0, 5], [1, 2]]
    entry = {"duration": 10.0, "timestamps": times, "sentences": ["a", "b", " ", "kept"]}
    found = read_annotations(write(tmp_path, "a.json", {"v": entry}))
    assert [query.sentence for query in found.queries] == ["kept"]
    assert found.dropped == {
        "moment ends before it starts": 1,
        "moment outside the video": 1,
        "empty sentence": 1,
    }
