"""Annotation files of the research sets -> queries with their true moments, in seconds.

    annotations = read_annotations(Path("TACoS/train.json"))
    annotations.dataset, len(annotations.queries), annotations.dropped

Read are TACoS and ActivityNet Captions (JSON as 2D-TAN publishes them), Charades-STA (text, with
Charades_v1_*.csv beside it), DiDeMo, QVHighlights, YouCook2 (`FILE.json#training` picks a subset),
and JSON lines of your own, one query a line:

    {"video": "cat.mp4", "query": "a cat jumps", "duration": 63.0, "moments": [[4.5, 9.0]]}

The format is recognised by content. What cannot be used is counted in `dropped`, by reason.
"""

import csv
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Span = tuple[float, float]
Raw = tuple[str, str, float, str, list[Span]]  # id, video, duration, sentence, spans
DIDEMO_SEGMENT = 5.0  # seconds


class AnnotationError(ValueError):
    """An annotation file that cannot be read; the message names it and what was expected."""


@dataclass(frozen=True)
class AnnotatedQuery:
    """One sentence about one video."""

    id: str
    "unique within the file; the file's own where it has one"
    video: str
    "as the file names it"
    duration: float
    "seconds"
    sentence: str
    spans: tuple[Span, ...]
    "true moments, seconds, within the video; several windows, or several annotators"


@dataclass(frozen=True)
class Annotations:
    """A whole file."""

    dataset: str
    "tacos, activitynet, charades, didemo, qvhighlights, youcook2 or jsonl"
    queries: tuple[AnnotatedQuery, ...]
    dropped: dict[str, int]
    "what was left out or cut, by reason"

    @property
    def videos(self) -> tuple[str, ...]:
        """Every video once, in the file's order."""
        return tuple(dict.fromkeys(query.video for query in self.queries))


def read_annotations(path: Path | str, *, expect: str | None = None) -> Annotations:
    """The queries of an annotation file; `FILE#SUBSET` for YouCook2.

    Raises:
        AnnotationError: no such file, no known format, or not the dataset that `expect` names.
    """
    name, _, subset = str(path).partition("#")
    file = Path(name)
    if not file.is_file():
        raise AnnotationError(f"{file}: no such annotation file")
    try:
        dataset, rows = _recognise(file, subset)
        queries, dropped = _collect(rows)
    except AnnotationError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise AnnotationError(
            f"{file}: not a readable annotation file ({type(error).__name__}: {error})"
        ) from error
    if expect not in (None, dataset):
        raise AnnotationError(f"{file}: found {dataset} annotations, expected {expect}")
    if not queries:
        raise AnnotationError(f"{file}: no usable query in it (left out: {dropped or 'nothing'})")
    return Annotations(dataset, queries, dropped)


def _collect(rows: Iterable[Raw]) -> tuple[tuple[AnnotatedQuery, ...], dict[str, int]]:
    """Check every row; times outside the video are cut to it, and that is counted."""
    queries: list[AnnotatedQuery] = []
    dropped: Counter[str] = Counter()
    for identity, video, duration, sentence, spans in rows:
        if not (math.isfinite(duration) and duration > 0):
            dropped["video without a duration"] += 1
            continue
        if not sentence.strip():
            dropped["empty sentence"] += 1
            continue
        dropped["query without a moment"] += not spans
        kept: list[Span] = []
        for start, end in spans:
            if not start < end:  # also true of NaN
                dropped["moment ends before it starts"] += 1
                continue
            inside = max(0.0, start), min(duration, end)
            if inside[0] >= inside[1]:
                dropped["moment outside the video"] += 1
                continue
            dropped["moment cut to the video (kept)"] += inside != (start, end)
            kept.append(inside)
        if kept:
            query = AnnotatedQuery(identity, video, duration, sentence.strip(), tuple(kept))
            queries.append(query)
    return tuple(queries), {reason: count for reason, count in dropped.items() if count}


