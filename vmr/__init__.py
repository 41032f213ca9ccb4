"""Moments: search your own videos by what happens in them.

    from vmr import Extractor, Ingest, Library, RetrievalModel, Searcher, find_videos

These names are the public interface, and the README shows their use. Nothing is imported before it
is asked for. Our own files import each other by file, never from here.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from feature_extract.extract import Extractor
    from vmr.library.catalogue import Video
    from vmr.library.folders import find_videos
    from vmr.library.ingest import Ingest
    from vmr.library.store import Library
    from vmr.model.retrieval import RetrievalModel
    from vmr.search.moments import Answer, Moment
    from vmr.search.searcher import Searcher

__all__ = [
    "Answer",
    "Extractor",
    "Ingest",
    "Library",
    "Moment",
    "RetrievalModel",
    "Searcher",
    "Video",
    "find_videos",
]
__version__ = "0.2.0"

_HOMES: Final = {
    "Answer": "vmr.search.moments",
    "Extractor": "feature_extract.extract",
    "Ingest": "vmr.library.ingest",
    "Library": "vmr.library.store",
    "Moment": "vmr.search.moments",
    "RetrievalModel": "vmr.model.retrieval",
    "Searcher": "vmr.search.searcher",
    "Video": "vmr.library.catalogue",
    "find_videos": "vmr.library.folders",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'vmr' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
