"""A process that keeps words is killed between any two statements: those of before, or the new."""

import itertools
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from feature_extract.transcript import TextSpan, TimedWord, Transcript
from tests.support.planted import plant, random_rows
from vmr.library.store import Library

ROOT = Path(__file__).resolve().parents[2]
VIDEOS, SPANS = 3, 300
KEEP = "from tests.library.test_words_kills import keep; keep()"


def keep() -> None:
    """In a process of its own: words of round after round, until the statement of a number comes.
    Where that is 0, one round, of which the statements are counted."""
    folder, boundary = Path(sys.argv[1]), int(sys.argv[2])
    library, seen = Library(folder), itertools.count(1)
    done = 0

    def count(_: str) -> None:
        nonlocal done
        done = next(seen)
        if done == boundary:
            os.kill(os.getpid(), signal.SIGKILL)

    library.catalogue._db.set_trace_callback(count)  # type: ignore[attr-defined]
    for number in itertools.count(1):
        for video in range(1, VIDEOS + 1):
            library.words.record(video, "said", told(number), "", model=f"model {number}")
        if not boundary:
            break
    print(done)


def told(number: int) -> Transcript:
    """Of one round: every span says its number, and so does where it comes from."""
    spans = []
    for at in range(SPANS):
        words = tuple(
            TimedWord(at + place / 4, at + (place + 1) / 4, word)
            for place, word in enumerate(("round", f"number{number}", f"line{at}"))
        )
        text = " ".join(word.text for word in words)
        spans.append(TextSpan(float(at), at + 1.0, text, words))
    return Transcript("said", f"model {number}", "en", tuple(spans))


def run(folder: Path, boundary: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", KEEP, str(folder), str(boundary)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


SOAK = [pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 20)]


@pytest.mark.parametrize("seed", [0, *SOAK])
def test_words_are_kept_whole_or_not_at_all(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    folder = tmp_path / "library"
    library = Library(folder)
    for video in range(VIDEOS):
        plant(library, tmp_path / f"{video}.mp4", random_rows(4, video))
    library.words.want(speech="tiny.en")
    library.close()
    whole = run(folder, 0)
    statements = int(whole.stdout)
    assert statements > VIDEOS * SPANS
    assert check(folder) == {1}
    for rounds in range(1, 4):
        killed = run(folder, rng.randrange((rounds - 1) * statements, rounds * statements) + 1)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert check(folder) <= {*range(1, 4)}
    library = Library(folder)
    left = library.words.left("said")
    assert left == [1, 2, 3]  # other models than the one that is wanted have looked
    for video in left:
        library.words.record(video, "said", told(0), "", model="tiny.en")
    assert library.words.left("said") == []
    library.close()
    assert check(folder) == {0}


def check(folder: Path) -> set[int]:
    """The rounds that are kept: each whole, looked at by the same, and found as such."""
    library = Library(folder)
    rounds = set()
    for video, looks in library.words.looks().items():
        number = int(looks["said"].origin.removeprefix("model "))
        assert library.transcripts.of(video, "said") == told(number)
        found = library.transcripts.search([f"number{number}"], [video], 1000)
        assert {place.video for place in found} == {video}
        covered = {span for p in found for span in range(p.first, p.first + len(p.spans))}
        assert covered == set(range(SPANS))
        rounds.add(number)
    assert library.transcripts.known().keys() == library.words.looks().keys()
    with library.catalogue.transaction() as db:  # raises where the index is not of what it is of
        db.execute("INSERT INTO passage_words (passage_words, rank) VALUES ('integrity-check', 1)")
    library.close()
    return rounds
