"""Interlaced pictures: index, clips and stills take the two fields apart in the same way."""

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from feature_extract.video.frames import read_frames
from feature_extract.video.spans import picture_at, read_facts, read_span
from tests.support.media import ffmpeg
from vmr.media.cut import Cut
from vmr.media.export import write_clip

SIZE = (160, 96)
FIELDS = ("-f", "lavfi", "-i", "testsrc2=s=160x96:r=50:d=1", "-vf", "interlace=scan=tff")
WOVEN = ("-flags", "+ilme+ildct")
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "10")
TAPES: dict[str, tuple[str, ...]] = {
    "h264.mp4": (*X264, *WOVEN),
    "h264.ts": (*X264, *WOVEN),
    "mpeg2.mpg": ("-c:v", "mpeg2video", "-q:v", "3", "-g", "10", *WOVEN),
    "prores.mov": ("-c:v", "prores_ks", *WOVEN),
}


Index = tuple[NDArray[np.float64], NDArray[np.uint8]]
"""Times and pictures."""


def index_of(path: Path, size: tuple[int, int] = SIZE) -> Index:
    """All times and pictures as the index reads them, in the file's own size."""
    with read_frames(path, rate=1000, size=size) as reader:
        batches = list(reader)
    pixels = np.concatenate([batch.pixels for batch in batches])
    return np.concatenate([batch.times for batch in batches]), pixels


def combs(pictures: NDArray[np.uint8]) -> float:
    """How much each line differs from the two beside it."""
    lines = pictures.astype(int)
    return float(np.abs(2 * lines[:, 1:-1] - lines[:, :-2] - lines[:, 2:]).mean())


def raw(path: Path) -> NDArray[np.uint8]:
    """Pictures with both fields woven."""
    with av.open(str(path)) as film:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)])


def check_the_same(path: Path) -> None:
    """A span from a key picture on, one of a single picture, and a still: to the last bit."""
    times, pictures = index = index_of(path)
    for start, end in ((0.4, 0.6), (0.52, 0.56)):
        check_span(path, index, start, end)
    still = int(np.flatnonzero(times <= 0.7005)[-1])
    np.testing.assert_array_equal(picture_at(path, 0.7), pictures[still])


def check_span(path: Path, index: Index, start: float, end: float) -> None:
    times, pictures = index
    with read_span(path, start, end) as span:
        own = np.concatenate([batch.pixels for batch in span])
    inside = (times > start - 2e-3) & (times < end - 2e-3)
    np.testing.assert_array_equal(own, pictures[inside], str((path, start)))


@pytest.mark.parametrize("name", TAPES)
def test_the_index_sees_a_tape_as_its_clips_and_stills_show_it_without_combs(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    ffmpeg(*FIELDS, *TAPES[name], path)
    check_the_same(path)
    assert combs(index_of(path)[1]) < 0.8 * combs(raw(path))


def test_a_broadcast_that_turns_interlaced_half_way_is_taken_apart_from_there_on(
    tmp_path: Path,
) -> None:
    frames, fields = tmp_path / "frames.ts", tmp_path / "fields.ts"
    source = ("-f", "lavfi", "-i", "testsrc2=s=160x96:r=25:d=0.4")
    ffmpeg(*source, *X264, "-x264-params", "fake-interlaced=1", frames)
    ffmpeg(*FIELDS, *X264, *WOVEN, fields)
    (tmp_path / "both.ts").write_bytes(frames.read_bytes() + fields.read_bytes())
    both = tmp_path / "both.mp4"
    ffmpeg("-i", tmp_path / "both.ts", "-c", "copy", both)
    check_the_same(both)
    seen, woven = index_of(both)[1], raw(both)
    assert combs(seen[:10]) == pytest.approx(combs(woven[:10]), rel=0.05)
    assert combs(seen[10:]) < 0.8 * combs(woven[10:])


def test_fields_that_are_pictures_of_their_own_stay_as_they_are(tmp_path: Path) -> None:
    """HEVC flags each of them as interlaced, though nothing is woven."""
    path = tmp_path / "fields.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=160x96:r=50:d=0.5", "-c:v", "libx265"),
        *("-x265-params", "interlace=tff:log-level=none", "-pix_fmt", "yuv420p", path),
    )
    with read_span(path, 0, 0.5) as span:
        shown = np.concatenate([batch.pixels for batch in span])
    assert len(shown) == 25
    np.testing.assert_allclose(shown.astype(int), raw(path), atol=16)
    assert np.abs(shown.astype(int) - raw(path)).mean() < 1


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_a_film_that_turns_interlaced_in_its_middle_is_no_film_for_a_reader_that_weaves(
    name: str, tmp_path: Path
) -> None:
    """Its header knows of the first part only, which has whole pictures."""
    frames, fields = tmp_path / "frames.ts", tmp_path / "fields.ts"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x96:r=25:d=1", *X264, frames)
    ffmpeg(*FIELDS, *X264, *WOVEN, fields)
    (tmp_path / "both.ts").write_bytes(frames.read_bytes() + fields.read_bytes())
    both = tmp_path / name
    ffmpeg("-i", tmp_path / "both.ts", "-c", "copy", both)
    index, woven = index_of(both), raw(both)
    seen = index[1]
    np.testing.assert_array_equal(seen[:24], woven[:24])
    assert combs(seen[25:]) < 0.8 * combs(woven[25:])
    for start in (0.9, 1.0, 1.52):  # the last from a key picture of the second part on
        check_span(both, index, start, start + 0.2)


@pytest.mark.parametrize("name", ["tff.mp4", "bff.mkv", "tff.ts", "bff.hevc"])
def test_fields_of_hevc_are_shown_two_by_two_as_whole_pictures(name: str, tmp_path: Path) -> None:
    path, order = tmp_path / name, name[:3]
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=320x192:r=50:d=1"),
        *("-vf", f"interlace=scan={order},separatefields", "-c:v", "libx265", "-pix_fmt"),
        *("yuv420p", "-x265-params", f"interlace={order}:keyint=10:log-level=none:crf=10", path),
    )
    facts = read_facts(path)
    assert (facts.info.width, facts.info.height, float(facts.rate)) == (320, 192, 25)
    times, pictures = index = index_of(path, (320, 192))
    np.testing.assert_allclose(times, np.arange(25) / 25, atol=2e-3)
    for start, end in ((0.4, 0.6), (0.52, 0.56)):
        check_span(path, index, start, end)
    if path.suffix != ".hevc":  # which has no times to copy by
        write_clip(Cut(path, 0.42, 0.7, 25), tmp_path / "copy.mkv", copy=True)  # and compares
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x192:r=25:d=1", "-c:v", "ffv1", tmp_path / "t.mkv")
    truth = raw(tmp_path / "t.mkv").astype(int)
    assert np.abs(pictures - truth).mean() < 6
    assert combs(pictures) < 1.2 * combs(raw(tmp_path / "t.mkv"))
