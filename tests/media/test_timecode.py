"""Frames and labels at the rates of television, by hand-worked tables and by OpenTimelineIO."""

from fractions import Fraction

import opentimelineio as otio
import pytest

from vmr.media.timecode import Clock, label, nominal, number

FILM, NTSC, FAST = Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001)

# Worked by hand: the number of the frame on the screen is floor(seconds x rate); non-drop labels
# are plain division, drop-frame ones leave out :00 and :01 (at 59.94 :00 to :03) each minute but
# the tenth.
TABLE = [
    # rate, drop, frame, label
    (FILM, False, 86313, "00:59:56:09"),  # an hour: 3600 x 23.976 = 86,313.7
    (NTSC, False, 1738, "00:00:57:28"),
    (NTSC, False, 107892, "00:59:56:12"),
    (NTSC, True, 1799, "00:00:59;29"),
    (NTSC, True, 1800, "00:01:00;02"),
    (NTSC, True, 17981, "00:09:59;29"),
    (NTSC, True, 17982, "00:10:00;00"),
    (NTSC, True, 107892, "01:00:00;00"),
    (FAST, False, 3600, "00:01:00:00"),
    (FAST, True, 3599, "00:00:59;59"),
    (FAST, True, 3600, "00:01:00;04"),
    (FAST, True, 35964, "00:10:00;00"),
    (Fraction(25), False, 126, "00:00:05:01"),
    (Fraction(25), False, 2160000, "00:00:00:00"),  # a day later
]


@pytest.mark.parametrize(("rate", "drop", "frame", "text"), TABLE)
def test_labels_are_those_of_the_hand_worked_table(
    rate: Fraction, drop: bool, frame: int, text: str
) -> None:
    assert label(frame, rate, drop=drop) == text
    if frame < 24 * 3600 * 25:
        assert number(text, rate) == frame % (24 * 3600 * 25)


@pytest.mark.parametrize("rate", [FILM, NTSC, FAST, Fraction(25), Fraction(50)])
@pytest.mark.parametrize("drop", [False, True])
def test_labels_are_those_of_opentimelineio(rate: Fraction, drop: bool) -> None:
    if drop and rate not in (NTSC, FAST):
        return
    for frame in [*range(0, 200_000, 977), 1799, 1800, 1801, 17981, 17982, 107891, 107892]:
        time = otio.opentime.RationalTime(frame, float(rate))
        theirs = otio.opentime.to_timecode(time, float(rate), drop)
        assert label(frame, rate, drop=drop) == theirs
        assert number(theirs, rate) == frame


@pytest.mark.parametrize(
    ("measured", "meant"),
    [
        (29.97, NTSC),
        (29.970029, NTSC),
        (23.976, FILM),
        (59.94, FAST),
        (30.0, Fraction(30)),
        (25.0, Fraction(25)),
        (14.7, Fraction(15)),
        (0.2, Fraction(1)),
        (0.0, Fraction(25)),
    ],
)
def test_a_measured_rate_means_a_standard_one(measured: float, meant: Fraction) -> None:
    assert nominal(measured) == meant


def test_the_frame_of_a_second_is_the_one_on_the_screen() -> None:
    clock = Clock(NTSC, number("10:00:00:00", NTSC))
    assert clock.frame(58.0) == 1738
    assert clock.label(1738) == "10:00:57:28"
    # Frame 1,738 begins at 57.9913 s: told as 57.991, it is still that one.
    assert clock.frame(57.991) == 1738
    assert Clock(Fraction(25)).frames(5.04, 6.0) == (126, 150)
    assert Clock(Fraction(25)).frames(5.04, 5.05) == (126, 127)


@pytest.mark.parametrize("text", ["", "10:00", "a:b:c:d", "10:00:00"])
def test_what_is_no_label_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is no timecode"):
        number(text, NTSC)
