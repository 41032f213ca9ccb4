"""The commands that look after a library: index, list, remove, rescan, watch, doctor.

Heavy modules are imported inside the commands that need them, so that `--help` answers at once.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmr.cli.choosing import add_encoder, read_lacking, take_encoder
from vmr.cli.console import (
    DONE,
    FAILED,
    REFUSED,
    Commands,
    add_engine,
    add_index,
    add_store,
    clock,
    film_option,
    one_line,
    open_library,
    video_named,
)

PACKAGED = "tiny.en"
"""The speech model that every installation has."""

if TYPE_CHECKING:
    from feature_extract.transcript import Sense
    from vmr.library.engine import Engine
    from vmr.library.ingest import Ingest
    from vmr.library.jobs import Job
    from vmr.library.store import Library, Video
    from vmr.library.words import Look


def add_parsers(command: Commands) -> None:
    """Register the commands."""
    index = command(
        "index", _index, "Add videos: files, or folders searched to the bottom; in buckets, too."
    )
    index.add_argument("paths", nargs="+", type=film_option, metavar="PATH")
    index.add_argument("--json", action="store_true", help="print what became of every file")
    add_store(index)
    add_index(index)
    add_engine(index)
    _add_exclude(index)
    _add_words(index, "the model that listens: tiny.en, a folder, or a name such as small")
    add_encoder(index)

    listing = command("list", _list, "Show the videos and their state.")
    listing.add_argument(
        "--sort",
        choices=["added", "recorded"],
        default="added",
        help="recorded: earliest first; by the date of the file where it does not say",
    )
    listing.add_argument("--json", action="store_true")

    remove = command(
        "remove",
        _remove,
        "Forget videos. Your files stay; copies of uploads go when the page starts next.",
    )
    remove.add_argument("videos", nargs="*", metavar="ID_OR_PATH")
    remove.add_argument("--missing", action="store_true", help="every video whose file is gone")

    rescan = command("rescan", _rescan, "Look again for new, moved, changed and missing files.")
    rescan.add_argument(
        "paths",
        nargs="*",
        type=film_option,
        metavar="PATH",
        help="default: all folders indexed so far",
    )
    rescan.add_argument("--reindex", action="store_true", help="redo what other networks made")

    add_engine(rescan)
    _add_exclude(rescan)
    text = "listen to what has not been listened to, without reading a picture again"
    _add_words(rescan, text, nargs="?", const=PACKAGED)
    add_encoder(rescan)

    watch = command("watch", _watch, "Follow a folder: index what comes, once its copy is whole.")
    watch.add_argument("folder", type=film_option, metavar="DIR")
    _add_exclude(watch)

    doctor = command("doctor", _doctor, "Say what is installed and what is missing.")
    doctor.add_argument(
        "--words", dest="words_file", type=Path, metavar="FILE", help="as for search"
    )
    doctor.add_argument("--json", action="store_true")


def _add_exclude(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="PATTERN",
        help="leave out what matches, as a line of a .gitignore; as often as needed",
    )


def _add_words(parser: argparse.ArgumentParser, text: str, **how: Any) -> None:
    """What is kept with the library until it is said otherwise."""
    said = parser.add_mutually_exclusive_group()
    said.add_argument("--speech", metavar="MODEL", help=f"{text} (default: {PACKAGED})", **how)
    said.add_argument(
        "--no-speech",
        dest="speech",
        action="store_const",
        const="",
        help="from now on neither listen nor look for subtitles",
    )
    written = parser.add_mutually_exclusive_group()
    text = "read text in pictures, in the background after everything else"
    written.add_argument("--text", action="store_true", default=None, help=text)
    written.add_argument("--no-text", dest="text", action="store_false", help="no longer do")


def _want(library: "Library", options: argparse.Namespace) -> None:
    """Keep with the library what is to be looked for, once it is sure that it can be."""
    speech = options.speech
    if speech:
        from feature_extract.networks.speech import find_model

        find_model(speech, fetch=True)
        speech = os.path.abspath(speech) if os.path.isdir(speech) else speech  # noqa: PTH100, PTH112
    if speech is not None or options.text is not None:
        library.words.want(speech=speech, text=options.text)
        library.words.forget_failures()


def _index(options: argparse.Namespace) -> int:
    from vmr.library.engines import open_engine
    from vmr.library.films import one_look
    from vmr.library.rescan import find_and_remember
    from vmr.library.store import Library

    library = Library(options.library, store=options.store)
    if options.index:
        from vmr.search.indexes import place

        place(library, options.index)
    unread = take_encoder(library, options.encoder, options.prompt)
    _want(library, options)
    paths, exclude, passed = options.paths, options.exclude, list[Path]()
    engine = open_engine(library, options.engine, gpus=options.gpus_per_worker)
    with one_look():
        files, problems = find_and_remember(library, paths, exclude=exclude, passed=passed)
        jobs = ingest_files(library, files, engine)
    problems += unread
    if options.json:
        print(json.dumps({"files": [_job_record(job) for job in jobs], "problems": problems}))
    _say_passed(passed)
    return report(jobs, problems)


def _rescan(options: argparse.Namespace) -> int:
    from feature_extract.extract import extractor_fingerprint
    from vmr.library.encoders import extractor_of
    from vmr.library.engines import open_engine
    from vmr.library.ingest import Ingest
    from vmr.library.rescan import missing, rescan
    from vmr.library.store import Library
    from vmr.search.indexes import open_index
    from vmr.search.model import model_of

    library = Library(options.library)
    _want(library, options)
    if options.reindex:
        library.adopt(extractor_fingerprint(), reindex=True)
        open_index(library, model_of(library))  # of other weights it is made anew
    problems = take_encoder(library, options.encoder, options.prompt)
    engine = open_engine(library, options.engine, gpus=options.gpus_per_worker)
    with Ingest(library, extractor_of(library), engine) as ingest:
        found = rescan(library, ingest, options.paths, exclude=options.exclude, say=_say)
        jobs = finish(library, ingest)
    if not options.encoder:
        problems += read_lacking(library)
    for video in missing(library):
        line = one_line(f"missing: {video.path}")
        print(f"{line}; `remove --missing` forgets it", file=sys.stderr)
    unfinished = [f"{path}: still being written; rescan when it is whole" for path in found.growing]
    _say_passed(found.passed)
    return report(jobs, [*problems, *found.problems, *unfinished])


def _watch(options: argparse.Namespace) -> int:
    import signal
    from threading import Event

    from vmr.library.encoders import extractor_of
    from vmr.library.films import BucketPath
    from vmr.library.ingest import Ingest
    from vmr.library.store import Library
    from vmr.library.watch import keep_indexed

    stop = Event()

    def interrupted(*_: object) -> None:
        """An exception may be raised where nobody hears it, such as in a finaliser: an event is
        seen at the next tick. The second Ctrl-C is an exception again."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop.set()

    if isinstance(options.folder, BucketPath):
        raise ValueError(f"{options.folder}: a bucket tells of no changes; `rescan` looks into it")
    if not options.folder.is_dir():
        raise ValueError(f"{options.folder}: no such folder")
    library = Library(options.library)
    print(f"following {options.folder}; Ctrl-C stops", file=sys.stderr)
    signal.signal(signal.SIGINT, interrupted)
    with Ingest(library, extractor_of(library)) as ingest:
        jobs = keep_indexed(
            library,
            ingest,
            options.folder,
            stop,
            exclude=options.exclude,
            say=_say,
        )
        for job in jobs:
            print(one_line(f"{job.state}: {job.path}  {job.reason}").rstrip(), flush=True)
    raise KeyboardInterrupt  # nothing else ends it


