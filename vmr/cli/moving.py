"""`vmr library migrate FROM TO`: a library is copied to servers, or back into a folder."""

import argparse
from typing import Any

from vmr.cli.console import DONE, add_store
from vmr.library.address import place_option


def add_parsers(commands: Any) -> None:
    """Register the command."""
    text = "Copy a library to another place."
    library = commands.add_parser("library", help=text, description=text)
    inside = library.add_subparsers(metavar="WHAT", required=True)
    text = (
        "Copy a whole library, from a folder to servers or back, and compare both row by row. "
        "Begun again, it goes on where it was stopped; FROM stays as it is."
    )
    migrate = inside.add_parser("migrate", help=text, description=text)
    migrate.add_argument("source", type=place_option, metavar="FROM")
    migrate.add_argument("target", type=place_option, metavar="TO")
    add_store(migrate)
    migrate.set_defaults(run=_migrate)


def _migrate(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from vmr.cli.console import open_library
    from vmr.library.migrate import migrate
    from vmr.library.store import Library

    source = open_library(options.source)
    target = Library(options.target, store=options.store)
    with tqdm(total=1.0, desc="copying", disable=None, leave=False) as bar:

        def tell(share: float) -> None:
            bar.update(share - bar.n)

        rows = migrate(source, target, on_progress=tell)
    counted = ", ".join(f"{count} {name}" for name, count in rows.items() if count)
    print(f"{target.name}: the same as {source.name}: {counted or 'nothing'}")
    return DONE
