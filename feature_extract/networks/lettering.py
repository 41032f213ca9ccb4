"""Text in pictures: lines read by rapidocr, and the spans of time for which they are shown.

reader = LetterReader()
lines = reader.lines(picture)                  # (H, W, 3) uint8 RGB -> [Line("EXIT", 0.99)]
times = looked_at(cuts, duration)              # one picture a shot, at most one every 5 s
spans = shown([Seen(Look(2.5, 0.0, 5.0), lines), ...])
"""

import importlib.util
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz

from feature_extract.transcript import TextSpan, in_order

LEAST_CONFIDENCE: Final = 0.8
LEAST_CHARACTERS: Final = 2
"""Letters and digits: single ones are found in fur and leaves."""
EVERY_SECONDS: Final = 5.0
"""At most one picture is looked at in so long."""
AFTER_CUT: Final = 0.5
"""Seconds into a shot at which its picture is taken: by then fades are over."""
SAME: Final = 88.0
"""Per cent of two lines that have to agree to be one: a letter is read another way now and then."""
CHANGE: Final = 12.0
"""Levels (of 255) by which some small block of a picture has to differ to be looked at anew."""
BLOCK: Final = 8
"""Pixels on a side of such a block."""

Picture = NDArray[np.uint8]  # (H, W, 3) RGB


class Line(NamedTuple):
    """A line of text in a picture."""

    text: str
    confidence: float
    "0..1"


class Look(NamedTuple):
    """A time at which a picture is looked at, and for how long it stands. Seconds."""

    seconds: float
    start: float
    end: float


class Seen(NamedTuple):
    """The lines of one picture, and for how long it stands."""

    look: Look
    lines: Sequence[Line]


class LetterReader:
    """Reads lines in pictures; loads its networks at the first."""

    def __init__(self, *, threads: int = 1) -> None:
        self._threads = threads
        self._engine: Any = None
        self._last: Picture | None = None
        self._lines: list[Line] = []

    def lines(self, picture: Picture) -> list[Line]:
        """The lines of a picture, from its top. A picture like the one before is not read again."""
        if self._last is None or differs(self._last, picture):
            self._last, self._lines = picture, self._read(picture)
        return self._lines

    def _read(self, picture: Picture) -> list[Line]:
        if self._engine is None:
            self._engine = _engine(self._threads)
        found = self._engine(np.ascontiguousarray(picture[..., ::-1]))  # it wants BGR
        lines = [
            Line(" ".join(text.split()), min(1.0, float(score)))
            for text, score in zip(found.txts or (), found.scores or (), strict=True)
        ]
        return [line for line in lines if is_text(line)]


def _engine(threads: int) -> Any:
    from rapidocr import RapidOCR

    package = importlib.util.find_spec("rapidocr")
    assert package is not None
    assert package.origin is not None
    models = Path(package.origin).parent / "models"
    return RapidOCR(
        params={
            # Named in full, so that it never looks on the network for them.
            "Det.model_path": str(models / "PP-OCRv6_det_small.onnx"),
            "Rec.model_path": str(models / "PP-OCRv6_rec_small.onnx"),
            "Global.use_cls": False,  # which finds lines that stand on their head
            "Global.log_level": "error",
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
        }
    )


def is_text(line: Line) -> bool:
    """Whether a find is sure enough and long enough to be kept."""
    enough = sum(map(str.isalnum, line.text)) >= LEAST_CHARACTERS
    return enough and line.confidence >= LEAST_CONFIDENCE


def differs(one: Picture, other: Picture) -> bool:
    """Whether two pictures differ in some place that a letter could be in."""
    if one.shape != other.shape:
        return True
    return bool(np.abs(_blocks(one) - _blocks(other)).max(initial=0.0) > CHANGE)


def _blocks(picture: Picture) -> NDArray[np.float32]:
    """Mean green, nearly the brightness, of small blocks (H / 8, W / 8); of tiny pictures none."""
    height, width = (side // BLOCK * BLOCK for side in picture.shape[:2])
    green = picture[:height, :width, 1].astype(np.float32)
    return np.asarray(
        green.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).mean(axis=(1, 3))
    )


def looked_at(cuts: Sequence[float], duration: float) -> list[Look]:
    """When to look: once a shot, shortly after its beginning, and every EVERY_SECONDS in long ones.
    Of shots that come faster, some are left out.

    Args:
        cuts: seconds at which shots begin, ascending, the first one apart.
        duration: of the video, in seconds.
    """
    edges = [0.0, *(cut for cut in cuts if 0 < cut < duration), duration]
    found: list[Look] = []
    last = -EVERY_SECONDS
    for start, end in pairwise(edges):
        seconds = max(min(start + AFTER_CUT, (start + end) / 2), last + EVERY_SECONDS)
        taken = []
        while seconds < end:
            taken.append(seconds)
            last, seconds = seconds, seconds + EVERY_SECONDS
        middles = [start, *((a + b) / 2 for a, b in pairwise(taken)), end]
        found += [Look(at, a, b) for at, (a, b) in zip(taken, pairwise(middles), strict=False)]
    return found


def shown(pictures: Iterable[Seen]) -> tuple[TextSpan, ...]:
    """Lines of pictures as spans: the same line in pictures that follow each other is one."""
    done: list[TextSpan] = []
    held: list[TextSpan] = []
    for picture in pictures:
        going: list[TextSpan] = []
        for line in picture.lines:
            before = next((span for span in held if _same(span, line)), None)
            if before is not None:
                held.remove(before)
            going.append(_longer(before, picture, line))
        done += held
        held = going
    return in_order([*done, *held])


def _same(span: TextSpan, line: Line) -> bool:
    return bool(fuzz.ratio(span.text.casefold(), line.text.casefold()) >= SAME)


def _longer(before: TextSpan | None, picture: Seen, line: Line) -> TextSpan:
    """A line that goes on, in the spelling that was the surest."""
    if before is None:
        return TextSpan(
            picture.look.start, picture.look.end, line.text, (), round(line.confidence, 3)
        )
    surer = line.confidence > (before.confidence or 0.0)
    text, sure = (line.text, line.confidence) if surer else (before.text, before.confidence)
    return TextSpan(
        before.start, picture.look.end, text, (), None if sure is None else round(sure, 3)
    )
