"""Whatever the codec, container, pixel format or shape: a clip shows what the index read there.

The files are those of the reading matrix. Three spans are cut out of each, and every picture is
compared with the index's own of the same file: its number, its time, its colours.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from feature_extract.video.frames import read_frames
from feature_extract.video.timing import HELD, TOLERANCE
from tests.feature_extract.video.test_matrix import FORMATS
from tests.support.media import counter_video, ffmpeg, read_counter
from vmr.media.cut import Cut
from vmr.media.export import write_clip, write_still
from vmr.media.ffmpeg import FfmpegError

FPS = 10
SPANS = [(0.0, 0.5), (0.55, 1.25), (1.3, 1.9)]
EVERY = 1000.0  # sample times a second: every picture is seen
# Of pictures that are small, squashed from other sizes or dithered fine detail differs.
LOOSE = dict.fromkeys(
    ("tiny.mp4", "panorama.mp4", "tower.mp4", "animation.gif", "palette.mkv"),
    12.0,
)
REFUSED = {"animation.webp", "animation.apng"}  # what ffmpeg copies nowhere, or not to mkv


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cuts")
    counter_video(folder / "source.mkv", 2.0, FPS, codec="ffv1", pix_fmt="bgr0")
    return folder


@dataclass(frozen=True)
class Read:
    """A file of the matrix, and what the index reads there."""

    path: Path
    times: NDArray[np.float64]
    pictures: NDArray[np.uint8]
    "(N, 224, 224, 3)"
    end: float
    "Seconds."


@pytest.fixture(scope="module", params=FORMATS)
def film(media: Path, request: pytest.FixtureRequest) -> Read:
    """Each made and read once, for the tests of a clip and of a copy."""
    path = media / request.param
    sound = ("-f", "lavfi", "-i", "sine=d=2") if path.suffix in (".ts", ".mpg") else ()
    encoder = *FORMATS[path.name], *(() if sound else ("-an",))
    ffmpeg("-i", media / "source.mkv", *sound, *encoder, path)
    return seen(path)


def seen(path: Path) -> Read:
    """Times and pictures as the index reads them."""
    with read_frames(path, rate=EVERY) as reader:
        batches = list(reader)
    times = np.concatenate([batch.times for batch in batches])
    pixels = np.concatenate([batch.pixels for batch in batches])
    return Read(path, times, pixels, reader.duration)


def shown(path: Path) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Times and pictures of a file that we wrote ourselves, through PyAV alone."""
    size: dict[str, Any] = {"width": 224, "height": 224, "interpolation": "BICUBIC"}
    with av.open(str(path)) as film:
        frames = [(f.time, f.to_ndarray(format="rgb24", **size)) for f in film.decode(video=0)]
    return np.array([time for time, _ in frames]), np.stack([pixels for _, pixels in frames])


def spelled(pictures: NDArray[np.uint8]) -> list[int | None]:
    """Their numbers; None of one that its encoder has spoilt, as AV1 in a hurry does."""
    found: list[int | None] = []
    for picture in pictures:
        try:
            found.append(read_counter(picture))
        except ValueError:
            found.append(None)
    assert found.count(None) <= len(found) // 4
    return found


def held(times: NDArray[np.float64], start: float, end: float) -> NDArray[np.intp]:
    """Which pictures a span holds: those that begin in it, and the one on the screen at first."""
    inside = np.flatnonzero((times >= start - TOLERANCE) & (times < end - TOLERANCE))
    before = np.flatnonzero(times < start - TOLERANCE)
    until = times[inside[0]] if len(inside) else end
    if len(before) and (until - start > HELD - TOLERANCE or not len(inside)):
        inside = np.concatenate([before[-1:], inside])
    return inside


def test_a_clip_shows_what_the_index_read(film: Read, tmp_path: Path) -> None:
    path, times, pictures = film.path, film.times, film.pictures
    name = path.name
    for number, (start, end) in enumerate(SPANS):
        clip = write_clip(Cut(path, start, end, FPS), tmp_path / f"{number}.mp4").path
        own_times, own = shown(clip)
        expected = held(times, start, end)
        story = (name, start, end)
        assert spelled(own) == spelled(pictures[expected]), story
        begins = np.maximum(times[expected], start)
        # What comes late in its file is shown from the beginning, so that sound stays beside it.
        zero = begins[0] if begins[0] - start < HELD else start
        begins[0] = zero
        np.testing.assert_allclose(own_times, begins - zero, atol=2e-3, err_msg=str(story))
        difference = np.abs(own.astype(int) - pictures[expected]).mean(axis=(1, 2, 3))
        assert difference.max() < LOOSE.get(name, 6.0), story
    write_still(path, 1.25, tmp_path / "still.png")
    still = np.asarray(Image.open(tmp_path / "still.png").resize((224, 224)))
    assert spelled(still[None]) == spelled(pictures[held(times, 1.25, 1.252)[-1:]])


def test_a_copy_holds_every_picture_of_its_span(film: Read, tmp_path: Path) -> None:
    """From the key picture before on, in their order, none missing up to the last; or the copy is
    refused in words, as ffmpeg puts no file together that is not whole."""
    path, times, pictures = film.path, film.times, film.pictures
    name = path.name
    cut, target = Cut(path, 0.9, 1.5, FPS), tmp_path / "copy.mkv"
    if name in REFUSED:
        with pytest.raises(FfmpegError, match=f"^{re.escape(name)}: "):
            write_clip(cut, target, copy=True)
        assert not target.exists()
        return
    clip = write_clip(cut, target, copy=True).path
    numbers = spelled(shown(clip)[1])
    assert set(spelled(pictures[held(times, 0.9, 1.5)])) <= set(numbers)
    known = [number for number in numbers if number is not None]
    assert known == sorted(known)
