"""What an answer is made of: moments, by which sense they were found, and how they are joined.

fused = fuse(seen, heard, scale)                    # moments of two senses, each with its strength
follow_on([first, second], within=20)               # one after the other
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np

from feature_extract.video.recording import Recording
from vmr.library.store import Video
from vmr.model.localise import Proposal
from vmr.model.strength import Calibration, Verdict
from vmr.model.windows import distinct_indices
from vmr.search.query import Suggestion
from vmr.search.sentences import Quote

MomentSense = Literal["seen", "said", "written"]
SEEN: Final[tuple[MomentSense, ...]] = ("seen",)
TOGETHER_SECONDS: Final = 10.0
"""How far apart what is seen and what is said may be that belong together: people talk about what
has just been there, or comes next."""


@dataclass(frozen=True)
class Place:
    """Where something is; times in seconds."""

    video: int
    name: str
    path: Path
    start: float
    end: float


@dataclass(frozen=True)
class Moment:
    """One moment of an answer; times in seconds."""

    video: int
    name: str
    path: Path
    start: float
    end: float
    score: float
    "of the model; comparable within one answer"
    strength: float
    "0..1, calibrated: comparable between answers, and between senses"
    best: float
    "the second that matches best"
    verdict: Verdict
    "how sure we are of this moment"
    sense: tuple[MomentSense, ...] = SEEN
    "what found it"
    words: tuple[Quote, ...] = ()
    "what is said or written there, and which words of it were asked for"
    recording: Recording = field(default_factory=Recording)
    "what the file says of it"
    also: tuple[Place, ...] = ()
    "the same footage in other videos (copies.py)"


def moments_of(
    seen: Iterable[tuple[Video, Sequence[Proposal]]], calibration: Calibration, rows: int | None
) -> list[Moment]:
    """What was seen in each video, found among so many rows, but for damaged spans."""
    found = [
        (video, name, proposal)
        for video, proposals in seen
        for name in [video.name]
        for proposal in proposals
        if not video.is_unreadable(proposal.best)
    ]
    scores = np.array([proposal.score for _, _, proposal in found])
    strengths = calibration.strength(scores, rows).tolist()
    verdicts = calibration.verdicts(scores, rows)
    return [
        Moment(
            video.id,
            name,
            video.path,
            proposal.start,
            proposal.end,
            proposal.score,
            strength,
            proposal.best,
            verdict,
            recording=video.recording,
        )
        for (video, name, proposal), strength, verdict in zip(
            found, strengths, verdicts, strict=True
        )
    ]


@dataclass(frozen=True)
class Answer:
    """What a search found, best first."""

    query: str
    verdict: Verdict
    "strong, possible, or none: how sure we are that the best moment is what was asked for"
    moments: tuple[Moment, ...]
    unknown: tuple[str, ...] = ()
    "words that have no vector, in order; they were left out"
    suggestions: tuple[Suggestion, ...] = ()
    "other words for unknown ones and for probable slips"
    hardly_seen: tuple[str, ...] = ()
    "words of things that the model was hardly taught: of them no moment is called strong"
    there: tuple[str, ...] = ()
    "of a question that found no clear match, the parts that are shown somewhere by themselves"
    missing: tuple[str, ...] = ()
    "and the parts that nothing looks like; both are empty unless there are both"
    videos: int = 0
    "that were looked into"
    uncalibrated: bool = False
    "strengths and verdict are guesses: nothing was fitted for what answers"


Weigh = Callable[[Moment, float], Moment]
"""The same moment with another strength, and the score and verdict that go with it."""


def fuse(seen: Sequence[Moment], heard: Sequence[Moment], weigh: Weigh) -> list[Moment]:
    """Moments of two senses in one list. Where both name a moment, it is surer than either says:
    they would both have to be wrong. It lasts as the surer one has it."""
    left, fused = list(seen), []
    for moment in heard:
        near = [other for other in left if other.verdict != "none" and _meet(moment, other)]
        if not near:
            fused.append(moment)
            continue
        other = max(near, key=lambda hit: hit.strength)
        left.remove(other)
        surer = max(moment, other, key=lambda hit: hit.strength)
        both = 1 - (1 - moment.strength) * (1 - other.strength)
        sense = (*other.sense, *moment.sense)
        fused.append(weigh(replace(surer, sense=sense, words=moment.words), both))
    return left + fused


def _meet(one: Moment, other: Moment) -> bool:
    return (
        one.video == other.video
        and one.start < other.end + TOGETHER_SECONDS
        and other.start < one.end + TOGETHER_SECONDS
    )


def follow_on(steps: list[list[Moment]], within: float) -> list[Moment]:
    """Moments that follow each other in a video, joined; a sequence is as good as its worst part.
    Of those that end with the same part the best is kept.

    Args:
        within: seconds from the end of a step to the start of the next, at most.
    """
    if len(steps) == 1:
        return steps[0]
    chains = [(hit, hit) for hit in steps[0]]  # the sequence so far, and its last part
    for step in steps[1:]:
        longer = []
        for hit in step:
            before = [
                chain
                for chain, last in chains
                if hit.video == last.video
                and hit.best > last.best
                and hit.end > last.end
                and hit.start - last.end <= within
            ]
            if before:
                longer.append((_joined(max(before, key=lambda chain: chain.score), hit), hit))
        chains = longer
    by_video: dict[int, list[Moment]] = {}
    for chain, _ in chains:
        by_video.setdefault(chain.video, []).append(chain)
    return [
        hits[i]
        for hits in by_video.values()
        for i in distinct_indices(
            [(hit.start, hit.end) for hit in hits], [hit.score for hit in hits]
        )
    ]


def _joined(first: Moment, last: Moment) -> Moment:
    weaker = min(first, last, key=lambda hit: hit.score)
    return replace(
        first,
        end=last.end,
        score=weaker.score,
        strength=weaker.strength,
        verdict=weaker.verdict,
        sense=tuple(dict.fromkeys((*first.sense, *last.sense))),
        words=tuple(dict.fromkeys((*first.words, *last.words))),
    )
