"""Pictures and sound to H.264 and AAC in a file; with `feature_extract.video`, the home of PyAV.

Only what we decoded ourselves comes here, never a file from outside.

    with Film(Path("clip.mp4"), size=(1920, 1080), rate=Fraction(25), sound=True) as film:
        film.sound(samples)                    # (N, 2) int16, 48,000 a second
        film.picture(pixels, 0.0)              # (H, W, 3) uint8, from 0 s until the next one
        film.finish(19.5)                      # how long the last picture lasts
"""

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

CLOCK: Final = Fraction(1, 90_000)
SOUND_RATE: Final = 48_000
FRAME: Final = 1024
"""Samples of one AAC frame."""
BT709: Final = {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1}


class Film:
    """A file being written: pictures at times of their own, and sound beside them."""

    def __init__(
        self,
        target: Path,
        *,
        size: tuple[int, int],
        rate: Fraction,
        sound: bool,
        quality: tuple[str, str] = ("fast", "18"),
        sound_bits: int = 160_000,
        tags: dict[str, str] | None = None,
    ) -> None:
        """
        Args:
            rate: pictures a second, roughly: a hint for the encoder.
            quality: preset and crf of x264.
            tags: of the container, such as creation_time.
        """
        flags = "+faststart+use_metadata_tags" if tags else "+faststart"
        options = {} if target.suffix.lower() == ".mkv" else {"movflags": flags}
        self._file = av.open(str(target), "w", options=options)  # written in place: a draft
        self._file.metadata.update(tags or {})
        preset, crf = quality
        self._video: Any = self._file.add_stream("libx264", rate=rate.limit_denominator(1001))
        self._video.width, self._video.height = size
        self._video.pix_fmt = "yuv420p"
        self._video.options = {"preset": preset, "crf": crf}
        context = self._video.codec_context
        context.time_base = self._video.time_base = CLOCK
        for name, value in BT709.items():
            setattr(context, name, value)
        self._audio: Any = None
        if sound:
            self._audio = self._file.add_stream("aac", rate=SOUND_RATE)
            self._audio.layout, self._audio.bit_rate = "stereo", sound_bits
        self._scaler = VideoReformatter()
        self._held: Any = None
        self._lengths: dict[int, int] = {}
        self._samples = np.zeros((0, 2), np.int16)
        self._heard = 0

    def __enter__(self) -> "Film":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def heard(self) -> float:
        """Seconds of sound so far."""
        return (self._heard + len(self._samples)) / SOUND_RATE

    @property
    def begun(self) -> bool:
        """Whether there is a picture."""
        return self._held is not None

    def picture(self, pixels: NDArray[np.uint8], seconds: float) -> None:
        """Show (H, W, 3) pixels from `seconds` on; times must ascend."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = self._scaler.reformat(
            frame, format="yuv420p", dst_colorspace=1, dst_color_range=1, interpolation="BICUBIC"
        )
        frame.pts, frame.time_base = round(seconds / CLOCK), CLOCK
        self._encode(frame)

    def sound(self, samples: NDArray[np.int16]) -> None:
        """Go on with these (N, 2) samples."""
        if self._audio is None:
            return
        self._samples = np.concatenate([self._samples, samples])
        whole = len(self._samples) // FRAME * FRAME
        for start in range(0, whole, FRAME):
            self._hear(self._samples[start : start + FRAME])
        self._samples = self._samples[whole:]

    def finish(self, seconds: float) -> None:
        """Have the last picture last until `seconds`, and write what is still held back."""
        if self._held is not None:
            self._lengths[self._held.pts] = round(seconds / CLOCK) - self._held.pts
            self._mux(self._video.encode(self._held))
        self._mux(self._video.encode(None))
        if self._audio is not None:
            if len(self._samples):
                self._hear(self._samples)
            self._file.mux(self._audio.encode(None))

    def _encode(self, frame: Any) -> None:
        if self._held is not None:
            if frame.pts <= self._held.pts:
                return
            self._lengths[self._held.pts] = frame.pts - self._held.pts
            self._mux(self._video.encode(self._held))
        self._held = frame

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            packet.duration = self._lengths.pop(packet.pts, packet.duration)
            self._file.mux(packet)

    def _hear(self, samples: NDArray[np.int16]) -> None:
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts = SOUND_RATE, self._heard
        frame.time_base = Fraction(1, SOUND_RATE)
        self._heard += len(samples)
        self._file.mux(self._audio.encode(frame))
