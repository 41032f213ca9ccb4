"""Seconds to the frame numbers and labels that editing programs count in, and back.

    clock = Clock.of(facts, fps)                    # exact rate, the file's own start
    clock.frame(58.0)                               # 1738, of 30000/1001 pictures a second
    clock.label(clock.frame(58.0))                  # "10:00:57:28", where it starts at ten o'clock

A label counts 30 frames a second where 29.97 are shown: non-drop labels fall behind the clock on
the wall by 3.6 s an hour, drop-frame ones leave out two numbers each minute but the tenth (SMPTE
ST 12-1). They are not times, and nothing here takes them for times.
"""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from feature_extract.video.spans import Facts
from feature_extract.video.timing import TOLERANCE

UNKNOWN: Final = Fraction(25)
NEAR: Final = 0.0015
"""By how much, of itself, a measured rate may lie beside a standard one and mean it."""
_WHOLE: Final = (8, 10, 12, 15, 16, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240)
_NTSC: Final = tuple(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120, 240))
STANDARD: Final = (*map(Fraction, _WHOLE), *_NTSC)
_LABEL: Final = re.compile(r"(\d+):(\d\d):(\d\d)([:;.,])(\d+)")  # all but a colon: drop-frame


def nominal(rate: Fraction | float) -> Fraction:
    """The standard rate that a measured one means; of variable rates, the whole number nearest."""
    if not 0 < rate < math.inf:
        return UNKNOWN
    best = min(STANDARD, key=lambda standard: abs(standard - Fraction(rate)))
    if abs(best - Fraction(rate)) <= NEAR * best:
        return best
    return Fraction(max(1, round(rate)))


def timebase(rate: Fraction) -> int:
    """How many frames a label counts as a second: 30 at 29.97."""
    return math.ceil(rate)


def can_drop(rate: Fraction) -> bool:
    """Whether drop-frame labels exist at this rate."""
    return rate.denominator == 1001 and timebase(rate) % 30 == 0


def label(frame: int, rate: Fraction, *, drop: bool = False) -> str:
    """Frame number `frame` as hours, minutes, seconds and frames; past a day from 0 again."""
    base = timebase(rate)
    if drop:
        missing = base // 15  # a minute
        ten, rest = divmod(frame, 600 * base - 9 * missing)
        minutes = max(0, rest - missing) // (60 * base - missing)
        frame += missing * (9 * ten + minutes)
    seconds, frames = divmod(frame % (24 * 3600 * base), base)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{clock}{';' if drop else ':'}{frames:02}"


def number(text: str, rate: Fraction) -> int:
    """The frame number of a label; drop-frame where no colon stands before the frames.

    Raises:
        ValueError: it is no label.
    """
    found = _LABEL.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no timecode, such as 10:00:00:00")
    hours, minutes, seconds, frames = (int(found[i]) for i in (1, 2, 3, 5))
    base = timebase(rate)
    frame = ((hours * 60 + minutes) * 60 + seconds) * base + frames
    if found[4] != ":" and can_drop(rate):
        passed = hours * 60 + minutes
        frame -= base // 15 * (passed - passed // 10)
    return frame


def is_drop(text: str) -> bool:
    """Whether a label is a drop-frame one, at rates that have such."""
    found = _LABEL.fullmatch(text.strip())
    return found is not None and found[4] != ":"


@dataclass(frozen=True)
class Clock:
    """How one file's pictures are numbered."""

    rate: Fraction
    start: int = 0
    "frame number of the first picture, by its own labels"
    drop: bool = False
    "whether those are drop-frame ones"
    zero: float = 0.0
    "seconds at which the first picture is shown"

    @classmethod
    def of(cls, facts: Facts | None, fps: float) -> "Clock":
        """By what a file says of itself; from 0 where it says nothing."""
        rate = nominal((facts.rate if facts else 0) or fps)
        text, zero = (facts.timecode, facts.counted_from) if facts else ("", 0.0)
        try:
            return cls(rate, number(text, rate), can_drop(rate) and is_drop(text), zero)
        except ValueError:
            return cls(rate, zero=zero)

    def frame(self, seconds: float) -> int:
        """The number, from the first picture, of the one that is on the screen then."""
        return max(0, math.floor((seconds - self.zero + TOLERANCE) * self.rate))

    def label(self, frame: int) -> str:
        """As the file labels it."""
        return label(self.start + frame, self.rate, drop=self.drop)

    def frames(self, start: float, end: float) -> tuple[int, int]:
        """The first frame of a span and the one after its last; one at least."""
        first = self.frame(start)
        return first, max(first + 1, self.frame(end))
