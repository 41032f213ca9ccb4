"""The bundled ffmpeg, run safely: no shell, no play lists, no half-written results.

run(["-ss", "12.0", *input_of(path)], ["-frames:v", "1"], Path("still.jpg"))
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import imageio_ffmpeg

from feature_extract.video.formats import FORMATS
from vmr.library.locks import LibraryError
from vmr.library.scratch import scratch_folder

TIMEOUT_SECONDS: Final = 120.0
_CONTAINERS: Final = f"{FORMATS},webp_pipe"
SQUARE: Final = "scale=trunc(iw*sar/2)*2:trunc(ih/2)*2,setsar=1"
"""The filter that shows a picture as it is meant: square pixels, even sizes for H.264."""


class FfmpegError(ValueError):
    """ffmpeg could not do it; the message names the file, without its folder."""


def input_of(source: Path) -> list[str]:
    """The arguments that open a video file and nothing else."""
    # "file:" keeps a name such as "concat:a|b.mp4" from being read as a protocol.
    return ["-format_whitelist", _CONTAINERS, "-i", f"file:{source.resolve()}"]


def run(
    inputs: Sequence[str],
    output: Sequence[str],
    target: Path,
    *,
    name: str,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> None:
    """Make `target`, whole or not at all.

    Args:
        name: of the source, for the error.

    Raises:
        FfmpegError: it failed, made nothing, or took too long.
    """
    quiet = ["-nostdin", "-v", "error", "-y", "-abort_on", "empty_output"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), *quiet, *inputs]
    try:
        with scratch_folder(target.parent) as folder:
            draft = folder / f"draft{target.suffix}"
            done = subprocess.run(
                [*command, *output, "-map_metadata", "-1", str(draft)],
                capture_output=True,
                timeout=timeout_seconds,
                check=False,
            )
            if done.returncode or not draft.is_file() or not draft.stat().st_size:
                raise FfmpegError(f"{name}: nothing can be read at this place")
            draft.replace(target)
    except subprocess.TimeoutExpired as error:
        raise FfmpegError(f"{name}: not done within {timeout_seconds:.0f} s") from error
    except (OSError, LibraryError) as error:
        why = "disk full?" if target.parent.is_dir() else "its folder is not there"
        raise FfmpegError(f"{name}: {target.name} cannot be written ({why})") from error
