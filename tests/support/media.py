"""Small videos whose truth is known: every frame spells its own number in black and white cells.

    counter_video(tmp_path / "a.mp4", 4.0)          # 30 frames a second, H.264
    read_counter(frame)                             # -> 17, from the pixels alone

The cells survive squashing to a square, chroma loss and lossy codecs; `read_counter` raises where
a cell is neither black nor white, so that a scrambled picture can never pass for a right one.
"""

import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vmr.cli.samples import SAMPLES, picture_of

CELLS = 4  # the number is CELLS x CELLS bits, most significant first, row by row
TIME_BASE = Fraction(1, 90_000)


def counter_frame(number: int, width: int = 320, height: int = 180) -> NDArray[np.uint8]:
    """A picture (H, W, 3) that spells `number`, 0 <= number < 65,536."""
    bits = np.array([number >> shift & 1 for shift in reversed(range(CELLS * CELLS))])
    rows = np.arange(height) * CELLS // height
    columns = np.arange(width) * CELLS // width
    cells = bits.reshape(CELLS, CELLS)[rows][:, columns]
    return np.repeat((cells * 219 + 16).astype(np.uint8)[:, :, None], 3, axis=2)


def read_counter(pixels: NDArray[Any]) -> int:
    """The number that a picture (H, W, 3) spells; ValueError when a cell cannot be read."""
    height, width = pixels.shape[:2]
    number = 0
    for row in range(CELLS):
        for column in range(CELLS):
            # The middle half of a cell: its edges are blurred by resizing.
            top, left = (4 * row + 1) * height // 16, (4 * column + 1) * width // 16
            bottom, right = (4 * row + 3) * height // 16, (4 * column + 3) * width // 16
            level = float(pixels[top:bottom, left:right].mean())
            if 90 < level < 165:
                raise ValueError(f"cell {row},{column} is neither black nor white: {level:.0f}")
            number = number << 1 | (level > 127)
    return number


def counter_video(
    path: Path,
    seconds: float,
    fps: float = 30,
    *,
    size: tuple[int, int] = (320, 180),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    gop: int = 15,
    times: Sequence[float] | None = None,
    container: str | None = None,
    options: dict[str, str] | None = None,
    colour: dict[str, int] | None = None,
    aspect: Fraction | None = None,
) -> NDArray[np.float64]:
    """Write frames 0, 1, 2, ... and return the second at which each is shown.

    Args:
        size: (width, height).
        times: seconds of every frame, ascending, for variable rates and late starts; replaces
            `seconds` and `fps`.
        options: for the encoder, such as {"crf": "30"}.
        colour: attributes of the codec context, such as {"color_range": 2}.
        aspect: of one pixel, where it is not square.
    """
    count = max(1, round(seconds * fps))
    shown = np.arange(count) / fps if times is None else np.asarray(times, np.float64)
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.gop_size = gop
        context = stream.codec_context
        stream.options = {"preset": "ultrafast", **(options or {})}
        if times is not None:
            context.time_base = stream.time_base = TIME_BASE
        for name, value in (colour or {}).items():
            setattr(context, name, value)
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        base = context.time_base or 1 / Fraction(fps).limit_denominator(1001)
        for number, second in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(counter_frame(number, *size), format="rgb24")
            frame.pts, frame.time_base = round(float(second) / float(base)), base
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return shown


def ffmpeg(*arguments: str | Path) -> None:
    """Run the bundled ffmpeg, overwriting its output; CalledProcessError when it fails."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y"]
    subprocess.run([*command, *map(str, arguments)], check=True, stdin=subprocess.DEVNULL)


def trimmed_copy(source: Path, target: Path, start_seconds: float) -> None:
    """A stream copy from `start_seconds` on: the frames before it stay in the file, hidden by an
    edit list, which is where decoders that number frames from the file's head go wrong."""
    ffmpeg("-ss", str(start_seconds), "-i", source, "-c", "copy", target)


def cup_video(path: Path) -> None:
    """Four seconds of a photograph of a cup of coffee, which the shipped weights know well."""
    cup = next(shot for shots in SAMPLES.values() for shot in shots if "coffee" in shot.file)
    still = ("-loop", "1", "-i", picture_of(cup), "-t", "4", "-vf", "scale=320:240")
    ffmpeg(*still, "-pix_fmt", "yuv420p", path)
