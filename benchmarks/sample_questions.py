"""What a new user sees first: natural questions to the sample library of `make demo`.

    python -m benchmarks.sample_questions [--weights DIR] [--work DIR] [--failures FILE.jpg]

sample_questions.tsv has 40 questions with the shots that answer them, and 15 that nothing in the
library answers; sample_words.tsv has single words, most of which captions seldom use. Right is a
first moment that overlaps a shot of the answer with IoU .5 or more; the tables also say how often
only the place was right (IoU .1), and what the verdicts were.
"""

import argparse
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from feature_extract.extract import Extractor
from vmr.cli.samples import SAMPLES, build_samples, spans
from vmr.library.ingest import Ingest
from vmr.library.store import Library
from vmr.media.export import write_still
from vmr.model.retrieval import RetrievalModel
from vmr.model.spans import iou
from vmr.search.moments import Answer
from vmr.search.searcher import Searcher

QUESTIONS: Final = Path(__file__).with_name("sample_questions.tsv")
WORDS: Final = Path(__file__).with_name("sample_words.tsv")
RIGHT: Final = 0.5
THERE: Final = 0.1


@dataclass(frozen=True)
class SampleQuestion:
    """A question, and the spans that answer it (none: nothing does)."""

    text: str
    video: str
    spans: tuple[tuple[float, float], ...]


def main() -> None:
    """Print the table, then what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sample_questions")
    parser.add_argument("--weights", type=Path, help="default: the shipped ones")
    parser.add_argument("--work", type=Path, help="keep the library here, for the next time")
    parser.add_argument("--failures", type=Path, help="draw the first wrong answers")
    options = parser.parse_args()
    with ExitStack() as stack:
        work = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        library = sample_library(work)
        searcher = Searcher(library, RetrievalModel.load(options.weights), use_feedback=False)
        asked = [(question, searcher.search(question.text)) for question in read_questions()]
        report(asked)
        print()
        words = read_questions(WORDS)
        report([(word, searcher.search(word.text)) for word in words])
        print()
        report_parts(searcher, words)
        if options.failures:
            draw_failures(asked, work / "videos", options.failures)


def sample_library(work: Path) -> Library:
    """The library of `make demo` in a folder, made where it is not there yet."""
    library = Library(work / "library")
    with Ingest(library, Extractor) as ingest:
        ingest.add(build_samples(work / "videos"))
        ingest.wait()
    return library


def read_questions(file: Path = QUESTIONS) -> list[SampleQuestion]:
    """Every line of sample_questions.tsv, or of a file like it.

    Raises:
        ValueError: a line names a video or shot that the sample library does not have.
    """
    found = []
    for line in file.read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        text, video, shots = line.split("\t")
        if video == "-":
            found.append(SampleQuestion(text, "", ()))
            continue
        if video not in SAMPLES or int(max(shots.split(","))) >= len(SAMPLES[video]):
            raise ValueError(f"{file.name}: no shot {shots} in {video}")
        edges = spans(video)
        found.append(SampleQuestion(text, video, tuple(edges[int(s)] for s in shots.split(","))))
    return found


def overlap(question: SampleQuestion, answer: Answer, place: int = 0) -> float:
    """IoU of one moment of the answer with the span that it fits best; 0 in another video."""
    if place >= len(answer.moments) or answer.moments[place].path.stem != question.video:
        return 0.0
    moment = answer.moments[place]
    return float(iou([(moment.start, moment.end)], list(question.spans)).max())


def overlaps(
    asked: list[tuple[SampleQuestion, Answer]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(Q,) IoU of the first moments, and of the best of the first five."""
    first = np.array([overlap(q, a) for q, a in asked])
    return first, np.array([max(overlap(q, a, i) for i in range(5)) for q, a in asked])


