"""A composed timeline as a real video file, for the real extractor.

    film(timeline, lambda segment: Still(pictures[segment.place], seed=7), Path("a.mp4"))

Every shot moves: it pans, zooms, turns or shakes, at its own speed, and now and then stands still,
so that nothing can be told by whether there is motion. A shot with a movement of its own (one of
MOVES, that a question may name) goes that way all the time. Clips are played to and fro.
"""

import math
import random
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vmr.training.compose import Segment, Timeline

SIZE: Final = (256, 192)
"""Width and height of a film's pictures, in pixels."""
FPS: Final = 8
"""Pictures a second of a film."""
PAN: Final = (0.1, 0.35)
"""Least and most speed of a shot that goes to one side, in widths of the picture a second."""
ZOOM: Final = (0.15, 0.3)
"""Least and most change of the logarithm of the size a second, of a shot that zooms."""
TURN: Final = (0.2, 0.5)
"""Least and most radians a second of a shot that turns."""
FARTHEST: Final = 0.35
"""Share of the view that is seen where a shot that zooms out begins."""
_RATES: Final = {
    "right": (0, 1, PAN),
    "left": (0, -1, PAN),
    "down": (1, 1, PAN),
    "up": (1, -1, PAN),
    "in": (2, 1, ZOOM),
    "out": (2, -1, ZOOM),
    "clockwise": (3, 1, TURN),
    "anticlockwise": (3, -1, TURN),
}
"""For each of MOVES: the column of `rates` that it changes, its sign, and its least and most."""


class Shot(Protocol):
    """Something that a film can show: it gives a picture for every point in time."""

    def frame(self, seconds: float, through: float) -> Image.Image:
        """The picture, SIZE, so many seconds after its start, `through` 0..1 of its showing."""


class Still:
    """A photograph under a moving camera."""

    def __init__(self, picture: Image.Image, seed: int) -> None:
        self._picture = picture.convert("RGB").resize((2 * SIZE[0], 2 * SIZE[1]))
        rng = random.Random(seed)
        self._zoom = rng.uniform(0.72, 1.0), rng.uniform(0.72, 1.0)
        if rng.random() < 0.15:
            self._zoom = self._zoom[:1] * 2
        self._from, self._to = ((rng.random(), rng.random()) for _ in range(2))
        self._turn = rng.uniform(-6, 6) if rng.random() < 0.2 else 0.0
        self._shake = rng.uniform(0.005, 0.02) if rng.random() < 0.3 else 0.0
        self._pulse = rng.uniform(1.0, 3.0)
        self._mirrored = rng.random() < 0.5

    def frame(self, seconds: float, through: float) -> Image.Image:
        """The picture at a point in time, see Shot."""
        width, height = self._picture.size
        zoom = self._zoom[0] + through * (self._zoom[1] - self._zoom[0])
        place = [a + through * (b - a) for a, b in zip(self._from, self._to, strict=True)]
        shake = self._shake * math.sin(2 * math.pi * self._pulse * seconds)
        left = min(max(place[0] * (1 - zoom) + shake, 0.0), 1 - zoom) * width
        top = min(max(place[1] * (1 - zoom) + 0.7 * shake, 0.0), 1 - zoom) * height
        box = left, top, left + zoom * width, top + zoom * height
        picture = self._picture
        if self._turn:
            picture = picture.rotate(self._turn * through, Image.Resampling.BILINEAR)
        if self._mirrored:
            box = box[2], box[1], box[0], box[3]
        return picture.transform(SIZE, Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)


