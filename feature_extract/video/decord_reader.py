"""Pictures through decord, as long as its answers can be trusted.

Runs inside the child process of `decoder.py`; the only file with decord.
"""

import os
from collections.abc import Iterator
from functools import partial
from typing import Final

import numpy as np

from feature_extract.video.av_reader import changes
from feature_extract.video.libav_log import Complaints
from feature_extract.video.source import MAX_SECONDS, Picture, Source, threads_for
from feature_extract.video.timing import CUT_SECONDS, slot

CODECS: Final = frozenset(("h264", "hevc", "vp8", "vp9", "av1", "libdav1d"))
"""Those that the tests try in many structures. PyAV reads the rest."""
LARGEST_BYTES: Final = 1 << 28
"""decord reads ahead without end: by the time of the first picture a file is in memory whole."""
MOST_PICTURES: Final = 1 << 28
"""Bytes of all pictures of a file: decoded, and resized, they are soon in memory, too. A minute of
30 pictures a second; of longer files PyAV holds a few pictures. H.264 and HEVC lose no time by
that (skippable.py)."""


class DistrustError(Exception):
    """decord's answer cannot be right, or may not be; PyAV has to read on."""


class DecordReader:
    """Pictures in order through decord; raises DistrustError instead of a doubtful picture."""

    def __init__(
        self, path: str, source: Source, size: tuple[int, int], complaints: Complaints
    ) -> None:
        usual = source.indexed and source.single and source.info.codec in CODECS
        if not usual or source.turn.mirrored or source.hdr or source.woven:
            raise DistrustError("decord would show another picture, or at another time")
        if os.path.getsize(path) > LARGEST_BYTES:  # noqa: PTH202  # path is text
            raise DistrustError("decord would hold all of a large file in memory")
        pictures = source.info.duration * source.info.fps
        if pictures * size[0] * size[1] * 3 > MOST_PICTURES:
            raise DistrustError("decord would hold all pictures of a long file in memory")
        if change := changes(path, source, complaints):
            raise DistrustError(f"decord would not say that {change}")
        self._shape = (size[1], size[0], 3)
        # What libav complains of is the only sign of damage that decord lets out.
        self._complaints = complaints
        complaints.new()
        import decord  # here: not every file needs it

        try:
            width, height = size
            threads = threads_for(source.info.codec)
            self._reader = decord.VideoReader(
                path, width=width, height=height, num_threads=threads, fault_tol=2
            )
            spans = self._reader.get_frame_timestamp(range(len(self._reader)))
        except Exception as error:
            raise DistrustError(str(error)) from error
        # decord counts from the first picture, or wrongly: below zero where frames are hidden.
        if spans[0, 0] < 0 or (np.diff(spans[:, 0]) <= 0).any() or not np.isfinite(spans).all():
            raise DistrustError("times below zero or out of order")
        self._starts = spans[:, 0].astype(np.float64) + source.first
        self.end = float(spans[-1, 1]) + source.first
        self.unreadable: list[tuple[float, float]] = []
        if self.end > MAX_SECONDS:
            raise DistrustError("times beyond all bounds")
        if source.promised is not None and source.promised - self.end > CUT_SECONDS:
            raise DistrustError("shorter than the header says")

    def pictures(self, rate: float) -> Iterator[tuple[float, Picture]]:
        """(seconds, picture) of the first picture and of each that is shown at a sample time.

        All are decoded, one after the other, and those that nobody wants not converted. Only up to
        the next key picture, past which decord's `skip_frames` would seek, as `get_batch` does,
        and give other pictures than those asked for where B-frames cross it.
        """
        shown = np.diff(slot(np.append(self._starts, self.end), rate)) > 0
        shown[0] = True
        keys_up_to = partial(np.searchsorted, self._reader.get_key_indices(), side="right")
        position = 0
        for index in np.flatnonzero(shown).tolist():
            try:
                if index > position and 0 < keys_up_to(position) == keys_up_to(index):
                    self._reader.skip_frames(index - position)
                    position = index
                for _ in range(index - position):
                    self._reader.next()
                picture = self._reader.next().asnumpy()
            except Exception as error:
                raise DistrustError(str(error)) from error
            if self._complaints.new():
                raise DistrustError("libav complained")
            if picture.shape != self._shape:  # six channels, of videos with more than 8 bits
                raise DistrustError(f"a picture of {picture.shape}")
            yield float(self._starts[index]), picture
            position = index + 1
