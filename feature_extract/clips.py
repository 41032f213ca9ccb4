"""C3D rows of a video by the protocols of the research sets: every frame, overlapping windows.

    network = C3D(SPORTS_1M)
    load_weights(network, Path("c3d.pickle"))
    features = extract_clips(Path("a.mp4"), ClipNetwork(network), PROTOCOLS["tacos"], "c3d.pickle")

As the original prepares them: pictures 171 x 128, the middle 112 x 112, BGR 0..255 minus the mean,
no scaling; a row is fc6 after its ReLU. Each frame is decoded, resized and cropped once; windows
are views into one buffer of bytes, and become numbers only on their way into the network. Outputs
of the first convolutions are not shared between overlapping windows: at their ends they see other
pictures, or none, and what could be shared of conv1a and conv2a is 8 % of the work at most (a
network that looks at blocks of a window first shares nearly everything: motion.py). A video shorter
than a window is made up to one by repeating its last picture.
"""

import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from feature_extract.features import Features
from feature_extract.networks.c3d import C3D, FRAMES, SIDE, fold_input, fold_norms
from feature_extract.networks.device import fast_dtype, memory_kept
from feature_extract.networks.fused import Fused
from feature_extract.networks.winograd import Winograd
from feature_extract.video.frames import Frames, read_frames

SIZE: Final = (171, 128)
"""(width, height) that pictures are squashed to before the crop."""
TOP: Final = (SIZE[1] - SIDE) // 2
LEFT: Final = (SIZE[0] - SIDE) // 2
MEAN: Final = (90.25, 97.66, 101.41)
"""B, G, R means of the Sports-1M mean volume."""
EVERY_FRAME: Final = 1000.0
"""A rate, in pictures a second, above that of any video: the reader gives every frame."""
BATCH: Final = 4
"""Windows that the network sees at once: with more, of 16 x 112 x 112, a processor is no faster
(`python -m benchmarks --only networks` times it)."""

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Protocol:
    """Which frames make a row."""

    window: int
    """Frames that a row covers; 16 of them, evenly spaced, are looked at."""
    stride: int
    """Frames from one row to the next."""

    def __post_init__(self) -> None:
        if self.window < FRAMES or self.window % FRAMES or not 1 <= self.stride <= self.window:
            raise ValueError(f"window must be a multiple of {FRAMES}, stride 1..window: {self}")

    def count(self, frames: int) -> int:
        """Rows of so many frames. Fewer than a window are made up by repeating the last."""
        return max(0, frames - self.window) // self.stride + 1


PROTOCOLS: Final = {"tacos": Protocol(64, 12), "activitynet": Protocol(16, 8)}


class RowNetwork(typing.Protocol):
    """A network that `extract_clips` can run: ClipNetwork below, or Backbone in backbones.py."""

    width: int
    """Columns of a row that it gives."""
    block: str
    """The name of these columns in `Features.blocks`."""
    size: tuple[int, int]
    """(width, height) that pictures are squashed to."""
    side: int
    """Pixels across the middle square of those pictures, which alone is looked at."""

    def __call__(self, windows: Bytes) -> NDArray[np.float32]:
        """Rows (B, D) of windows (B, 16, side, side, 4): RGB and a channel of ones."""


class ClipNetwork:
    """C3D made fast: norms and mean folded in, channels last, bfloat16 where it is native, on
    a GPU with a first layer of pictures (fused.py), elsewhere in tiles (winograd.py)."""

    def __init__(
        self,
        network: C3D,
        *,
        mean: tuple[float, float, float] | NDArray[np.float32] = MEAN,
        device: str = "cpu",
    ) -> None:
        """Take over the network, which is changed.

        Args:
            mean: B, G, R; or the mean volume (3, 16, 128, 171) of the original.
        """
        self.width, self.block = network.config.features, "c3d"
        self.block_frames = network.config.block
        self.side = network.config.side
        self.size = SIZE if self.side == SIDE else (self.side, self.side)
        self._device, self._dtype = torch.device(device), fast_dtype(device)
        self._volume: torch.Tensor | None = None
        network = fold_norms(network)
        if isinstance(mean, tuple):
            network = fold_input(network, mean)
        else:  # differs from place to place: cannot be folded into a convolution
            cropped = mean[:, :, TOP : TOP + SIDE, LEFT : LEFT + SIDE]
            volume = np.ascontiguousarray(cropped.transpose(1, 2, 3, 0))  # (16, 112, 112, 3)
            self._volume = torch.from_numpy(volume).to(self._device)
        network = network.to(self._device, self._dtype)
        self._network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self._by_ours: Winograd | Fused | None = None
        if device == "cuda":
            torch.backends.cudnn.benchmark = True  # all batches but the last have the same shape
            self._by_ours = Fused(network)
        elif self._dtype is torch.float32:
            self._by_ours = Winograd(network)

    def __call__(self, windows: Bytes) -> NDArray[np.float32]:
        """Rows (B, D) of windows (B, 16, S, S, 4), S being `side`: RGB and a channel of ones."""
        shape = FRAMES, self.side, self.side, 4
        if windows.shape[1:] != shape or windows.dtype != np.uint8:
            raise ValueError(f"windows must be (B, *{shape}) uint8, not {windows.shape}")
        blocks = windows.reshape(-1, self.block_frames, *shape[1:])
        maps = self.maps(blocks)
        return self.rows(maps.reshape(len(windows), -1, *maps.shape[1:]))

    def maps(self, blocks: Bytes) -> torch.Tensor:
        """What the layers up to the fourth pooling see of blocks (B, T, S, S, 4), RGB and a
        channel of ones, T pictures being `block_frames`: (B, T/8, S/16, S/16, C)."""
        return self.maps_of(torch.from_numpy(np.ascontiguousarray(blocks)).to(self._device))

    @torch.inference_mode()
    def maps_of(self, pictures: torch.Tensor) -> torch.Tensor:
        """As `maps`, for blocks (B, T, S, S, 4) uint8 that are on the device."""
        if self._volume is not None:
            pictures = pictures[..., [2, 1, 0]] - self._volume  # (B, 16, 112, 112, 3) BGR
        pictures = pictures.to(self._dtype)
        if self._by_ours is not None:
            return self._by_ours(pictures)
        # (B, 4, T, S, S), channels last in memory
        maps: torch.Tensor = self._network.up_to_4b(pictures.permute(0, 4, 1, 2, 3))
        return maps.permute(0, 2, 3, 4, 1)

    @torch.inference_mode()
    def rows(self, maps: torch.Tensor) -> NDArray[np.float32]:
        """Rows (B, D) of the maps (B, N, T/8, S/16, S/16, C) of the N blocks of each window."""
        whole = maps.flatten(1, 2).permute(0, 4, 1, 2, 3)  # (B, C, 2, S/16, S/16)
        rows: NDArray[np.float32] = self._network.after_4b(whole).float().cpu().numpy()
        return rows