class Moving:
    """A photograph that goes one way (a name of MOVES); beyond its edges it is mirrored."""

    def __init__(self, picture: Image.Image, seed: int, move: str) -> None:
        width, height = SIZE
        own = np.asarray(picture.convert("RGB").resize((2 * width, 2 * height)))
        rng = random.Random(seed)
        if rng.random() < 0.5:
            own = own[:, ::-1]
        tiled = np.concatenate([own, own[:, ::-1]], axis=1)
        self._tiles = Image.fromarray(np.tile(np.concatenate([tiled, tiled[::-1]]), (2, 2, 1)))
        self._move, self._view = move, rng.uniform(0.72, 0.95)
        column, sign, limits = _RATES[move]
        self._rate = rng.uniform(*limits)
        self._shake, self._pulse = rng.uniform(0, 0.008), rng.uniform(1.0, 3.0)
        self.rates = tuple(sign * self._rate * (place == column) for place in range(4))
        """What is seen goes so many widths a second to the right and down, grows (logarithm of its
        size) and turns clockwise (radians)."""

    def frame(self, seconds: float, through: float) -> Image.Image:  # noqa: ARG002  # as Shot has it
        """The picture at a point in time, see Shot."""
        right, down, _, clockwise = self.rates
        across, down = -right * seconds, -down * seconds  # the view goes the other way
        size = self._view
        if self._move == "in":
            size *= math.exp(-self._rate * seconds)
        elif self._move == "out":
            size *= min(1.0, FARTHEST * math.exp(self._rate * seconds))
        turn = clockwise * seconds
        shake = self._shake * math.sin(2 * math.pi * self._pulse * seconds)
        width, height = 2 * SIZE[0], 2 * SIZE[1]
        # The tiles repeat after two widths; the middle of the view starts in the third picture.
        x = width * (1.5 + (1 + across * size + shake) % 2)
        y = height * (1.5 + (1 + down * size + 0.7 * shake) % 2)
        cosine, sine = math.cos(turn) * size * 2, math.sin(turn) * size * 2
        # A pixel of SIZE -> a pixel of the tiles: turned and sized back around the middle.
        left, top = SIZE[0] / 2, SIZE[1] / 2
        across_it = cosine, sine, x - cosine * left - sine * top
        matrix = *across_it, -sine, cosine, y + sine * left - cosine * top
        return self._tiles.transform(
            SIZE, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
        )


@dataclass(frozen=True)
class Clip:
    """A short video, played to and fro."""

    frames: NDArray[np.uint8]
    "(N, H, W, 3) uint8 RGB, of SIZE."
    fps: float
    "Frames a second."

    def frame(self, seconds: float, through: float) -> Image.Image:  # noqa: ARG002  # as Shot has it
        """The picture at a point in time, see Shot."""
        turn = max(1, 2 * (len(self.frames) - 1))
        place = int(seconds * self.fps) % turn
        return Image.fromarray(self.frames[min(place, turn - place)])

    @classmethod
    def read(cls, path: Path) -> "Clip":
        """All frames of a short file, FPS a second."""
        size = f"{SIZE[0]}:{SIZE[1]}"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path)]
        command += ["-vf", f"fps={FPS},scale={size}", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        content = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
        frames = np.frombuffer(content, np.uint8).reshape(-1, SIZE[1], SIZE[0], 3)
        return cls(frames, FPS)


def film(timeline: Timeline, shot: Callable[[Segment], Shot], path: Path) -> None:
    """Write the timeline as an H.264 file."""
    shots = {segment: shot(segment) for segment in timeline.segments}
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-y",
        "-v",
        "error",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
    ]
    command += ["-s", f"{SIZE[0]}x{SIZE[1]}", "-r", str(FPS), "-i", "-", "-c:v", "libx264"]
    command += ["-preset", "ultrafast", "-crf", "23", "-pix_fmt", "yuv420p", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        for number in range(round(timeline.duration * FPS)):
            encoder.stdin.write(picture(timeline, shots, number / FPS).tobytes())
        encoder.stdin.close()
        if encoder.wait(timeout=600):
            raise RuntimeError(f"{path}: the encoder failed")


def picture(timeline: Timeline, shots: Mapping[Segment, Shot], seconds: float) -> Image.Image:
    """What is on the screen; both sides of a fade keep moving through it."""
    parts = [
        (shots[segment].frame(max(0.0, seconds - segment.start), through), share)
        for segment, share, through in timeline.shown(seconds)
    ]
    shown = parts[0][0]
    for other, share in parts[1:]:
        shown = Image.blend(shown, other, share)
    return shown
