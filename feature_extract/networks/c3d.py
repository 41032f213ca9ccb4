"""What moves: the C3D network (Tran et al., ICCV 2015), faithful to the original Caffe release.

    network = C3D(SPORTS_1M)
    load_weights(network, Path("c3d.pickle"))    # WeightsError: one line, names the file
    network(clips)               # (B, 3, 16, 112, 112) BGR minus mean -> (B, 4096)

The original pools its last map from 7 to 4 by rounding up, without padding; the ports that pad by
one align their windows differently, and get other features out of the same weights.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

FRAMES: Final = 16
SIDE: Final = 112
LAYERS: Final = ("1a", "2a", "3a", "3b", "4a", "4b", "5a", "5b")
WIDENING: Final = (1, 2, 4, 4, 8, 8, 8, 8)
POOLED_AFTER: Final = ("1a", "2a", "3b", "4b")


class WeightsError(ValueError):
    """A weights file that cannot be used: one line with its name, what is wrong, what fits."""


@dataclass(frozen=True)
class C3DConfig:
    """The shape of the network."""

    width: int = 64
    """Channels of the first convolution; the later ones have 2, 4 and 8 times as many."""
    features: int = 4096
    """Width of a row: the output of fc6."""
    pooled: bool = False
    """Average the last map over time and place, in place of the 4 x 4 map of the original."""
    norms: bool = False
    """Batch norm after each convolution; the original has none, training from nothing needs it."""
    block: int = FRAMES
    """Pictures that the layers up to the fourth pooling see together. Fewer than all 16, and
    windows that overlap by whole blocks share nearly all of their work; the last two convolutions
    see across."""
    side: int = SIDE
    """Pixels across the square pictures that it was trained on; a multiple of 16."""
    replicate_time: bool = False
    """Pad in time by repeating the first and the last map (replicate padding), where the original
    pads with zeros: the end of a clip is then not mistaken for something that moves. Written as
    "lasting" in config files of before 2026-11-30, which are still read (motion.py)."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.features < 1:
            raise ValueError(f"width and features must be positive: {self}")
        if self.block not in (FRAMES // 2, FRAMES):
            raise ValueError(f"block must be {FRAMES // 2} or {FRAMES} pictures: {self}")
        if self.side % 16 or self.side < 16 or (self.side != SIDE and not self.pooled):
            raise ValueError(f"side must be {SIDE}, pooled a multiple of 16: {self}")

    @property
    def last(self) -> int:
        """Values that fc6 sees."""
        return 8 * self.width * (1 if self.pooled else 4 * 4)


SPORTS_1M: Final = C3DConfig()
SMALL: Final = C3DConfig(
    width=32, features=512, pooled=True, norms=True, block=8, side=96, replicate_time=True
)


class C3D(nn.Module):
    """Eight 3 x 3 x 3 convolutions, five poolings, and one fully connected layer."""

    def __init__(self, config: C3DConfig) -> None:
        super().__init__()
        self.config = config
        before = 3
        for layer, factor in zip(LAYERS, WIDENING, strict=True):
            after = factor * config.width
            padding = (0 if config.replicate_time else 1, 1, 1)
            setattr(self, f"conv{layer}", nn.Conv3d(before, after, 3, padding=padding))
            norm = nn.BatchNorm3d(after) if config.norms else nn.Identity()
            setattr(self, f"norm{layer}", norm)
            before = after
        self.fc6 = nn.Linear(config.last, config.features)

    def forward(self, clips: Tensor) -> Tensor:
        """Rows (B, D), 0 or more, of clips (B, 3, 16, S, S): BGR 0..255 minus the mean."""
        each = FRAMES // self.config.block
        maps = self.up_to_4b(torch.cat(clips.chunk(each, dim=2)))
        return self.after_4b(torch.cat(maps.chunk(each), dim=2))

    def up_to_4b(self, blocks: Tensor) -> Tensor:
        """Pooled maps (B, 8 width, T / 8, S / 16, S / 16) of blocks (B, 3, T, S, S)."""
        maps = blocks
        for layer in LAYERS[:-2]:
            maps = self._convolved(layer, maps)
            if layer in POOLED_AFTER:  # before the rectifier: the same maximum, fewer values
                maps = nn.functional.max_pool3d(maps, (1, 2, 2) if layer == "1a" else 2)
            maps = torch.relu_(maps)
        return maps

    def after_4b(self, maps: Tensor) -> Tensor:
        """Rows (B, D) of the maps (B, 8 width, 2, S / 16, S / 16) of all blocks of a window."""
        for layer in LAYERS[-2:]:
            maps = torch.relu_(self._convolved(layer, maps))
        if self.config.pooled:
            maps = maps.mean(dim=(2, 3, 4))  # (B, 8 width)
        else:
            maps = nn.functional.max_pool3d(maps, 2, ceil_mode=True)  # (B, 8 width, 1, 4, 4)
        return torch.relu(self.fc6(maps.flatten(1)))

    def _convolved(self, layer: str, maps: Tensor) -> Tensor:
        if self.config.replicate_time:
            maps = torch.cat([maps[:, :, :1], maps, maps[:, :, -1:]], dim=2)
        convolved: Tensor = getattr(self, f"norm{layer}")(getattr(self, f"conv{layer}")(maps))
        return convolved


def load_weights(network: C3D, path: Path) -> str:
    """Put the weights of a file into the network; returns whose layout it has, in words.

    Known layouts: this project's safetensors; the PyTorch port of the Sports-1M weights
    (`c3d.pickle`: conv1.weight, ..., fc6.weight); and mmaction2's (`conv1a.conv.weight`, ...).
    Classifier layers are left out. No code of the file is run.

    Raises:
        WeightsError: unreadable, of another network, of other shapes, or not finite.
    """
    given_names = _read(path)
    state = {_own_name(name): value for name, value in given_names.items()}
    expected = network.state_dict()
    missing = [name for name in expected if name not in state]
    if missing:
        raise WeightsError(f"{path}: no C3D weights of this shape: {missing[0]} is not in it")
    for name, value in expected.items():
        given = state[name]
        if not isinstance(given, Tensor) or given.shape != value.shape:
            shape = tuple(getattr(given, "shape", ()))
            raise WeightsError(f"{path}: {name} is {shape}, must be {tuple(value.shape)}")
        if not torch.isfinite(given).all():
            raise WeightsError(f"{path}: {name} holds NaN or infinity")
    network.load_state_dict({name: state[name].float() for name in expected})
    if any(name.endswith("conv1a.conv.weight") for name in given_names):
        return "layout of mmaction2"
    return "layout of c3d.pickle" if "conv1.weight" in given_names else "layout of this project"


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: not a weights file, or one with code in it, which is not run"
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, SafetensorError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{path}: cannot be read ({reason}); copy it again") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict):
        raise WeightsError(f"{path}: holds no table of weights")
    return {str(name): value for name, value in state.items()}


def _own_name(name: str) -> str:
    """This project's name of a weight that another layout calls conv1.weight, or
    backbone.conv1a.conv.weight: conv1a.weight."""
    for prefix in ("module.", "backbone."):
        name = name.removeprefix(prefix)
    layer, _, rest = name.partition(".")
    if layer in ("conv1", "conv2"):
        layer += "a"
    return f"{layer}.{rest.removeprefix('conv.')}"


def fold_norms(network: C3D) -> C3D:
    """Put each batch norm into the convolution before it, in place; for inference."""
    network.eval()
    for layer in LAYERS:
        norm = getattr(network, f"norm{layer}")
        if isinstance(norm, nn.BatchNorm3d):
            fused = fuse_conv_bn_eval(getattr(network, f"conv{layer}"), norm)
            setattr(network, f"conv{layer}", fused)
            setattr(network, f"norm{layer}", nn.Identity())
    return network


def fold_input(network: C3D, mean: tuple[float, float, float]) -> C3D:
    """Let the first convolution take (B, 4, 16, S, S): RGB 0..255 and a channel of ones.

    Its weights are put into RGB order, and the mean (B, G, R), which the network wants subtracted,
    becomes the weight of the ones. That is exact at the edges too: the padding around the picture
    is 0 in the ones as well, so that no mean is subtracted from what was padded.
    """
    first = network.conv1a
    assert isinstance(first, nn.Conv3d)
    assert first.bias is not None
    ones = -(first.weight * torch.tensor(mean).view(1, 3, 1, 1, 1)).sum(dim=1, keepdim=True)
    folded = nn.Conv3d(4, first.out_channels, 3, padding=first.padding)  # type: ignore[arg-type]
    with torch.no_grad():
        folded.weight.copy_(torch.cat([first.weight.flip(1), ones], dim=1))
        folded.bias.copy_(first.bias)  # type: ignore[union-attr]
    network.conv1a = folded
    return network
