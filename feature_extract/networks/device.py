"""Where networks run, and in which number format. All others ask here.

device = chosen_device("auto")          # "cuda" where there is a GPU
network.to(device, fast_dtype(device))
"""

import contextlib
import ctypes
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

import torch

from feature_extract.video.frames import give_back_memory

T = TypeVar("T")

DEVICES: Final = ("auto", "cpu", "cuda")
BEHIND: Final = 10
"""Niceness of the thread of `aside`: it gets a tenth of the time of others that want its core.
Measured with and without (docs/EXPERIMENTS.md, "the decoder comes first")."""
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Numbers of two settings of the GNU C library's mallopt."""


def chosen_device(name: str) -> str:
    """ "cpu" or "cuda"; "auto" is the GPU where there is one.

    Raises:
        ValueError: no such device here.
    """
    if name not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, not {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda: no GPU that this torch can use; take cpu or auto")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def fast_dtype(device: str) -> torch.dtype:
    """The fastest number format of a device: bfloat16 where it is computed in hardware, else
    float32. A processor that emulates bfloat16 takes four times as long as with float32.

    Args:
        device: "cpu" or "cuda", as of `chosen_device`.
    """
    if device != "cpu":
        return torch.bfloat16
    native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if native else torch.float32


@contextmanager
def beside_decoder(networks: int = 1) -> Iterator[None]:
    """Leave one core to the decoder, which runs at the same time in a process of its own, and share
    the others between so many networks that run at once.

    Threads of one network wait for each other: on two cores, with one of them taken away at odd
    moments, they burn three times the processor time of a single one, and take twice as long.
    """
    before = torch.get_num_threads()
    cores = os.cpu_count() or 1
    torch.set_num_threads(max(1, min(before, (cores - 1) // networks)))
    try:
        with memory_kept():
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def aside(work: Callable[[T], None], ahead: int) -> Iterator[Callable[[T], None]]:
    """The same work, done in order in a thread of its own, with as many threads for its networks
    as the caller's have, and behind all else that wants a core: a decoder that has to wait for one
    leaves the other idle soon after.

    Giving it more waits once `ahead` calls are waiting. What the work raises comes out of a later
    call, or at the end; what the caller raises drops all that has not begun.
    """
    waiting: deque[Future[None]] = deque()

    def give(item: T) -> None:
        if len(waiting) > ahead:
            waiting.popleft().result()
        waiting.append(thread.submit(work, item))

    threads = torch.get_num_threads()

    def start() -> None:
        torch.set_num_threads(threads)  # a thread begins with as many as there are cores
        if sys.platform == "linux":  # elsewhere the whole process would be
            os.nice(BEHIND)

    thread = ThreadPoolExecutor(1, "aside", start)
    try:
        yield give
        for call in waiting:
            call.result()
    finally:
        thread.shutdown(cancel_futures=True)


@contextmanager
def memory_kept() -> Iterator[None]:
    """Keep what networks free for their next maps, up to a gigabyte.

    The C library asks the system for each large map anew; to have its pages made and cleared takes
    a quarter of a network's time. `give_back_memory` gives back what it holds all the same.
    """
    settings = (_MMAP_MAX, 0, 65536), (_TRIM_THRESHOLD, 1 << 30, 128 << 10)
    for setting, value, _ in settings:
        _mallopt(setting, value)
    try:
        yield
    finally:
        for setting, _, usual in settings:
            _mallopt(setting, usual)
        give_back_memory()


def _mallopt(setting: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError, TypeError):  # GNU only
        ctypes.CDLL(None).mallopt(setting, value)
