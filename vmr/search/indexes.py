"""Opens the index of a library, by where it lies: only what is named is imported.

index = open_index(library, model)
place(library, "milvus://vectors.local:19530/moments")      # kept; "here" takes it back
index = rebuild(library, model)                             # of what lies in the store
"""

import logging
import secrets
from typing import TYPE_CHECKING, Final

from vmr.library.locks import AwayError, LibraryError
from vmr.library.opening import INDEX, INDEX_NAME, missing
from vmr.library.store import Library
from vmr.model.retrieval import RetrievalModel
from vmr.search.clips import Index
from vmr.search.index import ClipIndex
from vmr.search.index_address import IndexAddress
from vmr.search.parts import short

if TYPE_CHECKING:
    from vmr.search.server_index import ServerIndex

logger = logging.getLogger(__name__)

HERE: Final = "here"
"""Said for an index on each computer, which is the default."""


def place(library: Library, named: str) -> None:
    """Have the index of a library there from now on; where it was, it is deleted.

    Args:
        named: milvus://HOST:PORT/DATABASE, or here.

    Raises:
        LibraryError: it is no such address, or the library lies in a folder, which other machines
            do not see.
    """
    if named != HERE:
        if library.one_at_a_time:
            raise LibraryError(f"--index is for a library on servers; {library.name} is a folder")
        try:
            IndexAddress.read(named)
        except ValueError as error:
            raise LibraryError(str(error)) from error
    kept = library.settings.get(INDEX)
    if kept == named.removeprefix(HERE):
        return
    try:
        _forget(library)
    except AwayError as error:  # a server that is gone must not keep a library
        logger.info("%s: what was there stays: %s", kept, error)
    with library.catalogue.transaction():
        library.settings.set(INDEX, named.removeprefix(HERE))
        if not library.settings.get(INDEX_NAME):
            library.settings.set(INDEX_NAME, f"moments_{secrets.token_hex(6)}_")


def open_index(library: Library, model: RetrievalModel) -> Index:
    """The index of a library, brought up to date with it.

    Raises:
        LibraryError: the library was indexed with other networks than the model reads, or what the
            index lies on does not answer.
    """
    named = library.settings.get(INDEX)
    if not named:
        return ClipIndex.open(library, model)
    name = f"{library.settings.get(INDEX_NAME)}{short(model.fingerprint):016x}"
    return _server_index(named).open(library, model, IndexAddress.read(named), name)


def rebuild(library: Library, model: RetrievalModel) -> Index:
    """The index of a library, all of which was deleted and made again of its features.

    Raises:
        LibraryError: as of `open_index`.
    """
    _forget(library)
    return open_index(library, model)


def about(library: Library) -> str:
    """What a server that holds the index says of itself; empty where there is none.

    Raises:
        LibraryError: it does not answer.
    """
    named = library.settings.get(INDEX)
    return _server_index(named).about(IndexAddress.read(named)) if named else ""


def _forget(library: Library) -> None:
    named = library.settings.get(INDEX)
    if named:
        prefix = library.settings.get(INDEX_NAME)
        _server_index(named).forget(library, IndexAddress.read(named), prefix)
    else:
        ClipIndex.forget(library)


def _server_index(named: str) -> "type[ServerIndex]":
    try:
        from vmr.search.server_index import ServerIndex
    except ImportError as error:
        raise LibraryError(f"{named}: {missing(error)}") from error
    return ServerIndex
