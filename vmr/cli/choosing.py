"""The options --encoder and --prompt: another encoder for a library.

problems = take_encoder(library, "clip-b32")        # None: leaves it as it is

Heavy modules are imported when an encoder is named, so that `--help` answers at once.
"""

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmr.library.store import Library, Video


def add_encoder(parser: argparse.ArgumentParser) -> None:
    """Register --encoder and --prompt."""
    parser.add_argument(
        "--encoder",
        metavar="NAME",
        help="search this library with another encoder from now on: a short name "
        "(docs/ENCODERS.md), OWNER/NAME of the hub, a folder, or `default`",
    )
    parser.add_argument(
        "--prompt",
        default="",
        metavar="TEXT",
        help="with --encoder: what a question becomes before it is read, such as 'a video of {}'",
    )


def take_encoder(library: "Library", name: str | None, prompt: str = "") -> list[str]:
    """Have a library searched with an encoder, once its videos are read with it.

    Args:
        prompt: what a question becomes before it is read, such as "a video of {}"; empty for what
            is usual with the encoder.

    Returns:
        One line for each video that could not be.

    Raises:
        EncoderError: there is no such encoder, or it cannot be used; the library is untouched.
    """
    if name is None:
        if prompt:
            raise ValueError("--prompt goes with --encoder NAME")
        return []
    from vmr.library.encoders import take

    problems = take(library, name, prompt=prompt, on_progress=_told)
    if problems is None:
        return []
    print(f"searched with {name} from now on", file=sys.stderr)
    return problems


def read_lacking(library: "Library") -> list[str]:
    """Read what could not be read with the library's encoder before; a line for each that still
    cannot."""
    from vmr.library.encoders import catch_up

    return catch_up(library, on_progress=_told)


def _told(video: "Video", fraction: float, _: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if fraction >= 1 else "\r"
        print(f"{video.name}: {fraction:4.0%} read with the encoder", end=end, file=sys.stderr)
