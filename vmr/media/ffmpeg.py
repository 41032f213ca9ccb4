"""The bundled ffmpeg, run safely: no shell, no play lists, no half-written results.

run(["-ss", "12.0", *input_of(path)], ["-c", "copy"], Path("clip.mkv"), name="holiday.mp4")
"""

import contextlib
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import imageio_ffmpeg

from feature_extract.files import scratch_folder
from feature_extract.video.faults import FAULTS
from feature_extract.video.formats import FORMATS, is_jpeg_stream

TIMEOUT_SECONDS: Final = 120.0
_CONTAINERS: Final = f"{FORMATS},webp_pipe"
NOTHING: Final = "nothing can be read at this place"
# What ffmpeg says, and what a person is told; the first that fits.
_REASONS: Final = tuple(
    (re.compile(said, re.IGNORECASE), told)
    for said, told in (
        (r"could not find tag for codec (\w+)", "{ending} cannot hold {0}; take .mkv"),
        (r"codec (\w+) .*not (?:currently )?supported", "{ending} cannot hold {0}; take .mkv"),
        (r"(\w+) only supported in", "{ending} cannot hold {0}; take .mkv"),
        (r"only (\S.*?) (?:are|is) (?:supported|allowed)", "{ending} holds only {0}; take .mkv"),
        (r"could not write header", "{ending} cannot hold these streams; export without --copy"),
        (r"no space left|disk quota", "cannot be written: the disk is full"),
        (r"read-only file system", "cannot be written: the disk is read-only"),
        (r"permission denied", "no permission"),
        (r"input/output error", "the disk or network failed while it was read; try again"),
        (r"moov atom not found", "its index is missing (an unfinished copy or recording)"),
        (r"unknown timestamp", "its pictures have no times; export without --copy"),
        (r"invalid data found|output file is empty|nothing was encoded", NOTHING),
        (r"no such file", "the file is no longer there"),
    )
)

_ENDING: Final = re.compile(
    "terminating thread|task finished|last message repeated|conversion failed|"
    "error (?:sending|submitting|muxing)",
    re.IGNORECASE,
)
"""How ffmpeg ends after it has said what was wrong."""

_BROKEN_OFF: Final = re.compile(
    f"error during demuxing: (?:{'|'.join(os.strerror(number) for number in FAULTS)})",
    re.IGNORECASE,
)
"""What it says of a source that cannot be read on; it then ends as if all was well."""


class FfmpegError(ValueError):
    """It could not be made; the message names the file, without its folder, and says why."""


def input_of(source: Path) -> list[str]:
    """The arguments that open a video file and nothing else."""
    # "file:" keeps a name such as "concat:a|b.mp4" from being read as a protocol.
    kind: list[str] = []
    with contextlib.suppress(OSError):  # ffmpeg, which cannot open it either, says why
        kind = ["-f", "mjpeg"] if is_jpeg_stream(str(source)) else []
    return ["-format_whitelist", _CONTAINERS, *kind, "-i", f"file:{source.resolve()}"]


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
                [*command, *output, str(draft)],
                capture_output=True,
                timeout=timeout_seconds,
                check=False,
            )
            said = done.stderr.decode(errors="replace")
            failed = done.returncode or _BROKEN_OFF.search(said)
            if failed or not draft.is_file() or not draft.stat().st_size:
                raise FfmpegError(f"{name}: {reason(said, target.suffix, folder)}")
            draft.replace(target)
    except subprocess.TimeoutExpired as error:
        raise FfmpegError(f"{name}: not done within {timeout_seconds:.0f} s") from error
    except OSError as error:
        why = "its folder is not there" if not target.parent.is_dir() else str(error)
        raise FfmpegError(f"{name}: {target.name} cannot be written ({why})") from error


def reason(said: str, ending: str, folder: Path) -> str:
    """Why ffmpeg failed, of what it printed; its last line where no other words are known.

    Args:
        ending: of the file that was to be written.
        folder: where it was; not to be named.
    """
    for pattern, told in _REASONS:
        found = pattern.search(said)
        if found:
            return told.format(*found.groups(), ending=ending.lstrip(".") or "it")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    lines = [line for line in lines if not _ENDING.search(line)] or lines
    if not lines:
        return NOTHING
    last = re.sub(r"^\[[^]]*\] *", "", lines[-1])  # which part of it speaks
    return "ffmpeg says: " + last.replace(f"{folder}/", "").replace("file:", "")[:200]
