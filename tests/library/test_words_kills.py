"""A process that keeps words is killed at random moments: those of before, or the new ones."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from feature_extract.transcript import TextSpan, TimedWord, Transcript
from tests.support.planted import plant, random_rows
from vmr.library.store import Library

ROOT = Path(__file__).resolve().parents[2]
VIDEOS, SPANS = 3, 300
KEEP = """
import itertools, sys
from pathlib import Path
from tests.library.test_words_kills import VIDEOS, told
from vmr.library.store import Library
library = Library(Path(sys.argv[1]))
print("ready", flush=True)
for number in itertools.count(1):
    for video in range(1, VIDEOS + 1):
        library.words.record(video, "said", told(number), "", model=f"model {number}")
"""


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
    rounds: set[int] = set()
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", KEEP, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0, 0.25))
        child.kill()
        child.wait()
        child.stdout.close()
        rounds |= check(folder)
    assert max(rounds) > 0  # something was kept, and something replaced
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
    with (
        library.catalogue.transaction() as db
    ):  # the index agrees with what it is of, or this raises
        db.execute("INSERT INTO passage_words (passage_words, rank) VALUES ('integrity-check', 1)")
    library.close()
    return rounds
