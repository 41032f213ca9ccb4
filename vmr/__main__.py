"""The command line: `python -m vmr COMMAND`.

    python -m vmr index FOLDER --library LIBRARY
    python -m vmr search "a dog runs on the beach" --library LIBRARY --json

A command parses, calls one function of the library, and prints.
Exit status: 0 done, 1 an error (one line says which), 2 wrong usage, 3 some files were refused.
"""

import argparse
import atexit
import gc
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import vmr.cli.comparing
import vmr.cli.encoders
import vmr.cli.export
import vmr.cli.library
import vmr.cli.moving
import vmr.cli.research
import vmr.cli.search
import vmr.cli.weights
from feature_extract.files import sweep_noted
from feature_extract.logs import HELP, shown
from vmr.cli.console import DONE, FAILED, one_line
from vmr.library.address import default_place, place_option


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    for stream in (sys.stdout, sys.stderr):  # a file name need not be printable
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    options = read_options(arguments)
    try:
        with shown(options.verbose):
            sweep_noted()
            return int(options.run(options))
    except KeyboardInterrupt:
        print("stopped; what was finished is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away, such as `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # the outermost edge: no traceback reaches a user
        if sys.flags.dev_mode:  # python -X dev -m vmr ... shows it to a developer
            raise
        known = isinstance(error, (ValueError, OSError))
        text = f"{'' if known else type(error).__name__ + ': '}{error}"
        print(f"error: {one_line(text)}", file=sys.stderr)
        return FAILED


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of one command; `demo` passes what it does not know on to the page, as `rest`."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and options.run not in (_demo, _page):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    options.verbose = getattr(options, "verbose", False)
    return options


def _add_verbose(parser: argparse.ArgumentParser) -> None:
    """Let the option stand before a command, and behind it."""
    parser.add_argument("--verbose", action="store_true", default=argparse.SUPPRESS, help=HELP)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _add_verbose(command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vmr" if Path(sys.argv[0]).stem == "vmr" else "python -m vmr",
        description="Find moments in videos by what happens in them.",
    )
    parser.add_argument("--version", action="version", version=f"vmr {vmr.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--library",
        type=place_option,
        default=default_place(),
        metavar="DIR",
        help="a folder, or postgresql://USER@HOST/DATABASE; default: %(default)s",
    )

    def command(
        name: str, run: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text, parents=[shared])
        made.set_defaults(run=run)
        return made

    vmr.cli.library.add_parsers(command)
    vmr.cli.search.add_parsers(command)
    vmr.cli.encoders.add_parsers(command)
    vmr.cli.comparing.add_parsers(command)
    vmr.cli.export.add_parsers(command)
    vmr.cli.research.add_parsers(commands)
    vmr.cli.weights.add_parsers(commands)
    vmr.cli.moving.add_parsers(commands)
    text = "Open the page over a library; `page --help` lists its options."
    page = commands.add_parser("page", help=text, add_help=False)  # its options answer --help
    page.set_defaults(run=_page)
    text = "Open the page on a small sample library; options are those of `page`, such as --port."
    demo = commands.add_parser("demo", help=text, description=text)
    demo.set_defaults(run=_demo)
    _add_verbose(parser)
    return parser


def _page(options: argparse.Namespace) -> int:
    from vmr.page.options import read_options as read_page_options

    page_options = read_page_options(options.rest)
    gc.disable()  # as app.py does while it imports
    from vmr.page.server import run as serve

    gc.enable()
    serve(page_options)
    return DONE


def _demo(options: argparse.Namespace) -> int:
    gc.disable()  # as app.py does while it imports
    from vmr.cli.demo import run_demo

    gc.enable()
    return run_demo(options)


def leave(status: int) -> NoReturn:
    """End the process at once: to take torch apart orderly costs half a second after the answer."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # as in `main`
        status = FAILED
    atexit._run_exitfuncs()
    os._exit(status)


def run() -> NoReturn:
    """The command `vmr` of an installation."""
    leave(main())


if __name__ == "__main__":
    run()
