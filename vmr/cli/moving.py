"""`vmr library migrate FROM TO` copies a library to servers, or back into a folder, and
`vmr library rebuild` makes its index anew."""

import argparse
from typing import Any

from vmr.cli.console import DONE, add_index, add_store
from vmr.library.address import default_place, place_option


def add_parsers(commands: Any) -> None:
    """Register the command."""
    text = "Copy a library to another place, or make its index anew."
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
    text = "Delete the index of a library and make it again of the features in its store."
    anew = inside.add_parser("rebuild", help=text, description=text)
    anew.add_argument("--library", type=place_option, default=default_place(), metavar="DIR")
    add_index(anew)
    anew.set_defaults(run=_rebuild)


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


def _rebuild(options: argparse.Namespace) -> int:
    from vmr.cli.console import open_library
    from vmr.search.indexes import place, rebuild
    from vmr.search.model import model_of

    library = open_library(options.library)
    if options.index:
        place(library, options.index)
    index = rebuild(library, model_of(library))
    print(f"{library.name}: {len(index)} clips of {index.count()} videos")
    return DONE
