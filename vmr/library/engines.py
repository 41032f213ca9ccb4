"""Opens what reads the files of a library, by its address: only what is named is imported.

engine = open_engine(library, "ray://10.0.0.1:6379", gpus=0.5)
with Ingest(library, extractor_of(library), engine) as ingest: ...
"""

from functools import partial

from vmr.library.encoders import chosen, make_extractor
from vmr.library.engine import Engine
from vmr.library.locks import LibraryError
from vmr.library.opening import missing
from vmr.library.store import Library


def open_engine(library: Library, address: str, *, gpus: float = 0.0) -> Engine | None:
    """What reads files on the machines of a Ray cluster; None where no address is given: here.

    Args:
        address: ray://HOST:PORT, or auto.
        gpus: what each worker has of its machine's.

    Raises:
        LibraryError: it is no such address, there is no such cluster, or the library lies in a
            folder, which other machines do not see.
    """
    if not address:
        return None
    if library.one_at_a_time:
        raise LibraryError(f"--engine is for a library on servers; {library.name} is a folder")
    if address != "auto" and not address.startswith("ray://"):
        raise LibraryError(f"{address}: an engine is ray://HOST:PORT, or auto")
    try:
        from vmr.library.ray_engine import RayEngine
    except ImportError as error:
        raise LibraryError(f"{address}: {missing(error)}") from error
    make = partial(make_extractor, chosen(library))
    return RayEngine(address, make, library.blobs.name, gpus=gpus)
