"""What a transcript holds, and what it refuses."""

import math

import pytest

from feature_extract.transcript import TextSpan, TimedWord, Transcript, in_order


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        (2, 1, "a"),
        (1, 1, "a"),
        (-1, 1, "a"),
        (0, math.inf, "a"),
        (math.nan, 1, "a"),
        (0, 1, ""),
        (0, 1, " a"),
        (0, 1, "a\nb"),
    ],
)
def test_a_span_without_time_or_text_is_refused(start: float, end: float, text: str) -> None:
    for kind in (TimedWord, TextSpan):
        with pytest.raises(ValueError, match=r"no span of time|text must be"):
            kind(start, end, text)


def test_a_transcript_is_in_order_and_of_a_sense() -> None:
    late, early = TextSpan(3, 4, "then this"), TextSpan(1, 2, "this", confidence=0.5)
    with pytest.raises(ValueError, match="order"):
        Transcript("said", "text track 2", None, (late, early))
    assert Transcript("said", "text track 2", None, in_order([late, early])).spans == (early, late)
    with pytest.raises(ValueError, match="sense"):
        Transcript("seen", "", None, ())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="confidence"):
        TextSpan(1, 2, "this", confidence=1.5)