def _say(line: str) -> None:
    print(one_line(line), file=sys.stderr, flush=True)


def ingest_files(
    library: "Library", files: Iterable[Path], engine: "Engine | None" = None
) -> Sequence["Job"]:
    """Index files, with a progress bar, and bring the index up to date; what became of each."""
    from tqdm import tqdm

    from vmr.library.encoders import extractor_of
    from vmr.library.ingest import Ingest

    with Ingest(library, extractor_of(library), engine) as ingest:
        # Of many files on a slow disk even a look at each takes long.
        ingest.add(tqdm(files, desc="looking", unit=" files", disable=None, leave=False))
        return finish(library, ingest)


def finish(library: "Library", ingest: "Ingest") -> Sequence["Job"]:
    """Wait for the queue, with a progress bar, and bring the index up to date."""
    _show(ingest)
    jobs = ingest.progress().jobs
    if any(job.taken and not job.skipped for job in jobs):
        from vmr.search.indexes import open_index
        from vmr.search.model import model_of

        # Any search brings the index up to date; this one spares the next search the wait.
        open_index(library, model_of(library))
    return jobs


def _show(ingest: "Ingest") -> None:
    """A progress bar over the bytes of all files, until the queue is empty."""
    from tqdm import tqdm

    total = sum(job.size_bytes for job in ingest.progress().jobs if job.open)
    with tqdm(total=total, unit="B", unit_scale=True, disable=None if total else True) as bar:
        while (progress := ingest.progress()).running and not ingest.wait(0.2):
            bar.n = round(total * progress.fraction)
            current = [job.path.name for job in progress.jobs if job.state == "indexing"]
            bar.set_description(progress.note or "".join(current[:1]), refresh=True)
        bar.n = total
        _show_words(ingest)


