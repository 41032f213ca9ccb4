"""What shot cuts and the length of a video do to moments: composed timelines in feature space.

    python -m experiments.timelines --data DIR --cache DIR [--split test] [--timelines 20]

The same questions three times: as they are; with no cut known, so that no edge can move to one; and
with the timeline somewhere in two hours of other footage. For the last, the figures are those of
the best moment that touches the timeline (a longer video must not spoil what is found in a minute
of it), and, apart, how often that moment is also the first of the two hours.
"""

import argparse
import random
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vmr.model.localise import Proposal
from vmr.model.retrieval import RetrievalModel
from vmr.model.spans import iou
from vmr.model.text import Query, QueryError
from vmr.model.windows import cut_windows, distinct
from vmr.training.compose import Timeline, compose, pool_of
from vmr.training.pictures import Pictures, load_pictures
from vmr.training.questions import ask

QUESTIONS: Final = 5
"""Of each timeline, all of something that is shown."""
LONG_SECONDS: Final = 7200
SHOT_SECONDS: Final = 6
"""Of each picture of the other footage."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m experiments.timelines", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of captioned pictures")
    parser.add_argument("--cache", type=Path, required=True, help="folder for their features")
    parser.add_argument("--weights", type=Path, help="default: the shipped ones")
    parser.add_argument("--split", choices=["dev", "test"], default="dev")
    parser.add_argument("--timelines", type=int, default=20)
    options = parser.parse_args()
    model = RetrievalModel.load(options.weights)
    pictures = load_pictures(options.data, options.cache, views=1)["flickr8k"]
    places, draw = pictures.of(options.split), random.Random(5)
    unit = pictures.rows[:, 0].astype(np.float32)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-6)
    pool = pool_of(places, pictures.groups, pictures.captions, unit, 1)
    found: dict[str, list[float]] = {"as it is": [], "no cut known": [], "in two hours": []}
    first = 0
    for _ in range(options.timelines):
        timeline = compose(pool, draw)
        clips = model.encode_clips(timeline.rows(pictures.rows))
        long, shift = padded(clips, model.encode_clips(_other(pictures, draw)), draw)
        for _ in range(QUESTIONS):
            asked = ask(timeline, pool, draw, present=True)
            try:
                query = model.query(asked.text)
            except QueryError:  # three captions have no known word
                continue
            cuts, truth = timeline.cuts, list(asked.spans)
            near = moments(model, query, clips, cuts)
            found["as it is"].append(_overlap(near[0], truth, 0.0))
            bare = moments(model, query, clips, cuts[:0])
            found["no cut known"].append(_overlap(bare[0], truth, 0.0))
            far = moments(model, query, long, cuts + shift)
            inside = [m for m in far if touches(m, timeline, shift)]
            found["in two hours"].append(_overlap(inside[0], truth, shift) if inside else 0.0)
            first += bool(inside) and far[0] == inside[0]
    print(f"{len(found['as it is'])} present questions of {options.split}\n")
    print("| | IoU .5 | IoU .7 | mIoU |\n|---|---:|---:|---:|")
    for name, overlaps in found.items():
        o = np.array(overlaps)
        shares = f"{100 * (o >= 0.5).mean():.1f} | {100 * (o >= 0.7).mean():.1f}"
        print(f"| {name} | {shares} | {100 * o.mean():.1f} |")
    share = 100 * first / len(found["as it is"])
    print(f"\nthe first moment of the two hours lies in the timeline: {share:.0f} %")


def padded(
    clips: NDArray[np.float32], other: NDArray[np.float32], draw: random.Random
) -> tuple[NDArray[np.float32], int]:
    """Clips (T, E) somewhere in the other footage (N, E), and the row that they begin at."""
    at = draw.randrange(len(other))
    return np.concatenate([other[:at], clips, other[at:]]), at


def moments(
    model: RetrievalModel, query: Query, clips: NDArray[np.float32], cuts: NDArray[np.float64]
) -> list[Proposal]:
    """The moments of a whole video (T, E), best first."""
    starts = np.arange(len(clips), dtype=np.float64)
    windows = cut_windows(clips, starts, starts + 1, cuts)
    return distinct(windows, model.localise(windows, query))


def touches(moment: Proposal, timeline: Timeline, shift: float) -> bool:
    """Whether its best second lies in the timeline, which begins at `shift`."""
    return shift <= moment.best < shift + timeline.duration


def _overlap(moment: Proposal, truth: list[tuple[float, float]], shift: float) -> float:
    return float(iou([(moment.start - shift, moment.end - shift)], truth).max())


def _other(pictures: Pictures, draw: random.Random) -> NDArray[np.float16]:
    """(LONG_SECONDS, D) rows of pictures of the training split, as shots."""
    train = pictures.of("train").tolist()
    chosen = draw.sample(train, LONG_SECONDS // SHOT_SECONDS)
    return np.asarray(np.repeat(pictures.rows[chosen, 0], SHOT_SECONDS, axis=0))


if __name__ == "__main__":
    main()
