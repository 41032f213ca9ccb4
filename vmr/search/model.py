"""The model that a library is searched with: what comes with the project, or its own encoder.

model = model_of(library)
searcher = Searcher(library, model)

Of an encoder, a library keeps what its scores are measured by: rows of its own as unrelated
footage, vectors of names that hubs are known by and, once somebody ran `calibrate`, strength and
verdict. It lies in encoders/BLOCK of the library's folder, and is made anew when the library has
grown to twice its size.
"""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from vmr.library.encoders import Choice, chosen, open_chosen
from vmr.library.store import Library, LibraryError
from vmr.model.encoded import Basis, EncodedModel, hub_names, shown_by
from vmr.model.retrieval import MOTION, Mix, RetrievalModel
from vmr.model.strength import Calibration
from vmr.model.text import Words
from vmr.model.weights import ModelError, read_weights, write_weights
from vmr.search.parts import short

if TYPE_CHECKING:
    from feature_extract.encoders.encoder import Encoder

logger = logging.getLogger(__name__)

SAMPLED_ROWS: Final = 2048
"""Rows of a library that stand for unrelated footage."""
SAMPLED_VIDEOS: Final = 128
"""Videos that they come from, at most: a features file is read whole."""
MOST_LOOKS: Final = 1800
"""Rows of one video that a calibration makes timelines of."""
GROWTH: Final = 2
"""How many times the rows a library has before its sample is drawn anew."""


def model_of(
    library: Library, *, words: Words | None = None, sentences: bool = True
) -> RetrievalModel:
    """What to search a library with.

    Args:
        words: word vectors to read questions with; default: the packaged ones.
        sentences: False reads questions word by word; an encoder reads them its own way.

    Raises:
        ModelError: weights are missing, damaged or of another format.
        LibraryError: the library's setting of its encoder is damaged.
        EncoderError: its encoder is needed now, and cannot be loaded.
    """
    choice = chosen(library)
    base = RetrievalModel.load(words=words, sentences=sentences and choice is None)
    if choice is None:
        return base
    basis = basis_of(library, choice, base)

    def load(pictures: bool) -> "Encoder":
        return open_chosen(choice, pictures=pictures, texts=not pictures)

    return EncodedModel(base, choice.block, choice.width, basis, load)


def basis_of(library: Library, choice: Choice, base: RetrievalModel) -> Basis:
    """What scores of a library's encoder are measured by: as it is kept, or made now."""
    folder = basis_folder(library, choice)
    rows = sum(video.rows for video in library.videos() if video.searchable)
    kept = _read(folder, base)
    if kept is not None and (kept[1] * GROWTH >= rows or kept[0].calibration is not None):
        return kept[0]
    if kept is not None:
        captions = kept[0].captions
    else:
        captions = open_chosen(choice, pictures=False, texts=True).read(hub_names(base))
    captions = _as_stored(captions)
    background = _as_stored(sample(library, choice, base))
    basis = Basis(background if len(background) else captions_alone(captions, base), captions)
    if not library.read_only:
        write_basis(folder, basis, rows, base)
    return basis


def _as_stored(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """What will be read back, so that the first answer is that of every later start."""
    return vectors.astype(np.float16).astype(np.float32)


def basis_folder(library: Library, choice: Choice) -> Path:
    """Where a library keeps what scores of this encoder are measured by."""
    asked = "" if choice.prompt == "{}" else f"-{short(choice.prompt):016x}"
    return library.folder / "encoders" / f"{choice.block}{asked}"


def captions_alone(captions: NDArray[np.float32], base: RetrievalModel) -> NDArray[np.float32]:
    """A background for a library that holds nothing yet."""
    still = np.zeros((len(captions), base.space.movements_width), np.float32)
    return np.concatenate([captions, still], axis=1)


def sample(library: Library, choice: Choice, base: RetrievalModel) -> NDArray[np.float32]:
    """(K, W + 4) vectors of a library's own rows, evenly from its videos."""
    videos = [video for video in library.videos() if video.searchable]
    places = np.unique(np.linspace(0, len(videos) - 1, min(SAMPLED_VIDEOS, len(videos))).round())
    looks = {choice.block: choice.width}
    blocks = list(looks if base.movements is None else {**looks, MOTION: 0})
    found = []
    for place in places.astype(int):
        try:
            features = library.features(videos[place].id)
        except LibraryError as error:  # damaged, and marked so: the others still count
            logger.info("%s: not sampled: %s", videos[place].path, error)
            continue
        if choice.block in features.blocks:
            count = min(len(features.rows), max(1, SAMPLED_ROWS // len(places)))
            rows = np.unique(np.linspace(0, len(features.rows) - 1, count).round().astype(int))
            found.append(features.columns(blocks)[rows].astype(np.float32))
    width = choice.width + base.space.movements_width
    if not found:
        return np.zeros((0, width), np.float32)
    return shown_by(np.concatenate(found), choice.width, base.movements)


def looks_of(library: Library, model: RetrievalModel) -> NDArray[np.float32]:
    """(R, W) what is seen in up to SAMPLED_VIDEOS videos of a library, without motion, in order."""
    looks = [block for block in model.blocks if block != MOTION]
    found = []
    for video in [video for video in library.videos() if video.searchable][:SAMPLED_VIDEOS]:
        features = library.features(video.id)
        if all(block in features.blocks for block in looks):
            found.append(features.columns(looks)[:MOST_LOOKS].astype(np.float32))
    if not found:
        raise LibraryError(f"{library.name}: no video is read with its encoder; rescan first")
    return np.concatenate(found)


def write_basis(folder: Path, basis: Basis, rows: int, base: RetrievalModel, **about: Any) -> None:
    """Keep it, with how many rows the library had; `about` is for people to read."""
    config = {
        "rows": rows,
        "movements": base.space.movements_width,
        "calibration": asdict(basis.calibration) if basis.calibration else None,
        "mix": asdict(basis.mix) if basis.mix else None,
        **about,
    }
    tensors = {
        "background": torch.from_numpy(basis.background),
        "captions": torch.from_numpy(basis.captions),
    }
    write_weights(folder, config, tensors)


def _read(folder: Path, base: RetrievalModel) -> tuple[Basis, int] | None:
    """What is kept, and of how many rows; None where there is none that can be used."""
    try:
        stored = read_weights(folder)
        said = stored.config["calibration"]
        background, captions = stored.tensors["background"], stored.tensors["captions"]
        if stored.config["movements"] != base.space.movements_width:
            return None
        calibration = Calibration(**said) if said else None
        mixed = stored.config.get("mix")  # those of before have none
        mix = Mix(**mixed) if mixed else None
        basis = Basis(background.numpy(), captions.numpy(), calibration, mix)
        return basis, int(stored.config["rows"])
    except (ModelError, KeyError, TypeError, ValueError) as error:
        logger.info("%s: made anew: %s", folder, error)
        return None
