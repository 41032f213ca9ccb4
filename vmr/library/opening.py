"""Opens what a library is made of, by where it is: only what is named is imported.

catalogue = open_catalogue(place, read_only=False)
blobs = open_blobs(place, Settings(catalogue))
"""

import os
from pathlib import Path
from typing import Final

from vmr.library.address import Place
from vmr.library.blobs import Blobs, FolderBlobs
from vmr.library.connection import Catalogue, Connection
from vmr.library.locks import LibraryError, plain_errors
from vmr.library.settings import Settings

STORE: Final = "store"
"""The setting of a library on a server that says where its features and thumbnails lie."""
INDEX: Final = "index"
"""That says where its index lies; empty on every computer that searches it."""
INDEX_NAME: Final = "index name"
"""What the collections of the index begin with: several libraries may share a server."""


def open_catalogue(place: Place, *, read_only: bool) -> Catalogue:
    """The database of a library, made when missing.

    Raises:
        LibraryError: it cannot be opened, or is of another version.
    """
    if isinstance(place, Path):
        return Connection(place, read_only=read_only)
    try:
        from vmr.library.postgres import PostgresCatalogue
    except ImportError as error:
        raise LibraryError(f"{place}: {missing(error)}") from error
    return PostgresCatalogue(place, read_only=read_only)


def open_blobs(place: Place, settings: Settings, named: str = "") -> Blobs:
    """Where the features and thumbnails of a library lie; of one on a server as it was said once.

    Args:
        named: s3://BUCKET/PREFIX, or a folder that every machine sees under this path; kept with
            the library.

    Raises:
        LibraryError: no store is known, it is no address, or another one is kept already.
    """
    if isinstance(place, Path):
        if named:
            raise LibraryError(f"{place}: a library in a folder keeps its features there itself")
        return FolderBlobs(place)
    store = named.rstrip("/")
    if store and "://" not in store:
        store = os.path.abspath(store)  # noqa: PTH100  # links stay as named
    kept = settings.get(STORE)
    if not (store or kept):
        raise LibraryError(f"{place}: say once where features go: --store s3://BUCKET/PREFIX")
    if store and kept and store != kept:
        raise LibraryError(f"{place} has its features in {kept}; copy them, then set it there")
    blobs = open_store(store or kept)
    if store and not kept:
        settings.set(STORE, store)
    return blobs


def open_store(store: str) -> Blobs:
    """What lies at the address of a store, as `Blobs.name` says it.

    Raises:
        LibraryError: it is no such address, or cannot be opened.
    """
    if "://" not in store:
        with plain_errors(Path(store)):
            for name in ("features", "thumbnails"):
                Path(store, name).mkdir(parents=True, exist_ok=True)
        return FolderBlobs(Path(store))
    if not store.startswith("s3://"):
        raise LibraryError(f"{store}: a store is s3://BUCKET/PREFIX, or a folder")
    try:
        from vmr.library.object_blobs import ObjectBlobs
    except ImportError as error:
        raise LibraryError(f"{store}: {missing(error)}") from error
    try:
        return ObjectBlobs(store)
    except ValueError as error:
        raise LibraryError(str(error)) from error


def missing(error: ImportError) -> str:
    """What to do about a package of servers that is not installed."""
    return f"pip install -r requirements-cluster.txt first ({error})"
