"""The command line: parse, call one function of the library, print.

    python -m vmr index FOLDER --library LIBRARY
    python -m vmr search "a dog runs on the beach" --library LIBRARY --json

Heavy modules are imported inside the commands that need them, so that `--help` answers at once.
Exit status: 0 done, 1 an error (one line says which), 2 wrong usage, 3 some files were refused.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmr.database import default_library

if TYPE_CHECKING:
    from vmr.ingest import Ingest, Job
    from vmr.search import Answer
    from vmr.store import Library, Video

DONE, FAILED, REFUSED = 0, 1, 3
ASKING = """forms of WORDS:
  a dog on a beach                              words, as they come
  a dog AND a ball                              both at the same time
  a dog -crowd -"parked car"                    without what follows a minus sign
  a man enters THEN sits down WITHIN 20         in this order, at most 20 s apart (default: 60)
words that begin with a minus sign go after --, as in: search -- -crowd a dog"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    for stream in (sys.stdout, sys.stderr):  # a file name need not be printable
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        print("stopped; what was finished is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away, such as `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # the outermost edge: no traceback reaches a user
        if sys.flags.dev_mode:  # python -X dev -m vmr ... shows it to a developer
            raise
        known = isinstance(error, (ValueError, OSError))
        print(f"error: {'' if known else type(error).__name__ + ': '}{error}", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vmr", description="Find moments in videos by what happens in them."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--library",
        type=Path,
        default=default_library(),
        metavar="DIR",
        help="default: %(default)s",
    )

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text, parents=[shared])
        made.set_defaults(run=run)
        return made

    index = command("index", _index, "Add videos: files, or folders searched to the bottom.")
    index.add_argument("paths", nargs="+", type=Path, metavar="PATH")
    index.add_argument("--json", action="store_true", help="print what became of every file")

    search = command("search", _search, "Find moments by words, by a picture, or by a moment.")
    search.formatter_class = argparse.RawDescriptionHelpFormatter
    search.epilog = ASKING
    asked = search.add_mutually_exclusive_group(required=True)
    asked.add_argument("words", metavar="WORDS", nargs="?")
    asked.add_argument("--like", type=_moment, metavar="ID@SECONDS", help="like this moment")
    asked.add_argument("--picture", type=Path, metavar="FILE", help="like this picture")
    search.add_argument("--video", metavar="ID_OR_PATH", help="look only into this video")
    search.add_argument("--folder", type=Path, metavar="DIR", help="only into videos in here")
    search.add_argument("--since", type=_day, metavar="DATE", help="files of this day and later")
    search.add_argument("--until", type=_day, metavar="DATE", help="files from before this day")
    search.add_argument(
        "--min-length", type=float, default=0.0, metavar="SECONDS", help="videos as long or longer"
    )
    search.add_argument("--top", type=_positive, default=10, metavar="N", help="default: 10")
    search.add_argument("--words-file", type=Path, metavar="FILE", help="glove.*.txt or word2vec")
    search.add_argument("--json", action="store_true")

    listing = command("list", _list, "Show the videos and their state.")
    listing.add_argument("--json", action="store_true")

    remove = command("remove", _remove, "Forget videos; the files themselves stay.")
    remove.add_argument("videos", nargs="*", metavar="ID_OR_PATH")
    remove.add_argument("--missing", action="store_true", help="every video whose file is gone")

    rescan = command("rescan", _rescan, "Look again for new, moved, changed and missing files.")
    rescan.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="default: all folders indexed so far"
    )
    rescan.add_argument("--reindex", action="store_true", help="redo what other networks made")

    watch = command("watch", _watch, "Follow a folder: index what comes, once its copy is whole.")
    watch.add_argument("folder", type=Path, metavar="DIR")

    doctor = command("doctor", _doctor, "Say what is installed and what is missing.")
    doctor.add_argument("--json", action="store_true")

    demo = commands.add_parser("demo", help="Open the page on a small sample library.")
    demo.add_argument("rest", nargs=argparse.REMAINDER, help="options of app.py, such as --port")
    demo.set_defaults(run=_demo)
    if find_spec("vmr.research_cli"):
        from vmr.research_cli import add_parsers

        add_parsers(commands)
    return parser


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


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


# Adding videos


def _index(options: argparse.Namespace) -> int:
    from vmr.store import Library

    library = Library(options.library)
    files, problems = _find(library, options.paths)
    jobs = _ingest(library, files)
    if options.json:
        print(json.dumps({"files": [_job_record(job) for job in jobs], "problems": problems}))
    return _report(jobs, problems)


