"""An encoder's files from the hub of Hugging Face, into the hub's own cache.

    folder = fetch("google/siglip2-base-patch16-224")   # downloads once; works without network then

Says size and licence first. A connection that breaks is taken up where it was; of a download that
was stopped, whole files are kept. Weights are compared with the digest that the hub gives. Proxies,
another address of the hub (HF_ENDPOINT), the cache's place (HF_HOME) and the login are the hub
client's own matters.
"""

import hashlib
import logging
import shutil
import socket
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlparse
from urllib.request import getproxies

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from feature_extract.encoders.errors import EncoderError
from feature_extract.encoders.known import MAIN
from feature_extract.encoders.source import OPEN_CLIP, PICKLED, TRANSFORMERS
from feature_extract.files import write_text

logger = logging.getLogger(__name__)

_SETTINGS: Final = (".json", ".txt", ".model")
"""Endings of files that say how an encoder is made and how words become tokens."""
_SPARE_BYTES: Final = 200 << 20
"""Left free on the disk after a download."""
_PATIENCE: Final = 10.0
"""Seconds for the first word of the hub."""


def fetch(repository: str, revision: str = MAIN) -> Path:
    """The folder with a repository's files, downloaded unless they are in the cache.

    Raises:
        EncoderError: there is no such repository or revision, it may not be read, it holds no
            safetensors, there is no network or no space, or what came is damaged.
    """
    wanted: list[str] | None = None
    try:
        kept = _cached(repository, revision)
        if kept is not None:
            return kept
        _knock()
        info = HfApi().model_info(repository, revision=revision, files_metadata=True)
        wanted = _wanted(repository, info)
        _announce(repository, info, wanted)
        folder = Path(snapshot_download(repository, revision=info.sha, allow_patterns=wanted))
    except GatedRepoError as error:
        raise EncoderError(
            f"{repository}: gated; accept its licence on its page of the hub, then log in with "
            "`hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise EncoderError(
            f"{repository}: no such folder here, and no such repository on the hub (or a private "
            "one: `hf auth login`)"
        ) from error
    except RevisionNotFoundError as error:
        raise EncoderError(f"{repository}: no revision {revision} of it on the hub") from error
    except HFValidationError as error:
        raise EncoderError(f"{repository}: not the name of a repository (OWNER/NAME)") from error
    except OSError as error:
        if isinstance(error, LocalEntryNotFoundError | HfHubHTTPError | OfflineModeIsEnabled):
            raise _unreachable(repository, wanted, error) from error
        reason = (error.strerror or str(error)).lower()
        raise EncoderError(f"{constants.HF_HUB_CACHE}: cannot be written ({reason})") from error
    except EncoderError:
        raise
    except Exception as error:  # of whatever the client talks HTTP with
        raise _unreachable(repository, wanted, error) from error
    _verify(repository, info, folder)
    _mark(repository, revision, folder.name, wanted)
    return folder


def _knock() -> None:
    """Fail at once where there is no network: the client itself tries for half a minute."""
    address = urlparse(constants.ENDPOINT)
    if getproxies() or constants.HF_HUB_OFFLINE:
        return  # a proxy looks names up by itself; offline, the client says so
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), timeout=_PATIENCE).close()
    except OSError as error:
        raise LocalEntryNotFoundError(str(error)) from error


def _cached(repository: str, revision: str) -> Path | None:
    """The folder of an earlier download that was whole, or None."""
    mark = _mark_file(repository, revision)
    if not mark.is_file():
        return None
    sha, *files = mark.read_text(encoding="utf-8").split("\n")
    folder = _repository_folder(repository) / "snapshots" / sha
    return folder if all((folder / file).is_file() for file in files) else None


def _mark(repository: str, revision: str, sha: str, files: list[str]) -> None:
    """Remember that these files are all of a revision that are wanted, and are whole."""
    write_text(_mark_file(repository, revision), "\n".join([sha, *files]))


def _mark_file(repository: str, revision: str) -> Path:
    return _repository_folder(repository) / f"vmr-{revision}.txt"


def _repository_folder(repository: str) -> Path:
    return Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"


def _wanted(repository: str, info: Any) -> list[str]:
    """The files to fetch: settings, and the weights of one layout."""
    names = [file.rfilename for file in info.siblings or ()]
    top = [name for name in names if "/" not in name]
    weights = [name for name in top if name.endswith((".safetensors", ".safetensors.index.json"))]
    ours = [name for name in weights if not name.startswith("open_clip")]
    layout = TRANSFORMERS in top and ours
    chosen = ours if layout else [name for name in weights if name.startswith("open_clip")] or ours
    if not chosen:
        pickled = [name for name in top if name.endswith(PICKLED)]
        kind = f"only pickled ones ({pickled[0]}), which can run code" if pickled else "none"
        raise EncoderError(f"{repository}: no safetensors weights in it, {kind}")
    if not {TRANSFORMERS, OPEN_CLIP} & set(top):
        raise EncoderError(f"{repository}: neither {TRANSFORMERS} nor {OPEN_CLIP} in it")
    settings = [name for name in top if name.endswith(_SETTINGS) and "index" not in name]
    return sorted({*settings, *chosen})


def _announce(repository: str, info: Any, wanted: list[str]) -> None:
    """Say what comes and what it is allowed for; refuse what does not fit on the disk."""
    size = sum(file.size or 0 for file in info.siblings if file.rfilename in wanted)
    tags = [tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")]
    licence = tags[0] if tags else "not stated"
    sys.stderr.write(
        f"{repository}: {size / 1e6:.0f} MB from {constants.ENDPOINT}, licence {licence}\n"
    )
    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if size + _SPARE_BYTES > free:
        raise EncoderError(
            f"{repository}: needs {size / 1e6:.0f} MB in {cache}, where {free / 1e6:.0f} MB are "
            "free; make room, or set HF_HOME to another disk"
        )


def _verify(repository: str, info: Any, folder: Path) -> None:
    """Compare large files with their digests; a damaged one is deleted, so that it comes again."""
    for file in info.siblings:
        path = folder / file.rfilename
        if file.lfs is None or not path.is_file():
            continue
        with path.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if found != file.lfs.sha256:
            path.resolve().unlink()
            path.unlink(missing_ok=True)
            raise EncoderError(
                f"{repository}: {file.rfilename} came damaged and is deleted; try again"
            )


def _unreachable(repository: str, wanted: list[str] | None, error: Exception) -> EncoderError:
    logger.info("%s: %s", repository, error)
    files = ", ".join(wanted) if wanted else "its .json files, tokenizer and .safetensors"
    begun = "the download broke off, try again" if wanted else "no such folder here, and no network"
    return EncoderError(
        f"{repository}: {begun} ({constants.ENDPOINT} does not answer); where there is none, put "
        f"{files} into a folder and name that"
    )
