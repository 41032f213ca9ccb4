"""Many spans of many files, and exports killed at every stage: long forms by `make soak`."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.feature_extract.video.test_matrix import random_structure
from tests.media.test_matrix import held, seen, shown, spelled
from tests.support.media import counter_video
from vmr.media.cut import Cut
from vmr.media.export import write_clip

ROOT = Path(__file__).resolve().parents[2]
# Kills itself at the given picture, or, past the last one, before or after the file gets its name.
KILLED = """
import os, signal, sys
from pathlib import Path
from vmr.media import encode, outputs
from vmr.media.cut import Cut
from vmr.media.export import write_clip, write_film
film, out, at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
def die(): os.kill(os.getpid(), signal.SIGKILL)
count, picture, place = 0, encode.Film.picture, outputs._place
def counted(self, *given):
    global count
    count += 1
    if count > at:
        die()
    picture(self, *given)
def placed(*given, **how):
    if at == 1000:
        die()
    done = place(*given, **how)
    die()
encode.Film.picture, outputs._place = counted, placed
cuts = [Cut(film, 0.2, 1.2, 25), Cut(film, 2, 3, 25)]
write_film(cuts, out) if at % 2 else write_clip(cuts[0], out)
"""


def check_spans(folder: Path, files: int, spans: int, seed: int) -> tuple[int, int]:
    """Random spans of files of random structure show what the index read; spans and pictures."""
    rng, compared = np.random.default_rng(seed), 0
    for case in range(files):
        extension, codec, gop, options = random_structure(rng)
        container = str(rng.choice([extension, "ts"])) if "vpx" not in codec else extension
        count = int(rng.integers(20, 120))
        gaps = np.round(rng.uniform(0.02, 0.4, count), 3) if case % 2 else np.full(count, 1 / 25)
        path = folder / f"{case}.{container}"
        times = (np.cumsum(gaps) - gaps[0] + float(rng.choice([0, 1.5]))).tolist()
        counter_video(path, 0, times=times, size=(160, 96), codec=codec, gop=gop, options=options)
        film = seen(path)
        for number in range(spans):
            # Beside the pictures' milliseconds: just on the edge of a rule, rounding decides.
            start = round(float(rng.uniform(0, film.end - 0.1)), 3) + 0.0004
            stop = min(film.end, start + round(float(rng.uniform(0.1, 4)), 3))
            clip = write_clip(Cut(path, start, stop, 25), folder / f"{case}-{number}.mp4").path
            expected = held(film.times, start, stop)
            story = (case, container, codec, gop, options, start, stop)
            assert spelled(shown(clip)[1]) == spelled(film.pictures[expected]), story
            compared += len(expected)
            clip.unlink()
        path.unlink()
    return files * spans, compared


def check_kills(folder: Path, kills: int, seed: int) -> None:
    """No half file under a final name, no original touched, and the next export is whole."""
    film, out = folder / "film.mp4", folder / "out"
    counter_video(film, 4, 25, size=(160, 96))
    out.mkdir()
    before = film.read_bytes()
    rng = np.random.default_rng(seed)
    for at in [1000, 1001, *rng.integers(0, 25, kills - 2).tolist()][:kills]:
        target = out / "cut.mp4"
        command = [sys.executable, "-c", KILLED, str(film), str(target), str(at)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == -9, done.stderr
        assert film.read_bytes() == before
        if target.exists():  # killed after it got its name: then it is whole
            assert at == 1001
            assert len(shown(target)[0]) == 50
            target.unlink()
    made = write_clip(Cut(film, 0.2, 1.2, 25), out / "cut.mp4").path
    assert spelled(shown(made)[1]) == list(range(5, 30))
    assert [path.name for path in out.iterdir()] == ["cut.mp4"]


def test_random_spans_show_what_the_index_read(tmp_path: Path) -> None:
    check_spans(tmp_path, 2, 2, seed=1)


def test_an_export_that_is_killed_leaves_no_half_file(tmp_path: Path) -> None:
    check_kills(tmp_path, 3, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_random_spans_long(tmp_path: Path) -> None:
    spans, pictures = check_spans(tmp_path, 100, 10, seed=2)
    print(f"\n{spans} spans, {pictures} pictures, none wrong")


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_kills_long(tmp_path: Path) -> None:
    check_kills(tmp_path, 100, seed=2)
