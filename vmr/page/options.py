"""The command line of the page, read into one checked object.

options = read_options(["--library", "films", "--port", "8000"])
options.open_to_others      # whether other computers can reach the page
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from feature_extract.logs import HELP
from vmr.library.address import Place, default_place, place_option
from vmr.page.guard import is_loopback


@dataclass(frozen=True)
class ServerOptions:
    """How the page is served, and what its visitors may do."""

    library: Place
    host: str
    port: int
    share: bool
    "also over a public link of Gradio's relay"
    auth: tuple[str, str] | None
    "name and password that visitors log in with; None: none is named"
    allow_changes: bool
    "visitors of a shared page may add and remove videos"
    kiosk: bool
    example: list[str]
    "queries that the page offers"
    no_feedback: bool
    "answer as if nothing had ever been rated"
    words_only: bool
    "questions are read word by word, without the sentence encoder"
    mcp: bool
    "assistants may search the library"
    upload_gb: int
    "limit of one upload, in GiB"
    preview_gb: int
    "limit of all kept previews together, in GiB"
    verbose: bool
    "print what was done another way than usual, and why"

    @property
    def open_to_others(self) -> bool:
        """Whether the page can be reached from other computers."""
        return self.share or not is_loopback(self.host)


def read_options(arguments: Sequence[str] | None) -> ServerOptions:
    """Read the command line; None stands for that of this process.

    Raises:
        SystemExit: an option is wrong, which argparse has said, or help was asked for.
    """
    parser = _parser()
    options = ServerOptions(**vars(parser.parse_args(arguments)))
    if options.mcp and (options.auth or options.open_to_others):
        # Measured with Gradio 6.31: its MCP server answers without the login.
        parser.error("--mcp serves this computer only: it goes without --share, --host and --auth")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python app.py" if Path(sys.argv[0]).name == "app.py" else "vmr page",
        description="Open the page over a library of videos.",
    )
    parser.add_argument(
        "--library",
        type=place_option,
        default=default_place(),
        metavar="DIR",
        help="a folder, or postgresql://USER@HOST/DATABASE; default: %(default)s",
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: this computer only")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--share", action="store_true", help="make a public link, with a password")
    parser.add_argument(
        "--auth", type=_login, metavar="NAME:PASSWORD", help="ask visitors for this login"
    )
    parser.add_argument(
        "--allow-changes",
        action="store_true",
        help="let visitors of a shared page add and remove videos",
    )
    parser.add_argument(
        "--kiosk",
        action="store_true",
        help="for a screen in public: nothing can be changed, the best moment plays by itself",
    )
    parser.add_argument(
        "--example",
        action="append",
        default=[],
        metavar="WORDS",
        help="a query to offer; repeatable",
    )
    parser.add_argument(
        "--no-feedback", action="store_true", help="answer as if nothing had ever been rated"
    )
    parser.add_argument(
        "--words-only",
        action="store_true",
        help="read questions word by word, without the sentence encoder",
    )
    parser.add_argument("--mcp", action="store_true", help="let assistants search the library")
    parser.add_argument("--upload-gb", type=int, default=4, help="limit for one upload")
    parser.add_argument("--preview-gb", type=int, default=1, help="limit for kept previews")
    parser.add_argument("--verbose", action="store_true", help=HELP)
    return parser


def _login(text: str) -> tuple[str, str]:
    name, colon, password = text.partition(":")
    if not (name and colon and password):
        raise argparse.ArgumentTypeError("a login is written NAME:PASSWORD")
    return name, password
