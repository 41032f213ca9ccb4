"""The commands that ask a library: search, rate and bench.

Heavy modules are imported inside the commands that need them, so that `--help` answers at once.
"""

import argparse
import gc
import json
import math
import re
import sys
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmr.cli.console import DONE, Commands, clock, film_option, one_line, open_library, video_named

if TYPE_CHECKING:
    from vmr.library.scope import Near, Scope
    from vmr.library.store import Library
    from vmr.search.moments import Answer
    from vmr.search.query import Suggestion

ASKING = """forms of WORDS:
  a dog on a beach                              words, as they come
  a dog AND a ball                              both at the same time
  a dog -crowd -"parked car"                    without what follows a minus sign
  a dog NOT a parked car                        the same, up to the next operator
  a man enters THEN sits down WITHIN 20         in this order, at most 20 s apart (default: 60)
  said:"thank you"                              what is said, word for word
  written:exit -said:goal                       what is to be read, and what is not to be said
plain words are looked for in the pictures and in what is said and written
OR is not understood: ask for each of the two by itself
words that begin with a minus sign go after --, as in: search -- -crowd a dog"""
WORDS_ONLY = "read questions word by word, without the sentence encoder"


def add_parsers(command: Commands) -> None:
    """Register the commands."""
    search = command("search", _search, "Find moments by words, by a picture, or by a moment.")
    search.formatter_class = argparse.RawDescriptionHelpFormatter
    search.epilog = ASKING
    asked = search.add_mutually_exclusive_group(required=True)
    asked.add_argument("words", metavar="WORDS", nargs="?")
    asked.add_argument("--like", type=_moment, metavar="ID@SECONDS", help="like this moment")
    asked.add_argument("--picture", type=Path, metavar="FILE", help="like this picture")
    search.add_argument("--video", metavar="ID_OR_PATH", help="look only into this video")
    search.add_argument(
        "--folder", type=film_option, metavar="DIR", help="only into videos in here"
    )
    search.add_argument("--since", type=_day, metavar="DATE", help="files of this day and later")
    search.add_argument("--until", type=_day, metavar="DATE", help="files from before this day")
    search.add_argument(
        "--min-length", type=float, default=0.0, metavar="SECONDS", help="videos as long or longer"
    )
    search.add_argument(
        "--recorded-since",
        type=_recorded,
        metavar="DATE",
        help="recorded in 2023, 2023-05 or 2023-05-14 and later, by the clocks of the place",
    )
    search.add_argument(
        "--recorded-until", type=_recorded, metavar="DATE", help="recorded before its beginning"
    )
    search.add_argument("--camera", default="", metavar="NAME", help='part of it, as in "GoPro"')
    search.add_argument(
        "--near",
        type=_near,
        metavar="LAT,LON,RADIUS",
        help="recorded there, as in 52.5,13.4,20km; south of the equator --near=-33.9,18.4,5km",
    )
    search.add_argument("--top", type=_positive, default=10, metavar="N", help="default: 10")
    search.add_argument(
        "--words", dest="words_file", type=Path, metavar="FILE", help="glove.*.txt or word2vec"
    )
    search.add_argument("--words-only", action="store_true", help=WORDS_ONLY)
    search.add_argument("--no-feedback", action="store_true", help="as if nothing had been rated")
    search.add_argument("--json", action="store_true")

    rate = command("rate", _rate, "Say whether a moment was what a query asked for.")
    rate.add_argument("words", metavar="WORDS")
    rate.add_argument("moment", type=span, metavar="ID@START-END", help="with the right edges")
    rate.add_argument("rating", choices=["right", "wrong"])

    ratings = command(
        "ratings", _ratings, "Write what was rated right as lines that `train` reads."
    )
    ratings.add_argument("file", type=Path, metavar="FILE")
    ratings.add_argument("--overwrite", action="store_true", help="replace what has the name")

    bench = command("bench", _bench, "Measure the search on this library.")
    bench.add_argument(
        "--recall", action="store_true", required=True, help="against comparing every clip"
    )
    bench.add_argument("--queries", type=_positive, default=100, metavar="N", help="default: 100")
    bench.add_argument("--json", action="store_true")


