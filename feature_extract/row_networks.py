"""Networks of 16 pictures by name: for rows of research (clips.py), and beside a library's rows.

    network, fingerprint = network_of("mvit_v2_s")  # torchvision's, weights of torch hub's cache
    network, fingerprint = network_of("c3d")        # the weights that `vmr weights add` was given
    network, fingerprint = network_of("weights/videomae")           # a folder, or OWNER/NAME
    Extractor(encoder=AsEyes(network))              # its columns behind all others

All give rows and read no words.
"""

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from feature_extract.clips import ClipNetwork, RowNetwork, cropped_with_ones
from feature_extract.encoders.encoder import Encoder
from feature_extract.encoders.errors import EncoderError
from feature_extract.encoders.open import open_encoder
from feature_extract.networks.backbones import KINDS, Backbone, cached_weights
from feature_extract.networks.c3d import C3D, FRAMES, SPORTS_1M, WeightsError, load_weights
from feature_extract.networks.squash import squash_to
from feature_extract.networks.weights import sports_1m

C3D_NAME: Final = "c3d"
NAMES: Final = (C3D_NAME, *KINDS)
"""Networks whose weights are one file; all others are folders or repositories of the hub."""


def network_of(
    name: str, weights: Path | None = None, *, device: str = "cpu"
) -> tuple[RowNetwork, str]:
    """A network, and what tells its rows from those of others.

    Args:
        name: one of NAMES, or a folder or OWNER/NAME of the hub with VideoMAE or V-JEPA 2.
        weights: the file of one of NAMES; default: what was added, or torch hub's cache.
        device: "cpu" or "cuda".

    Raises:
        ValueError: there is no such network (EncoderError), or its weights are not there, damaged
            or of another one (WeightsError, BackboneError).
    """
    if name not in NAMES:
        if "/" not in name and not Path(name).is_dir():
            raise ValueError(
                f"{name}: no such network; {', '.join(NAMES)}, or a folder or OWNER/NAME of the hub"
            )
        if weights is not None:
            raise ValueError(f"{weights}: {name} has its weights in a folder of its own")
        encoder = open_encoder(name, texts=False, device=device)
        return AsClips(encoder), encoder.block
    network: RowNetwork
    if name == C3D_NAME:
        weights = weights or sports_1m()
        if weights is None:
            raise WeightsError(
                "no C3D weights: name a file by --weights, or `vmr weights add` it once"
            )
        original = C3D(SPORTS_1M)
        load_weights(original, weights)
        network = ClipNetwork(original, device=device)
    else:
        weights = weights or cached_weights(name)
        network = Backbone(name, weights, device=device)
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return network, f"{name}-{digest}"


class AsClips:
    """An encoder of 16 pictures as clips.py runs it (RowNetwork). Pictures are squashed whole."""

    def __init__(self, encoder: Encoder) -> None:
        """EncoderError: it looks at another number of pictures."""
        if encoder.frames != FRAMES:
            raise EncoderError(
                f"{encoder.source.name}: looks at {encoder.frames} pictures for a row, and rows of "
                f"the research sets are of {FRAMES}"
            )
        self.width, self.block, self.side = encoder.width, encoder.block, encoder.side
        self.size = (self.side, self.side)
        self._encoder = encoder

    def __call__(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Rows (B, D) of length 1, of windows (B, 16, side, side, 4); the fourth channel is left
        out."""
        return self._encoder.see(windows[..., :3])


class AsEyes:
    """A network of clips.py as `Extractor` takes an encoder: it sees 16 samples around a second."""

    frames = FRAMES

    def __init__(self, network: RowNetwork) -> None:
        self.width, self.block = network.width, network.block
        self.side = max(network.size)
        """Pixels across the pictures that it wants: none smaller than what it squashes them to."""
        self._network = network

    def see(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Unit vectors (N, W) of clips (N, 16, S, S, 3) RGB that were squashed to a square."""
        width, height = self._network.size
        pictures = torch.from_numpy(np.ascontiguousarray(pixels.reshape(-1, *pixels.shape[2:])))
        squashed = squash_to(pictures.permute(0, 3, 1, 2), width, height)
        cropped = cropped_with_ones(squashed.permute(0, 2, 3, 1).numpy(), self._network.side)
        windows = cropped.reshape(*pixels.shape[:2], *cropped.shape[1:])  # (N, 16, s, s, 4)
        rows = self._network(windows)
        length = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
        return np.asarray(rows / length, np.float32)
