"""Times are right from the file to the answer and the exported clip, whatever clock the file keeps.

Every picture spells its number. The real reader and extractor look at the file; only the network is
ours: it says "a dog" of the pictures with numbers that we chose. So it is known which pictures the
answer has to span, and by their own times when that is.
"""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from feature_extract.extract import Extractor
from feature_extract.shots import ShotDetector
from tests.support.media import counter_video, ffmpeg, read_counter, trimmed_copy
from tests.support.planted import BLOCKS, WIDTH, packaged_words, random_rows, tiny_model
from vmr.library.ingest import Ingest
from vmr.library.store import Library
from vmr.media.cut import Cut
from vmr.media.export import write_clip, write_film, write_still
from vmr.search.searcher import Searcher

QUERY = "a dog runs on the beach"
SECONDS = 12.0
SHOWN = (130, 250)  # numbers of the pictures that show a dog
SIZE = (160, 96)


def plain(path: Path) -> NDArray[np.float64]:
    return counter_video(path, SECONDS, size=SIZE)


def variable(path: Path) -> NDArray[np.float64]:
    """Pictures last from 11 to 60 ms."""
    gaps = np.random.default_rng(7).uniform(0.011, 0.06, 360)
    times = np.round(np.cumsum(gaps) - gaps[0], 3)
    return counter_video(path, 0, times=times.tolist(), size=SIZE)


def late(path: Path) -> NDArray[np.float64]:
    """The clock starts at 5 s."""
    times = np.arange(360) / 30
    counter_video(path, 0, times=(times + 5).tolist(), size=SIZE)
    return times


def trimmed(path: Path) -> NDArray[np.float64]:
    """A stream copy: 1.37 s of pictures stay in the file, hidden by an edit list."""
    source = path.with_name("source.mp4")
    counter_video(source, SECONDS, size=SIZE, gop=600)
    trimmed_copy(source, path, 1.37)
    source.unlink()
    return np.arange(360) / 30 - 1.37


def after_sound(path: Path) -> NDArray[np.float64]:
    """An edit list that shows nothing for the first half second, while sound plays."""
    source = path.with_name("source.mp4")
    counter_video(source, SECONDS, size=SIZE)
    sound = ("-f", "lavfi", "-i", "sine=d=12")
    ffmpeg(*sound, "-itsoffset", "0.5", "-i", source, "-c:v", "copy", path)
    source.unlink()
    return np.arange(360) / 30 + 0.5


FILES: dict[str, Callable[[Path], NDArray[np.float64]]] = {
    "plain.mp4": plain,
    "variable.mp4": variable,
    "variable.mkv": variable,
    "late.mp4": late,
    "late.mkv": late,
    "late.ts": late,
    "trimmed.mp4": trimmed,
    "after_sound.mp4": after_sound,
    "after_sound.mkv": after_sound,
}


@pytest.fixture(scope="module")
def rows() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The row that looks most and one that looks least like the query."""
    model, many = tiny_model(), random_rows(2000, 5)
    asked = model.encode_query(packaged_words().query(QUERY))
    curve = model.curve(model.encode_clips(many), asked)
    return many[curve.argmax()].astype(np.float32), many[curve.argmin()].astype(np.float32)


@pytest.fixture
def extractor(
    rows: tuple[NDArray[np.float32], NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> Extractor:
    """The real one, with a network that reads the numbers."""
    extractor = Extractor.__new__(Extractor)
    extractor.blocks, extractor.fingerprint = BLOCKS, "numbers"
    extractor._encoder = None

    def network(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        out = np.empty((len(pixels), WIDTH), np.float32)
        for place, picture in enumerate(pixels):
            out[place] = rows[0 if SHOWN[0] <= read_counter(picture) < SHOWN[1] else 1]
        return out

    monkeypatch.setattr(extractor, "_appearance", network, raising=False)
    # Where many cells of the number change at once, it would be a cut, and edges would move there.
    monkeypatch.setattr(ShotDetector, "cuts", lambda _: np.zeros(0))
    return extractor


def numbers(path: Path) -> list[int]:
    with av.open(str(path)) as film:
        return [read_counter(frame.to_ndarray(format="rgb24")) for frame in film.decode(video=0)]


@pytest.mark.parametrize("name", FILES)
def test_from_the_file_to_the_clip(tmp_path: Path, extractor: Extractor, name: str) -> None:
    path = tmp_path / name
    times = FILES[name](path)
    library = Library(tmp_path / "library")
    with Ingest(library, lambda: extractor) as ingest:
        ingest.add([path])
        ingest.wait()
    (video,) = library.videos()
    assert (video.state, video.reason) == ("ready", "")
    assert video.duration == pytest.approx(times[-1] + 1 / 30, abs=0.1)

    searcher = Searcher(library, tiny_model())
    hit = searcher.search(QUERY).moments[0]
    # Rows are a second long: the answer's edges lie less than one away from the pictures' times.
    start, end = times[SHOWN[0]], times[SHOWN[1]]
    assert (hit.start, hit.end) == pytest.approx((start, end), abs=1.0)
    assert start < hit.best < end

    expected = np.flatnonzero((times >= hit.start - 1e-3) & (times < hit.end - 1e-3)).tolist()
    write_clip(Cut(path, hit.start, hit.end, video.fps), tmp_path / "clip.mp4")
    assert numbers(tmp_path / "clip.mp4") == expected
    write_still(path, hit.best, tmp_path / "still.png")
    (still,) = numbers(tmp_path / "still.png")
    assert times[still] == pytest.approx(hit.best, abs=0.061)  # the picture then, or the next one
    library.close()


def test_a_film_of_several_clocks(tmp_path: Path) -> None:
    late(tmp_path / "late.mkv")
    trimmed(tmp_path / "trimmed.mp4")
    cuts = [Cut(tmp_path / "late.mkv", 2, 3, 30), Cut(tmp_path / "trimmed.mp4", 2, 3, 30)]
    write_film(cuts, tmp_path / "film.mp4")
    shown = numbers(tmp_path / "film.mp4")
    assert shown[:30] == list(range(60, 90))
    np.testing.assert_allclose(shown[30:], np.arange(30) + (2 + 1.37) * 30, atol=1)