def span(text: str) -> tuple[int, float, float]:
    """ID@START-END of an option."""
    found = re.fullmatch(r"(\d+)@(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not ID@START-END, such as 3@72.5-80")
    return int(found[1]), float(found[2]), float(found[3])


def _moment(text: str) -> tuple[int, float]:
    id, _, second = text.partition("@")
    if not (id.isdecimal() and second.replace(".", "", 1).isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not ID@SECONDS, such as 3@72.5")
    return int(id), float(second)


def _day(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date, such as 2026-05-31") from error


def _recorded(text: str) -> datetime:
    from vmr.library.scope import read_day

    try:
        return read_day(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _near(text: str) -> "Near":
    from vmr.library.scope import Near

    try:
        return Near.read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _bench(options: argparse.Namespace) -> int:
    from statistics import median

    from vmr.search.indexes import open_index
    from vmr.search.model import model_of
    from vmr.search.recall import measure

    library = open_library(options.library)
    model = model_of(library)
    index = open_index(library, model)
    measured = measure(index, model, queries=options.queries)
    if options.json:
        print(json.dumps({"clips": len(index), **asdict(measured)}))
        return DONE
    times, exact = sorted(measured.milliseconds), median(measured.exact_milliseconds)
    slow = times[math.ceil(0.99 * len(times)) - 1]
    print(
        f"{len(index)} clips, {len(times)} questions\n"
        f"recall@100 against comparing every clip: {measured.recall:.4f} "
        f"(worst question {measured.least:.2f})\n"
        f"index: {median(times):.1f} ms median, {slow:.1f} ms of 99 in 100; "
        f"every clip in numpy: {exact:.1f} ms median"
    )
    return DONE


def _search(options: argparse.Namespace) -> int:
    # A tenth of the start goes into looking for garbage, of which one search makes next to none.
    gc.disable()
    try:
        return _answer(options)
    finally:
        gc.enable()


def _answer(options: argparse.Namespace) -> int:
    from vmr.model.text import QueryError, Words
    from vmr.search.mismatch import mismatches, reading_note
    from vmr.search.model import model_of
    from vmr.search.query import suggestions
    from vmr.search.searcher import Searcher

    library = open_library(options.library)
    video = None if options.video is None else video_named(library, options.video).id
    among = _among(options)
    words = Words.load(options.words_file)
    model = model_of(library, words=words, sentences=not options.words_only)
    for note in (*mismatches(library, model), reading_note(model), *_left_out(among, library)):
        if note is not None:
            print(f"note: {note}", file=sys.stderr)
    searcher = Searcher(library, model, use_feedback=not options.no_feedback)
    if options.like:
        id, second = options.like
        only = among if video is None else [video]
        answer = searcher.like(id, second, second + 0.001, among=only, top=options.top)
    elif options.picture:
        from vmr.search.picture import PictureReader

        row = PictureReader(model).row(options.picture)
        answer = searcher.like_picture(row, video=video, among=among, top=options.top)
    else:
        try:
            answer = searcher.search(options.words, video=video, among=among, top=options.top)
        except QueryError as error:
            offered = suggestions(options.words, error.unknown, model)
            raise QueryError("; ".join([str(error), *_offers(offered)])) from error
    if options.json:
        calibrated = {"uncalibrated": True} if answer.uncalibrated else {}
        print(json.dumps(_answer_record(answer) | calibrated))
        return DONE
    print("\n".join([_answer_text(answer), *_offers(answer.suggestions)]))
    if answer.uncalibrated:
        whose = "of questions in two parts " if model.calibrated else ""
        print(f"uncalibrated: this encoder's strengths {whose}are guesses; `calibrate` fits them")
    return DONE


def _among(options: argparse.Namespace) -> "Scope":
    from vmr.library.scope import Scope

    return Scope(
        folder=options.folder,
        since=options.since,
        until=options.until,
        min_length=options.min_length,
        recorded_since=options.recorded_since,
        recorded_until=options.recorded_until,
        camera=options.camera,
        near=options.near,
    )


def _left_out(scope: "Scope", library: "Library") -> list[str]:
    """One line for each filter that some videos cannot pass, as they do not say."""
    asked = {
        "when they were recorded (--since goes by the date of the file)": (
            scope.recorded_since or scope.recorded_until,
            "time",
        ),
        "where they were recorded": (scope.near, "place"),
        "with what they were recorded": (scope.camera, "camera"),
    }
    lines = []
    for what, (wanted, kind) in asked.items():
        count = getattr(library.recordings.silent(), kind) if wanted else 0
        if count:
            do = "video does" if count == 1 else "videos do"
            lines.append(f"left out: {count} {do} not say {what}")
    return lines


def _answer_record(answer: "Answer") -> dict[str, Any]:
    return {
        "query": answer.query,
        "unknown_words": list(answer.unknown),
        "hardly_seen": list(answer.hardly_seen),
        "there": list(answer.there),
        "missing": list(answer.missing),
        "suggestions": {offer.word: list(offer.instead) for offer in answer.suggestions},
        "verdict": answer.verdict,
        "moments": [
            asdict(hit)
            | {"path": str(hit.path), "recorded": hit.recording.text}
            | {time: round(getattr(hit, time), 3) for time in ("start", "end", "best")}
            | {"also": [asdict(place) | {"path": str(place.path)} for place in hit.also]}
            for hit in answer.moments
        ],
    }


def _answer_text(answer: "Answer") -> str:
    """A moment a line: as `export` takes it, its times, its strength, its file."""
    named = [f"{hit.video}@{hit.start:.1f}-{hit.end:.1f}" for hit in answer.moments]
    width = max(map(len, named), default=0)
    lines = []
    for name, hit in zip(named, answer.moments, strict=True):
        lines.append(
            f"{name:{width}}  {clock(hit.start)} - {clock(hit.end)}  {hit.strength:4.0%}  "
            f"{one_line(str(hit.path))}"
        )
        lines += [f"{'':{width}}  {quote.sense}: {one_line(quote.text)}" for quote in hit.words]
        lines += [
            f"{'':{width}}  also {also.video}@{also.start:.1f}-{also.end:.1f} in "
            f"{one_line(str(also.path))}"
            for also in hit.also
        ]
    if answer.verdict == "none":
        weak = "; the nearest:" if lines else ""
        lines.insert(0, f"nothing in the library looks like that{weak}")
    elif answer.verdict == "possible":
        lines.insert(0, "no clear match; the best:")
    if answer.unknown:
        lines.append(f"unknown words, not used: {', '.join(answer.unknown)}")
    if answer.hardly_seen and answer.verdict != "none":
        lines.append(f"hardly anything called so was ever seen: {', '.join(answer.hardly_seen)}")
    if answer.missing:
        lines.append(
            f"found by itself: {', '.join(answer.there)}; "
            f"nothing looks like: {', '.join(answer.missing)}"
        )
    return "\n".join(lines)


def _offers(offered: Iterable["Suggestion"]) -> list[str]:
    return [f"did you mean {' or '.join(one.instead)}, not {one.word}?" for one in offered]


# Feedback


def _rate(options: argparse.Namespace) -> int:
    from vmr.library.store import Rating

    (id, start, end), good = options.moment, options.rating == "right"
    open_library(options.library).rate(Rating(options.words, id, start, end, good))
    return DONE


def _ratings(options: argparse.Namespace) -> int:
    from vmr.cli.kept import kept_of
    from vmr.media.outputs import written
    from vmr.search.feedback import save_annotations

    library, target = open_library(options.library), options.file
    videos = {video.id: video for video in library.videos()}
    with written(target, overwrite=options.overwrite, kept=kept_of(library, target)) as draft:
        count = save_annotations(library.ratings(), videos, draft.path)
    print(f"{count} lines in {one_line(str(draft.placed))}", file=sys.stderr)
    return DONE