def report(asked: list[tuple[SampleQuestion, Answer]]) -> None:
    """The table, and the questions that were answered wrongly."""
    present = [(q, a) for q, a in asked if q.spans]
    absent = [a.verdict for q, a in asked if not q.spans]
    first, best = overlaps(present)
    print(f"{len(present)} present and {len(absent)} absent questions\n")
    print("| measure | % |\n|---|---:|")
    print(f"| the first moment is right, IoU {RIGHT} | {100 * (first >= RIGHT).mean():.0f} |")
    print(f"| the first moment is there, IoU {THERE} | {100 * (first >= THERE).mean():.0f} |")
    print(f"| one of the first five is right | {100 * (best >= RIGHT).mean():.0f} |")
    strong = np.array([a.verdict == "strong" for _, a in present])
    trusted = 100 * (first[strong] >= RIGHT).mean()
    print(f'| right where present and "strong", IoU {RIGHT} | {trusted:.0f} |')
    for verdict in ("strong", "possible", "none"):
        shown = 100 * np.mean([a.verdict == verdict for _, a in present])
        missing = 100 * np.mean([v == verdict for v in absent])
        print(f'| called "{verdict}", present / absent | {shown:.0f} / {missing:.0f} |')
    print()
    for (question, answer), share in zip(present, first.tolist(), strict=True):
        if share < RIGHT:
            top = answer.moments[0]
            found = f"{top.name} {top.start:.1f}-{top.end:.1f} s, {answer.verdict}"
            print(f"wrong: {question.text} ({question.video}): {found}, IoU {share:.2f}")
    for question, answer in asked:
        if not question.spans and answer.verdict != "none":
            top = answer.moments[0]
            print(f"called {answer.verdict}: {question.text}: {top.name} {top.start:.1f} s")


def report_parts(searcher: Searcher, words: list[SampleQuestion]) -> None:
    """Two words in one question: how often the answer says which of them is there, and rightly."""
    shown = [word.text for word in words if word.spans]
    absent = [word.text for word in words if not word.spans]
    turned = [*shown[1:], shown[0]], [*absent[1:], absent[0]]
    asked = {
        "one is shown": [
            (a, absent[(3 * i + k) % len(absent)]) for i, a in enumerate(shown) for k in range(3)
        ],
        "both are shown": list(zip(shown, turned[0], strict=True)),
        "neither is shown": list(zip(absent, turned[1], strict=True)),
    }
    print("| of two words | questions | says which, rightly | wrongly |\n|---|---:|---:|---:|")
    for label, pairs in asked.items():
        said = [searcher.search(f"{one} and {other}") for one, other in pairs]
        right = [
            label == "one is shown" and (answer.there, answer.missing) == ((one,), (other,))
            for answer, (one, other) in zip(said, pairs, strict=True)
        ]
        wrong = [bool(a.there) and not r for a, r in zip(said, right, strict=True)]
        print(
            f"| {label} | {len(pairs)} | {100 * np.mean(right):.0f} | {100 * np.mean(wrong):.0f} |"
        )


def draw_failures(
    asked: list[tuple[SampleQuestion, Answer]], videos: Path, file: Path, count: int = 6
) -> None:
    """Wrong first answers: what was found, and beside it what was asked for."""
    from matplotlib.figure import Figure  # slow to import, and only the picture needs it
    from matplotlib.image import imread

    wrong = [(q, a) for q, a in asked if q.spans and overlap(q, a) < THERE][:count]
    figure = Figure(figsize=(11, 2.1 * ((len(wrong) + 1) // 2)), layout="constrained")
    places = figure.subplots((len(wrong) + 1) // 2, 4, squeeze=False).ravel()
    still = videos / "still.png"
    for place in places:
        place.axis("off")
    for number, (question, answer) in enumerate(wrong):
        top, (start, end) = answer.moments[0], question.spans[0]
        asked_for = videos / f"{question.video}.mp4"
        for side, path, second in ((0, top.path, top.best), (1, asked_for, (start + end) / 2)):
            write_still(path, second, still, overwrite=True)
            places[2 * number + side].imshow(imread(still))
        places[2 * number].set_title(f'"{question.text}": {answer.verdict}', fontsize=9)
        places[2 * number + 1].set_title("was asked for", fontsize=9)
    still.unlink(missing_ok=True)
    figure.savefig(file, dpi=100)


if __name__ == "__main__":
    main()
