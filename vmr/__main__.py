"""The command line: `python -m vmr COMMAND`.

    python -m vmr index FOLDER --library LIBRARY
    python -m vmr search "a dog runs on the beach" --library LIBRARY --json

A command parses, calls one function of the library, and prints.
Exit status: 0 done, 1 an error (one line says which), 2 wrong usage, 3 some files were refused.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import vmr.library_cli
import vmr.research_cli
import vmr.search_cli
from vmr.console import DONE, FAILED, REFUSED, one_line
from vmr.database import default_library


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    for stream in (sys.stdout, sys.stderr):  # a file name need not be printable
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    options = _parser().parse_args(arguments)
    try:
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vmr", description="Find moments in videos by what happens in them."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--library",
        type=Path,
        default=default_library(),
        metavar="DIR",
        help="default: %(default)s",
    )

    def command(
        name: str, run: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text, parents=[shared])
        made.set_defaults(run=run)
        return made

    vmr.library_cli.add_parsers(command)
    vmr.search_cli.add_parsers(command)
    vmr.research_cli.add_parsers(commands)
    demo = commands.add_parser("demo", help="Open the page on a small sample library.")
    demo.add_argument("rest", nargs=argparse.REMAINDER, help="options of app.py, such as --port")
    demo.set_defaults(run=_demo)
    return parser


def _demo(options: argparse.Namespace) -> int:
    import app
    from vmr.library_cli import ingest_files, report
    from vmr.samples import QUERIES, build_samples
    from vmr.store import Library

    library = Path(".demo") / "library"
    jobs = ingest_files(Library(library), build_samples(Path(".demo") / "videos"))
    if report(jobs, []):
        return REFUSED
    offered = [part for query in QUERIES for part in ("--example", query)]
    app.main(["--library", str(library), *offered, *options.rest])
    return DONE


if __name__ == "__main__":
    sys.exit(main())
