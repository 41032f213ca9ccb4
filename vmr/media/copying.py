"""Moments as they are in their files: streams copied, and what came out compared with the source.

A copy begins at the key picture before the moment. Where that lies is ffmpeg's guess in containers
without an index: the pictures of the moment are looked for in the result, and if one is missing the
file is gone through from its head.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_extract.video.spans import Facts, read_facts, read_span
from vmr.library.catalogue import readable
from vmr.media.ffmpeg import NOTHING, FfmpegError, input_of, run
from vmr.media.taking import UNKNOWN_RATE, Span, named

COMPARED: Final = 2.0
"""Seconds at either end of a moment that are looked at afterwards."""
LOOK: Final = (64, 64)
"""Pixels that pictures are compared in."""
LOSSY: Final = "cannot be cut here without losing pictures; export without --copy"
LEADS: Final = (0.001, 0.1, 0.2, 0.3, 0.5)
"""Seconds by which a picture may be stored before it is shown; ffmpeg goes by the former."""
ALIKE: Final = 3.0
"""Mean difference, of 255, of one picture read from two files."""
PATIENCE: Final = 20.0
"""Seconds that ffmpeg may take for a second of film, or for 100 MB that lie before it."""

Way = tuple[list[str], list[str]]
"""Arguments of ffmpeg before the input, and after it."""
Pictures = NDArray[np.int_]  # (N, H, W, 3)


def copy_clip(span: Span, target: Path, *, keep_tags: bool = True) -> str:
    """Write the streams of a span as they are, from the key picture before its start.

    Returns a word about sound that had to be left out; empty where there is nothing to say.

    Raises:
        FfmpegError: the container of `target` cannot hold them, or the file cannot be cut there
            without losing pictures.
    """
    path, start, end = span
    with named(path):
        facts = read_facts(path)
        wanted, key = _pictures(path, _windows(start, end))
    tags = ["-map_metadata", "-1"]
    for name, text in facts.tags.items() if keep_tags else ():
        tags += ["-metadata", f"{name}={text}"]
    sound = _sound(facts)
    try:
        _copy(span, target, [*sound, *tags], facts, wanted, key)
    except FfmpegError:
        if not sound or any(codec for _, codec in facts.sounds):
            raise
        _copy(span, target, tags, facts, wanted, key)  # nobody knows what it is; not even mkv
        return "its sound (of a kind unknown here) cannot be copied and is left out"
    return ""


def _copy(
    span: Span,
    target: Path,
    more: list[str],
    facts: Facts,
    wanted: list[Pictures],
    key: float,
) -> None:
    """With `more` arguments: streams beside the pictures, and tags."""
    path, start, end = span
    name = readable(path.name)
    # The second field of the last picture may be a packet of its own, behind the end.
    last = end + 0.5 / float(facts.rate or UNKNOWN_RATE)
    # The other ways read all that comes before, and take packets by their times.
    by_seeking: Way = ["-ss", f"{start:.6f}", "-t", f"{last - start:.6f}"], []
    by_reading: list[Way] = [([], _from(key - lead, last)) for lead in LEADS]
    streams = ["-map", f"0:{facts.video_stream}", *more]
    plain = ["-c", "copy", "-avoid_negative_ts", "make_zero"]
    failed = FfmpegError(f"{name}: {LOSSY}")
    for before, after in (by_seeking, *by_reading):
        try:
            run(
                [*before, "-fflags", "+genpts", *input_of(path)],  # program streams lack some
                [*after, *streams, *plain, "-movflags", "+faststart+use_metadata_tags"],
                target,
                name=name,
                timeout_seconds=120 + PATIENCE * (end - start + path.stat().st_size / 1e8),
            )
        except FfmpegError as error:
            failed = failed if NOTHING in str(error) else error  # said of one way to take them
            continue
        if _holds(target, wanted, _windows(start, end), key):
            return
    target.unlink(missing_ok=True)
    raise failed


def _from(start: float, end: float) -> list[str]:
    """For ffmpeg: of these seconds; from the head without a start, as its first picture may be
    stored before zero, and is left out then."""
    if start <= 0:
        return ["-t", f"{end:.6f}"]
    return ["-ss", f"{start:.6f}", "-t", f"{end - start:.6f}"]


def _sound(facts: Facts) -> list[str]:
    """The stream of sound: of those that can be decoded the first, or any."""
    known = [number for number, codec in facts.sounds if codec]
    others = [number for number, codec in facts.sounds if not codec]
    return [arg for number in [*known, *others][:1] for arg in ("-map", f"0:{number}")]


def _windows(start: float, end: float) -> list[tuple[float, float]]:
    """The parts that are compared: all of a short moment, both ends of a long one."""
    if end - start <= 2 * COMPARED:
        return [(start, end)]
    return [(start, start + COMPARED), (end - COMPARED, end)]


def _pictures(path: Path, windows: list[tuple[float, float]]) -> tuple[list[Pictures], float]:
    """The pictures of these spans, and the first one that was decoded for them, in seconds."""
    found, key = [], 0.0
    for number, (start, end) in enumerate(windows):
        with read_span(path, start, end, box=LOOK) as reader:
            batches = list(reader)
        found.append(np.concatenate([batch.pixels for batch in batches]).astype(int))
        key = key if number else reader.key or 0.0
    return found, key


def _holds(
    copy: Path, wanted: list[Pictures], windows: list[tuple[float, float]], key: float
) -> bool:
    """Whether the pictures of these spans are in the copy, as many, first to last."""
    try:
        _, first = _pictures(copy, [(0.0, 1e-3)])
        moved = [(start - key + first, end - key + first) for start, end in windows]
        found, _ = _pictures(copy, moved)
    except ValueError:  # not even a video
        return False
    return all(
        len(ours) == len(theirs)
        and bool((np.abs(ours - theirs).mean(axis=(1, 2, 3)) < ALIKE).all())
        for ours, theirs in zip(found, wanted, strict=True)
    )