def _show_words(ingest: "Ingest") -> None:
    """A second bar while words are found; what stops that is said, and fails nothing."""
    from tqdm import tqdm

    left = ingest.words.progress().left
    if left:
        with tqdm(total=left, unit="video", desc="words", disable=None) as bar:
            while not ingest.wait(0.2):
                progress = ingest.words.progress()
                bar.n = max(0.0, left - progress.left + progress.fraction)
                bar.refresh()
            bar.n = left
    if note := ingest.words.progress().note:
        print(f"words: {one_line(note)}", file=sys.stderr)


def _say_passed(passed: Sequence[Path]) -> None:
    """How many files were taken for no videos, where there are any."""
    if passed:
        print(f"{len(passed)} passed over as no videos; --verbose names them", file=sys.stderr)


def report(jobs: Sequence["Job"], problems: Sequence[str]) -> int:
    """Say what was not taken, and how many files were; the exit status."""
    left = [job for job in jobs if not job.taken]
    waiting = [job for job in left if job.state == "waiting"]
    for line in problems:
        print(f"refused: {one_line(line)}", file=sys.stderr)
    for job in left:
        said = "waiting" if job.state == "waiting" else "refused"
        print(f"{said}: {one_line(f'{job.path}: {job.reason}')}", file=sys.stderr)
    for job in jobs:
        if job.state == "partly readable":
            print(f"partly readable: {one_line(f'{job.path}: {job.reason}')}", file=sys.stderr)
    skipped = sum(job.skipped and job.taken for job in jobs)
    indexed = len(jobs) - skipped - len(left)
    refused = len(problems) + len(left) - len(waiting)
    summary = f"{indexed} indexed, {skipped} unchanged, {refused} refused"
    print(summary + (f", {len(waiting)} waiting" if waiting else ""), file=sys.stderr)
    return REFUSED if problems or left else DONE


def _job_record(job: "Job") -> dict[str, Any]:
    return {
        "video": job.video,
        "path": str(job.path),
        "state": job.state,
        "reason": job.reason,
        "unchanged": job.skipped,
    }


# Asking


def _list(options: argparse.Namespace) -> int:
    library = open_library(options.library)
    videos, looks = library.videos(), library.words.looks()
    if options.sort == "recorded":
        videos = sorted(videos, key=lambda video: video.when)
    if options.json:
        records = [_video_record(video, looks.get(video.id, {})) for video in videos]
        print(json.dumps({"videos": records}))
        return DONE
    for video in videos:
        print(_video_line(video))
        for sense, look in looks.get(video.id, {}).items():
            said = "; ".join(filter(None, [look.origin, look.reason]))
            if said != "no sound":  # which is nothing to be told of every silent film
                print(f"{'':36}{sense}: {one_line(said)}")
        for name in video.also:
            print(f"{'':36}also {one_line(str(name))}")
    return DONE


def _remove(options: argparse.Namespace) -> int:
    from vmr.library.rescan import missing
    from vmr.library.store import Library

    if not options.videos and not options.missing:
        raise ValueError("name the videos to forget, or use --missing")
    library = Library(options.library)
    chosen = [video_named(library, name) for name in options.videos]
    if options.missing:
        library.check_presence()
        chosen += missing(library)
    for video in {video.id: video for video in chosen}.values():
        library.remove(video.id)
        print(f"forgotten: {one_line(str(video.path))}")
    return DONE


def _doctor(options: argparse.Namespace) -> int:
    from vmr.cli.doctor import examine, examine_library

    checks = [*examine(), *examine_library(options.library, options.words_file)]
    if options.json:
        print(json.dumps({"checks": [asdict(check) for check in checks]}))
    else:
        for check in checks:
            print(f"{'ok  ' if check.good else 'LACK'}  {check.name}: {check.finding}")
            if not check.good and check.advice:
                print(f"      {check.advice}")
    return DONE if all(check.good for check in checks) else FAILED


def _video_record(video: "Video", looks: "Mapping[Sense, Look]") -> dict[str, Any]:
    names = {"name": video.name, "path": str(video.path), "also": [str(p) for p in video.also]}
    words = {sense: look.origin for sense, look in looks.items() if look.origin}
    reasons = {sense: look.reason for sense, look in looks.items() if look.reason}
    told = {"recorded": video.recording.text, "words": words, "words_reason": reasons}
    return asdict(video) | names | told


def _video_line(video: "Video") -> str:
    state = f"indexing {video.progress:.0%}" if video.state == "indexing" else video.state
    line = f"{video.id:5}  {state:15}  {clock(video.duration)}  {video.path}"
    said = (video.recording.text, video.recording.camera, video.recording.place)
    line += "".join(f"  {one}" for one in said if one)
    return one_line(f"{line}  ({video.reason})" if video.reason else line)