def extract_clips(
    path: Path,
    network: RowNetwork,
    protocol: Protocol,
    fingerprint: str,
    *,
    on_progress: Callable[[float], None] | None = None,
) -> Features:
    """One row a window, from the first frame of it to the end of its last.

    Args:
        fingerprint: of the weights; the protocol is added to it.
        on_progress: told the fraction done, 0..1.

    Raises:
        VideoError: the file cannot be read as video.
    """
    rows: list[NDArray[np.float32]] = []
    spans: list[tuple[float, float]] = []
    with memory_kept(), read_frames(path, rate=EVERY_FRAME, size=network.size) as reader:
        frame_seconds = 1 / (reader.info.fps or 25.0)
        for pixels, first, last in windows(reader, protocol, network.side):
            rows.extend(network(pixels))
            spans.extend(zip(first.tolist(), (last + frame_seconds).tolist(), strict=True))
            if on_progress is not None and reader.info.duration > 0:
                on_progress(min(1.0, spans[-1][1] / reader.info.duration))
    starts, ends = np.array(spans, np.float64).T
    return Features(
        rows=np.stack(rows).astype(np.float16),
        starts=starts,
        ends=ends,
        blocks={network.block: network.width},
        cuts=np.empty(0),
        duration=reader.duration,
        unreadable=reader.unreadable,
        fingerprint=f"{fingerprint}/{protocol.window}/{protocol.stride}",
    )


def windows(
    batches: Iterable[Frames], protocol: Protocol, side: int = SIDE
) -> Iterator[tuple[Bytes, NDArray[np.float64], NDArray[np.float64]]]:
    """Windows (B, 16, side, side, 4) of pictures (N, H, W, 3), and the seconds (B,) of the first
    and of the last frame of each. Every picture is kept once; windows are views of it."""
    buffer, times = np.empty((0, side, side, 4), np.uint8), np.empty(0)
    enough = protocol.window + (BATCH - 1) * protocol.stride
    several = False
    for frames in batches:
        buffer = np.concatenate([buffer, cropped_with_ones(frames.pixels, side)])
        times = np.concatenate([times, frames.times])
        if len(buffer) >= enough:
            count = protocol.count(len(buffer))
            yield _views(buffer, times, protocol)
            buffer, times = buffer[count * protocol.stride :], times[count * protocol.stride :]
            several = True
    if len(buffer) >= protocol.window or (len(buffer) and not several):
        missing = max(0, protocol.window - len(buffer))
        buffer = np.concatenate([buffer, np.repeat(buffer[-1:], missing, axis=0)])
        times = np.concatenate([times, np.repeat(times[-1:], missing)])
        yield _views(buffer, times, protocol)


def _views(
    buffer: Bytes, times: NDArray[np.float64], protocol: Protocol
) -> tuple[Bytes, NDArray[np.float64], NDArray[np.float64]]:
    # Not written to; torch warns of what cannot be.
    every = sliding_window_view(buffer, protocol.window, axis=0, writeable=True)
    # (N', 112, 112, 4, window)
    seen = every[:: protocol.stride, ..., :: protocol.window // FRAMES]
    last = times[protocol.window - 1 :: protocol.stride]
    return np.moveaxis(seen, -1, 1), times[:: protocol.stride][: len(last)], last


def cropped_with_ones(pixels: Bytes, side: int = SIDE) -> Bytes:
    """The middle (N, side, side, 4) of pictures (N, H, W, 3); the fourth channel is 1."""
    cropped = np.ones((len(pixels), side, side, 4), np.uint8)
    top, left = ((length - side) // 2 for length in pixels.shape[1:3])
    cropped[..., :3] = pixels[:, top : top + side, left : left + side]
    return cropped
