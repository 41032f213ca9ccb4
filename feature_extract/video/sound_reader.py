"""The sound of a span of time: of the best stream that can be decoded, silence where there is none.

Runs inside the child process of `decoder.py`, beside `span_reader.py`.

    reader = SoundReader("/a.mp4", source, (12.0, 19.5))
    for piece in reader.pieces(): ...            # (N, 2) int16, 48,000 a second, from 12.0 s on
    reader.left_out                              # codecs of streams that cannot be decoded
    SoundReader("/a.mp4", source, (0.0, 60.0), SPEECH)       # (N, 1), 16,000 a second
"""

import math
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from feature_extract.video.facts import sound_streams
from feature_extract.video.source import Source, open_video, packets
from feature_extract.video.span_reader import SOUGHT
from feature_extract.video.timing import CUT_SECONDS

LEAD: Final = 1.0
"""Seconds decoded before the span: decoders of sound need a moment to settle."""
JITTER_SECONDS: Final = 0.05
"""By which packets may lie beside their place without being moved."""
TRIES: Final = 50
"""Packets without a sound, after which a stream counts as one that cannot be decoded."""

Samples = NDArray[np.int16]  # (N, channels)


class Form(NamedTuple):
    """How sound is handed on, whatever it is in the file."""

    rate: int
    "samples a second"
    layout: str
    channels: int
    to_the_end: bool
    "whether silence fills the span after the last sample"


HEARD: Final = Form(48_000, "stereo", 2, to_the_end=True)
"""For clips and films."""
SPEECH: Final = Form(16_000, "mono", 1, to_the_end=False)
"""For what listens to words."""


class SoundReader:
    """Samples of [start, end) seconds."""

    def __init__(
        self, path: str, source: Source, span: tuple[float, float], form: Form = HEARD
    ) -> None:
        self._path, self._source, self._form = path, source, form
        self._start, self._stop = span
        self.left_out: list[str] = []
        """Codecs of streams that came first and cannot be decoded."""
        self._alone = False  # whether the stream has one channel
        self._resampler = self._new_resampler()
        self.usable = False
        """Whether there is a stream that can be decoded; else no pieces come."""

    def pieces(self) -> Iterator[Samples]:
        """All samples, one piece after the other, as many as the span is long."""
        for index in self._candidates():
            decoded = self._decoded(index)
            try:
                first = next(decoded, None)
            except _UnusableError as error:
                self.left_out.append(str(error))
                continue
            self.usable = True
            yield from self._placed(decoded, first)
            return

    def _candidates(self) -> list[int]:
        container, _ = open_video(self._path)
        with container:
            return [stream.index for stream in sound_streams(container)]

    def _placed(self, decoded: Iterator[Any], first: Any) -> Iterator[Samples]:
        """The samples where their times say, with silence in between."""
        rate, at = self._form.rate, 0
        wanted = round((self._stop - self._start) * rate)
        jitter = round(JITTER_SECONDS * rate)
        while first is not None:
            seconds, samples = first
            place = round((seconds - self._start) * rate)
            if place < at and (at == 0 or at - place > jitter):
                samples = samples[at - place :]
            elif place > at and (at == 0 or place - at > jitter):
                yield from self._silence(min(place, wanted) - at)
                at = min(place, wanted)
            samples = samples[: wanted - at]
            if len(samples):
                yield samples
                at += len(samples)
            if at >= wanted:
                return
            first = next(decoded, None)
        if self._form.to_the_end:
            yield from self._silence(wanted - at)

    def _decoded(self, index: int) -> Iterator[tuple[float, Samples]]:  # noqa: C901  # one loop of guards
        """(seconds, samples) from somewhat before the start on; _UnusableError when none come."""
        container, _ = open_video(self._path)
        with container:
            stream = container.streams[index]
            if stream.codec_context is None:
                raise _UnusableError("of an unknown codec")
            if not SOUGHT.isdisjoint(container.format.name.split(",")):
                self._seek(container)
            tried, heard, reach = 0, False, -math.inf
            for packet in packets(container, stream):
                if packet is None:
                    return
                seconds = self._seconds(packet)
                if seconds is None or seconds < self._start - LEAD:
                    continue
                if seconds < reach - CUT_SECONDS or seconds > self._stop + LEAD:
                    return
                reach = max(reach, seconds)
                try:
                    frames = packet.decode()
                except (av.FFmpegError, NotImplementedError):
                    frames = []
                tried += 1
                if not frames and not heard and tried >= TRIES:
                    raise _UnusableError(stream.codec_context.name)
                for frame in frames:
                    heard = True
                    yield from self._samples(frame)
            if tried and not heard:
                raise _UnusableError(stream.codec_context.name)

    def _samples(self, frame: Any) -> Iterator[tuple[float, Samples]]:
        if frame.time is None:
            return
        seconds = float(frame.time) - self._source.info.origin
        if self._alone != (frame.layout.nb_channels == 1):
            self._alone = not self._alone
            self._resampler = self._new_resampler()
        try:
            made = self._resampler.resample(frame)
        except ValueError:  # the form of the sound has changed
            self._resampler = self._new_resampler()
            made = self._resampler.resample(frame)
        for piece in made:
            channels = 1 if self._alone else self._form.channels
            samples = piece.to_ndarray().reshape(-1, channels)
            yield seconds, np.repeat(samples, self._form.channels // channels, axis=1)
            seconds += piece.samples / self._form.rate

    def _seconds(self, packet: Any) -> float | None:
        time = packet.dts if packet.pts is None else packet.pts
        return None if time is None else float(time * packet.time_base) - self._source.info.origin

    def _seek(self, container: Any) -> None:
        target = int((max(0.0, self._start - LEAD) + self._source.info.origin) * av.time_base)
        try:
            container.seek(target, backward=True)
        except av.FFmpegError:
            container.seek(0)

    def _new_resampler(self) -> Any:
        # libav makes one channel quieter when it makes two of it; players give it to both as it is.
        layout = "mono" if self._alone else self._form.layout
        return av.AudioResampler("s16", layout, self._form.rate)

    def _silence(self, count: int) -> Iterator[Samples]:
        """In pieces of a second: hours of it need not be in memory."""
        while count > 0:
            yield np.zeros((min(count, self._form.rate), self._form.channels), np.int16)
            count -= self._form.rate


class _UnusableError(Exception):
    """A stream of sound that cannot be decoded; the text is its codec."""
