"""What may be opened: containers that hold their own streams, by libav's names for them."""

from typing import Final

FORMATS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,ivf,obu,av1,"
    "flv,live_flv,asf,ogg,mxf,mjpeg,gif,apng,rm,dv,nut,wtv,swf,yuv4mpegpipe,"
    "mp3,aac,wav,flac"  # sound only: opened to be able to say so
)
"""Playlists (hls, concat, dash, sdp) and numbered pictures are left out: a file of these kinds
names other files and addresses, and opening it would read them."""
_JPEG_STREAMS: Final = (".mjpeg", ".mjpg")


def is_jpeg_stream(path: str) -> bool:
    """Whether a file is JPEG pictures one after the other, by its name and first bytes. libav takes
    it for a photograph, and photographs may have another picture behind them, too."""
    if not path.lower().endswith(_JPEG_STREAMS):
        return False
    with open(path, "rb") as file:  # noqa: PTH123  # path is text here
        return file.read(3) == b"\xff\xd8\xff"
