"""What may be opened: containers that hold their own streams, by libav's names for them."""

from typing import Final

FORMATS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,ivf,obu,av1,"
    "flv,live_flv,asf,ogg,mxf,mjpeg,gif,apng,rm,dv,nut,wtv,swf,yuv4mpegpipe,"
    "mp3,aac,wav,flac"  # sound only: opened to be able to say so
)
"""Playlists (hls, concat, dash, sdp) and numbered pictures are left out: a file of these kinds
names other files and addresses, and opening it would read them."""