def _recognise(file: Path, subset: str) -> tuple[str, Iterable[Raw]]:
    if file.suffix == ".txt":
        return "charades", _charades(file)
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".jsonl":
        return _json_lines(file, text)
    content = json.loads(text)
    if isinstance(content, list) and content and "num_segments" in content[0]:
        return "didemo", _didemo(content)
    if isinstance(content, dict) and isinstance(content.get("database"), dict):
        return "youcook2", _youcook2(file, content["database"], subset)
    first = next(iter(content.values()), None) if isinstance(content, dict) else None
    if isinstance(first, dict) and {"timestamps", "sentences", "num_frames", "fps"} <= set(first):
        return "tacos", _tacos(content)
    if isinstance(first, dict) and {"timestamps", "sentences", "duration"} <= set(first):
        return "activitynet", _activitynet(content)
    raise AnnotationError(
        f"{file}: none of the known formats (TACoS, ActivityNet Captions, Charades-STA .txt, "
        "DiDeMo, YouCook2, .jsonl)"
    )


def _tacos(content: dict[str, Any]) -> Iterator[Raw]:
    """Times are in frames."""
    for video, entry in content.items():
        fps = float(entry["fps"])
        for number, (times, sentence) in enumerate(_pairs(entry)):
            span = times[0] / fps, times[1] / fps
            yield f"{video}#{number}", video, entry["num_frames"] / fps, sentence, [span]


def _activitynet(content: dict[str, Any]) -> Iterator[Raw]:
    for video, entry in content.items():
        for number, (times, sentence) in enumerate(_pairs(entry)):
            span = float(times[0]), float(times[1])
            yield f"{video}#{number}", video, float(entry["duration"]), sentence, [span]


def _pairs(entry: dict[str, Any]) -> Iterator[tuple[list[float], str]]:
    return zip(entry["timestamps"], entry["sentences"], strict=True)


def _charades(file: Path) -> Iterator[Raw]:
    """`VIDEO START END##sentence`; the durations are in the csv files of Charades itself."""
    durations: dict[str, float] = {}
    for table in sorted(file.parent.glob("Charades_v1_*.csv")):
        with table.open(newline="", encoding="utf-8") as lines:
            durations |= {row["id"]: float(row["length"]) for row in csv.DictReader(lines)}
    if not durations:
        raise AnnotationError(
            f"{file}: needs Charades_v1_train.csv and Charades_v1_test.csv beside it, for durations"
        )
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        place, mark, sentence = line.partition("##")
        parts = place.split()
        if not mark or len(parts) != 3:
            raise AnnotationError(
                f"{file}:{number}: expected 'VIDEO START END##sentence', found {line[:60]!r}"
            )
        video, start, end = parts
        duration = durations.get(video, math.nan)
        yield f"{video}#{number}", video, duration, sentence, [(float(start), float(end))]


def _didemo(content: list[dict[str, Any]]) -> Iterator[Raw]:
    """Annotators chose runs of 5 s segments; the span most of them chose comes first."""
    for entry in content:
        votes = Counter((first, last) for first, last in entry["times"])
        spans = [
            (first * DIDEMO_SEGMENT, (last + 1) * DIDEMO_SEGMENT)
            for (first, last), _ in votes.most_common()
        ]
        duration = entry["num_segments"] * DIDEMO_SEGMENT
        yield str(entry["annotation_id"]), entry["video"], duration, entry["description"], spans


def _youcook2(file: Path, database: dict[str, Any], subset: str) -> Iterator[Raw]:
    found = sorted({entry["subset"] for entry in database.values()})
    if subset and subset not in found:
        raise AnnotationError(f"{file}: no subset {subset!r} in it, only {', '.join(found)}")
    for video, entry in database.items():
        if subset and entry["subset"] != subset:
            continue
        for step in entry["annotations"]:
            start, end = step["segment"]
            identity = f"{video}#{step['id']}"
            span = float(start), float(end)
            yield identity, video, float(entry["duration"]), step["sentence"], [span]


def _json_lines(file: Path, text: str) -> tuple[str, list[Raw]]:
    """QVHighlights, the same layout for other sets (`relevant_windows`), or our own."""
    rows: list[Raw] = []
    highlights = False
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            if "relevant_windows" in entry:
                highlights |= "saliency_scores" in entry
                keys = "qid", "vid", "relevant_windows"
            else:
                keys = "id", "video", "moments"
            identity = str(entry.get(keys[0], number))
            spans = [(float(start), float(end)) for start, end in entry[keys[2]]]
            row = identity, entry[keys[1]], float(entry["duration"]), entry["query"], spans
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise AnnotationError(
                f"{file}:{number}: expected one JSON object with video, query, duration and "
                f"moments (or QVHighlights' qid, vid, query, duration, relevant_windows): {error!r}"
            ) from error
        rows.append(row)
    return ("qvhighlights" if highlights else "jsonl"), rows
