"""Which pictures nobody looks at, so that they need not be decoded.

Of 30 pictures a second eight are shown at a sample time. Those of the others that no picture is
built upon, most B-frames, can be left out; every picture that is decoded stays the same to the last
bit. Only where the container lists its packets, and in codecs that mark such pictures and leave out
those alone. Interlaced pictures are all decoded: taking the fields of one apart needs the pictures
beside it.
"""

from typing import Final

import numpy as np

from feature_extract.video.fields import Parameters
from feature_extract.video.source import Source, open_video, packets
from feature_extract.video.timing import slot

CODECS: Final = frozenset(("h264", "hevc"))
_LAST: Final = 2
"""Pictures at the end that are always decoded: they say where it is."""


def unseen(path: str, source: Source, rate: float) -> frozenset[int]:
    """Presentation times of the pictures that are shown at no time k/`rate`, in units of the
    stream's clock; none where anything about the packets is doubtful."""
    if not source.indexed or source.woven or source.info.codec not in CODECS:
        return frozenset()
    container, stream = open_video(path)
    with container:
        found = []
        parameters = Parameters(source.info.codec, stream.codec_context.extradata)
        for packet in packets(container, stream):
            if packet is None or packet.is_corrupt or parameters.change(packet):
                return frozenset()
            if packet.size and not packet.is_discard:
                found.append(packet.pts)
        if None in found or len(set(found)) < len(found) or len(found) <= _LAST:
            return frozenset()
        ticks = np.sort(np.array(found))
        seconds = np.maximum(0.0, ticks * float(stream.time_base) - source.info.origin)
        passed = np.diff(slot(seconds, rate)) == 0  # the next one comes before the next sample
        passed[0] = False
        passed[1 - _LAST :] = False
        return frozenset(ticks[:-1][passed].tolist())