def _rescan(options: argparse.Namespace) -> int:
    from feature_extract.extract import extractor_fingerprint
    from vmr.store import Library

    library = Library(options.library)
    if options.reindex:
        library.adopt(extractor_fingerprint(), reindex=True)
    library.check_presence()
    files, problems = _find(library, options.paths or library.folders())
    known = [video.path for video in library.videos() if video.state != "missing"]
    jobs = _ingest(library, dict.fromkeys([*known, *files]), retry=False)
    for video in library.videos():
        if video.state == "missing":
            line = _one_line(f"missing: {video.path}")
            print(f"{line}; `remove --missing` forgets it", file=sys.stderr)
    return _report(jobs, problems)


def _watch(options: argparse.Namespace) -> int:
    from threading import Event

    from feature_extract.extract import Extractor
    from vmr.ingest import Ingest
    from vmr.store import Library
    from vmr.watch import keep_indexed

    library = Library(options.library)
    print(f"following {options.folder}; Ctrl-C stops", file=sys.stderr)
    with Ingest(library, Extractor) as ingest:
        for job in keep_indexed(library, ingest, options.folder, Event()):
            print(_one_line(f"{job.state}: {job.path}  {job.reason}").rstrip(), flush=True)
    return DONE


def _find(library: "Library", paths: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """The video files that these paths name, and what is wrong with the others."""
    from vmr.ingest import find_videos
    from vmr.store import LibraryError

    files, problems = [], []
    for path in paths:
        try:
            files += find_videos([path])
        except LibraryError as error:
            problems.append(str(error))
        if path.is_dir():
            library.remember(path)
    return files, problems


def _ingest(library: "Library", files: Iterable[Path], *, retry: bool = True) -> Sequence["Job"]:
    from feature_extract.extract import Extractor
    from vmr.index import ClipIndex
    from vmr.ingest import Ingest
    from vmr.ranker import Ranker

    with Ingest(library, Extractor) as ingest:
        ingest.add(files, retry=retry)
        _show(ingest)
        jobs = ingest.progress().jobs
    if any(job.taken and not job.skipped for job in jobs):
        # Any search brings the index up to date; this one spares the next search the wait.
        ClipIndex.open(library, Ranker.load())
    return jobs


def _show(ingest: "Ingest") -> None:
    """A progress bar over the bytes of all files, until the queue is empty."""
    from tqdm import tqdm

    total = sum(job.size_bytes for job in ingest.progress().jobs if job.open)
    with tqdm(total=total, unit="B", unit_scale=True, disable=None if total else True) as bar:
        while not ingest.wait(0.2):
            progress = ingest.progress()
            bar.n = round(total * progress.fraction)
            current = [job.path.name for job in progress.jobs if job.state == "indexing"]
            bar.set_description(progress.note or "".join(current[:1]), refresh=True)
        bar.n = total


def _report(jobs: Sequence["Job"], problems: Sequence[str]) -> int:
    refused = [f"{job.path}: {job.reason}" for job in jobs if not job.taken]
    for line in (*problems, *refused):
        print(f"refused: {_one_line(line)}", file=sys.stderr)
    for job in jobs:
        if job.state == "partly readable":
            print(f"partly readable: {_one_line(f'{job.path}: {job.reason}')}", file=sys.stderr)
    skipped = sum(job.skipped and job.taken for job in jobs)
    indexed = len(jobs) - skipped - len(refused)
    count = len(problems) + len(refused)
    print(f"{indexed} indexed, {skipped} unchanged, {count} refused", file=sys.stderr)
    return REFUSED if count else DONE


def _job_record(job: "Job") -> dict[str, Any]:
    return {
        "video": job.video,
        "path": str(job.path),
        "state": job.state,
        "reason": job.reason,
        "unchanged": job.skipped,
    }


# Asking


def _search(options: argparse.Namespace) -> int:
    from vmr.ranker import Ranker
    from vmr.search import Searcher
    from vmr.text import Words

    library = _open(options.library)
    video = None if options.video is None else _video(library, options.video).id
    among = _among(options, library)
    searcher = Searcher(library, Ranker.load(), Words.load(options.words_file))
    if options.like:
        id, second = options.like
        answer = searcher.like(id, second, second + 0.001, among=among, top=options.top)
    elif options.picture:
        from vmr.picture import PictureReader

        row = PictureReader().row(options.picture)
        answer = searcher.like_picture(row, video=video, among=among, top=options.top)
    else:
        answer = searcher.search(options.words, video=video, among=among, top=options.top)
    print(json.dumps(_answer_record(answer)) if options.json else _answer_text(answer))
    return DONE


def _among(options: argparse.Namespace, library: "Library") -> Collection[int] | None:
    if options.folder is None and not (options.since or options.until or options.min_length):
        return None
    from vmr.asking import Scope

    since, until = options.since or -math.inf, options.until or math.inf
    return Scope(options.folder, since, until, options.min_length).choose(library.videos())


def _answer_record(answer: "Answer") -> dict[str, Any]:
    return {
        "query": answer.query,
        "unknown_words": list(answer.unknown_words),
        "verdict": answer.verdict,
        "moments": [asdict(hit) | {"path": str(hit.path)} for hit in answer.moments],
    }


def _answer_text(answer: "Answer") -> str:
    lines = [
        f"{_clock(hit.start)} - {_clock(hit.end)}  {hit.strength:4.0%}  {_one_line(str(hit.path))}"
        for hit in answer.moments
    ]
    if answer.verdict == "none":
        weak = "; the nearest:" if lines else ""
        lines.insert(0, f"nothing in the library looks like that{weak}")
    if answer.unknown_words:
        lines.append(f"unknown words, not used: {', '.join(answer.unknown_words)}")
    return "\n".join(lines)


# Looking after the library


def _list(options: argparse.Namespace) -> int:
    videos = _open(options.library).videos()
    if options.json:
        print(json.dumps({"videos": [_video_record(video) for video in videos]}))
        return DONE
    for video in videos:
        print(_video_line(video))
        for name in video.also:
            print(f"{'':36}also {_one_line(str(name))}")
    return DONE


def _remove(options: argparse.Namespace) -> int:
    from vmr.store import Library

    if not options.videos and not options.missing:
        raise ValueError("name the videos to forget, or use --missing")
    library = Library(options.library)
    chosen = [_video(library, name) for name in options.videos]
    if options.missing:
        library.check_presence()
        chosen += [video for video in library.videos() if video.state == "missing"]
    for video in {video.id: video for video in chosen}.values():
        library.remove(video.id)
        print(f"forgotten: {_one_line(str(video.path))}")
    return DONE


def _doctor(options: argparse.Namespace) -> int:
    from vmr.doctor import examine, examine_library

    checks = [*examine(), examine_library(options.library)]
    if options.json:
        print(json.dumps({"checks": [asdict(check) for check in checks]}))
    else:
        for check in checks:
            print(f"{'ok  ' if check.good else 'LACK'}  {check.name}: {check.finding}")
            if not check.good and check.advice:
                print(f"      {check.advice}")
    return DONE if all(check.good for check in checks) else FAILED


def _demo(options: argparse.Namespace) -> int:
    import app
    from vmr.samples import build_samples
    from vmr.store import Library

    library = Path(".demo") / "library"
    jobs = _ingest(Library(library), build_samples(Path(".demo") / "videos"))
    if _report(jobs, []):
        return REFUSED
    app.main(["--library", str(library), *options.rest])
    return DONE


def _open(folder: Path) -> "Library":
    """An existing library, also one that may only be read."""
    from vmr.store import Library

    there = (folder / "library.db").is_file()
    return Library(folder, read_only=not (there and os.access(folder, os.W_OK)))


def _video(library: "Library", name: str) -> "Video":
    """The video with this id or path."""
    found = library.find(Path(name))
    if found is not None:
        return found
    if name.isdecimal():
        return library.video(int(name))
    raise ValueError(f"{name}: no such video in {library.folder}; `list` shows what there is")


def _video_record(video: "Video") -> dict[str, Any]:
    names = {"name": video.name, "path": str(video.path), "also": [str(p) for p in video.also]}
    return asdict(video) | names


def _video_line(video: "Video") -> str:
    state = f"indexing {video.progress:.0%}" if video.state == "indexing" else video.state
    line = f"{video.id:5}  {state:15}  {_clock(video.duration)}  {video.path}"
    return _one_line(f"{line}  ({video.reason})" if video.reason else line)


def _clock(seconds: float) -> str:
    tenths = int(max(0.0, seconds) * 10)
    return f"{tenths // 36000:02}:{tenths // 600 % 60:02}:{tenths // 10 % 60:02}.{tenths % 10}"


def _one_line(text: str) -> str:
    """A file name may hold a line break; the terminal shows it as \\n."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


if __name__ == "__main__":
    sys.exit(main())
