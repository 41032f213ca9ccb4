"""What the commands of the command line share: exit codes, opening a library, plain text.

library = open_library(options.library)
print(clock(72.5), one_line(str(video.path)))
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from vmr.library.address import Place
    from vmr.library.store import Library, Video

DONE: Final = 0
FAILED: Final = 1
REFUSED: Final = 3


class Commands(Protocol):
    """Makes a command of this name, with its `--library` option."""

    def __call__(
        self, name: str, run: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        """The parser of the new command, which `run` carries out; `text` is its help."""


def open_library(folder: "Place") -> "Library":
    """An existing library, also one that may only be read."""
    from vmr.library.store import Library

    if not isinstance(folder, Path):
        Library(folder, read_only=True).close()  # so that a wrong name makes no library
        return Library(folder)
    there = (folder / "library.db").is_file()
    return Library(folder, read_only=not (there and os.access(folder, os.W_OK)))


def add_store(parser: argparse.ArgumentParser) -> None:
    """Let it be said where the features of a library on a server go."""
    parser.add_argument(
        "--store",
        default="",
        metavar="PLACE",
        help="where the features of a library on a server go: s3://BUCKET/PREFIX, or a folder that "
        "every machine sees; said once, then kept",
    )


def add_index(parser: argparse.ArgumentParser) -> None:
    """Let it be said where the index of a library on servers lies."""
    parser.add_argument(
        "--index",
        default="",
        metavar="PLACE",
        help="where the index of a library on servers lies from now on: milvus://HOST:19530, or "
        "`here` for one on every computer, which is the default; said once, then kept",
    )


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Let files be read on other machines."""
    text = "read the files on a Ray cluster, of a library on servers: ray://HOST:PORT, or auto"
    parser.add_argument("--engine", default="", metavar="ADDRESS", help=text)
    text = "what each worker of the engine has of its machine's, such as 1 or 0.5; default: none"
    parser.add_argument("--gpus-per-worker", type=float, default=0.0, metavar="N", help=text)


def film_option(text: str) -> Path:
    """A path of this computer, or the address of films in a bucket, from the command line."""
    from vmr.library.films import film_path

    try:
        return film_path(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def video_named(library: "Library", name: str) -> "Video":
    """The video with this id or path; a path may be typed with its accents composed or apart."""
    from feature_extract.text_form import normal_form
    from vmr.library.films import film_path

    path = film_path(name)
    found = library.find(path)
    if found is not None:
        return found
    meant = normal_form(str(path.absolute()))
    alike = [video for video in library.videos() if normal_form(str(video.path)) == meant]
    if len(alike) == 1:
        return alike[0]
    if name.isdecimal():
        return library.video(int(name))
    raise ValueError(f"{name}: no such video in {library.name}; `list` shows what there is")


def clock(seconds: float) -> str:
    """Hours, minutes, seconds and tenths."""
    tenths = round(max(0.0, seconds) * 10)
    return f"{tenths // 36000:02}:{tenths // 600 % 60:02}:{tenths // 10 % 60:02}.{tenths % 10}"


def one_line(text: str) -> str:
    """A file name may hold a line break; the terminal shows it as \\n."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
