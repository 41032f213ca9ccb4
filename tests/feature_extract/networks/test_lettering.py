"""Text in pictures: read where it is plain, left where it is doubtful, and joined over time."""

import hashlib
import importlib.util
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from feature_extract.networks.lettering import (
    EVERY_SECONDS,
    LetterReader,
    Line,
    Look,
    Seen,
    differs,
    is_text,
    looked_at,
    shown,
)

DIGESTS = {
    "PP-OCRv6_det_small.onnx": "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
    "PP-OCRv6_rec_small.onnx": "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
}


def written(*lines: tuple[str, int], size: tuple[int, int] = (640, 360)) -> NDArray[np.uint8]:
    """A picture (H, W, 3) with lines of (text, height in pixels), white on a dark ramp."""
    ramp = np.linspace(20, 90, size[0], dtype=np.uint8)
    picture = Image.fromarray(np.repeat(np.tile(ramp, (size[1], 1))[:, :, None], 3, axis=2))
    draw, top = ImageDraw.Draw(picture), 30
    for text, height in lines:
        draw.text((40, top), text, "white", ImageFont.load_default(height))
        top += 2 * height
    return np.asarray(picture)


@pytest.fixture(scope="module")
def reader() -> LetterReader:
    return LetterReader()


def test_the_networks_are_the_known_ones() -> None:
    package = importlib.util.find_spec("rapidocr")
    assert package is not None
    assert package.origin is not None
    for name, digest in DIGESTS.items():
        content = (Path(package.origin).parent / "models" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest


def test_lines_are_read(reader: LetterReader) -> None:
    lines = reader.lines(written(("Emergency exit", 32), ("Platform 9, to London", 22)))
    assert [line.text.replace(" ", "") for line in lines] == ["Emergencyexit", "Platform9,toLondon"]
    assert all(0.8 <= line.confidence <= 1 for line in lines)
    assert reader.lines(written()) == []
    noise = np.random.default_rng(0).integers(0, 256, (360, 640, 3), np.uint8)
    assert reader.lines(noise) == []


def test_a_picture_that_stays_is_not_read_again(reader: LetterReader) -> None:
    picture = written(("Emergency exit", 32))
    lines = reader.lines(picture)
    noise = np.random.default_rng(1).integers(0, 6, picture.shape)
    noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)
    assert reader.lines(noisy) is lines
    assert [line.text for line in reader.lines(written(("Way out", 32)))] == ["Way out"]
    assert differs(picture, written(("Emergency exit", 32), ("x1", 14)))
    assert differs(picture, picture[:100])


def test_doubtful_and_single_characters_are_dropped() -> None:
    assert is_text(Line("EXIT", 0.8))
    assert not is_text(Line("EXIT", 0.79))
    assert not is_text(Line("0", 1.0))
    assert not is_text(Line("-- 0 --", 1.0))


def test_one_picture_a_shot_and_at_most_one_every_five_seconds() -> None:
    assert looked_at([], 4.0) == [(0.5, 0.0, 4.0)]
    assert looked_at([10.0], 22.0) == [
        (0.5, 0.0, 3.0),
        (5.5, 3.0, 10.0),
        (10.5, 10.0, 13.0),
        (15.5, 13.0, 18.0),
        (20.5, 18.0, 22.0),
    ]
    rng = np.random.default_rng(0)
    for _ in range(100):
        cuts = sorted(rng.uniform(0, 100, rng.integers(0, 60)))
        looks = looked_at(cuts, 100.0)
        assert all(b.seconds - a.seconds >= EVERY_SECONDS - 1e-9 for a, b in pairwise(looks))
        assert all(look.start <= look.seconds < look.end for look in looks)
        assert all(a.end <= b.start for a, b in pairwise(looks))
        assert not any(look.start < cut < look.end for look in looks for cut in cuts)
        for start, end in pairwise([0.0, *cuts, 100.0]):  # a long shot has its picture
            assert end - start < 2 * EVERY_SECONDS or any(start <= at.seconds < end for at in looks)


def test_the_same_line_in_following_pictures_is_one_span() -> None:
    looks = [Look(5.0 * i + 0.5, 5.0 * i, 5.0 * i + 5) for i in range(4)]
    lines = [
        [Line("Emergency exit", 0.9), Line("Open", 0.95)],
        [Line("Emergency exlt", 0.85)],
        [Line("EMERGENCY EXIT", 0.99), Line("Closed", 0.9)],
        [Line("Closed", 0.9), Line("Open", 0.9)],
    ]
    spans = shown([Seen(look, found) for look, found in zip(looks, lines, strict=True)])
    assert [(span.start, span.end, span.text, span.confidence) for span in spans] == [
        (0, 5, "Open", 0.95),
        (0, 15, "EMERGENCY EXIT", 0.99),
        (10, 20, "Closed", 0.9),
        (15, 20, "Open", 0.9),
    ]
    assert shown([]) == ()
