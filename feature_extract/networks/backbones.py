"""Other video networks, for comparison: torchvision's, with Kinetics-400 weights of the user's.

    network = Backbone("r2plus1d_18", Path("r2plus1d_18-91a641e6.pth"))
    extract_clips(Path("a.mp4"), network, PROTOCOLS["tacos"], "r2plus1d_18")

The only file with torchvision, which is optional and not installed with this project. Nothing is
downloaded: weights are a file, or what torch hub's cache already has. A row is what the network's
classifier would see. Pictures are squashed to 4:3 as for C3D, and the middle square is looked at.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from feature_extract.networks.c3d import FRAMES, WeightsError
from feature_extract.networks.device import fast_dtype


@dataclass(frozen=True)
class Kind:
    """How a network wants its pictures, and what its parts are called."""

    size: tuple[int, int]
    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    width: int
    classifier: str
    weights: str
    """File name of torchvision's Kinetics-400 weights."""


_IMAGENET: Final = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
KINDS: Final = {
    "r2plus1d_18": Kind(
        (171, 128),
        112,
        (0.43216, 0.394666, 0.37645),
        (0.22803, 0.22145, 0.216989),
        512,
        "fc",
        "r2plus1d_18-91a641e6.pth",
    ),
    "mvit_v2_s": Kind(
        (341, 256), 224, (0.45,) * 3, (0.225,) * 3, 768, "head", "mvit_v2_s-ae3be167.pth"
    ),
    "swin3d_t": Kind((341, 256), 224, *_IMAGENET, 768, "head", "swin3d_t-7615ae03.pth"),
}


class BackboneError(ValueError):
    """torchvision cannot be used here; one line says why and what to do."""


class Backbone:
    """A network of KINDS with its weights, as clips.py runs it (RowNetwork)."""

    def __init__(self, name: str, weights: Path, *, device: str = "cpu") -> None:
        """Load a network.

        Raises:
            BackboneError: torchvision is missing or built for another torch.
            WeightsError: the file does not hold this network's weights.
        """
        if name not in KINDS:
            raise ValueError(f"backbone must be one of {', '.join(KINDS)}, not {name!r}")
        kind = KINDS[name]
        self.width, self.block, self.size, self.side = kind.width, name, kind.size, kind.side
        self._device, self._dtype = torch.device(device), fast_dtype(device)
        network = getattr(_torchvision(), name)(weights=None)
        _load(network, weights, name)
        setattr(network, kind.classifier, nn.Identity())
        self._network = network.eval().to(self._device, self._dtype)
        # (3, 1, 1, 1): of numbers 0..255
        self._mean, self._std = (
            (255 * torch.tensor(three)).view(3, 1, 1, 1).to(self._device)
            for three in (kind.mean, kind.std)
        )

    @torch.inference_mode()
    def __call__(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Rows (B, D) of windows (B, 16, side, side, 4); the fourth channel is left out."""
        if windows.shape[1:] != (FRAMES, self.side, self.side, 4) or windows.dtype != np.uint8:
            raise ValueError(f"windows must be (B, 16, {self.side}, {self.side}, 4) uint8")
        clips = torch.from_numpy(np.ascontiguousarray(windows[..., :3])).to(self._device)
        clips = clips.permute(0, 4, 1, 2, 3).float().sub_(self._mean).div_(self._std)
        rows: NDArray[np.float32] = self._network(clips.to(self._dtype)).float().cpu().numpy()
        return rows


def cached_weights(name: str) -> Path:
    """The weights file of a network in torch hub's cache.

    Raises:
        WeightsError: it has none.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / KINDS[name].weights
    if not path.is_file():
        raise WeightsError(f"{path}: not there; name the weights of {name} by --weights")
    return path


def _torchvision() -> Any:
    """torchvision's module of video networks. BackboneError where it cannot be used."""
    try:
        from torchvision.models import video
    except ModuleNotFoundError as error:
        raise BackboneError(
            "this network needs torchvision, which is not installed (pip install torchvision)"
        ) from error
    except (ImportError, OSError, RuntimeError) as error:  # torchvision::nms does not exist
        raise BackboneError(
            f"the torchvision here was built for another torch than {torch.__version__} ({error}); "
            "install both from the same index"
        ) from error
    return video


def _load(network: nn.Module, path: Path, name: str) -> None:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: not a weights file, or one with code in it, which is not run"
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{path}: cannot be read ({reason}); copy it again") from error
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    if not isinstance(state, dict) or shapes != {
        k: getattr(v, "shape", 0) for k, v in state.items()
    }:
        raise WeightsError(f"{path}: not the weights of {name}")
    if not all(torch.isfinite(value).all() for value in state.values()):
        raise WeightsError(f"{path}: holds NaN or infinity")
    network.load_state_dict(state)
