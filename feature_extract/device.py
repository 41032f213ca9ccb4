"""Where the networks run, and in which numbers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

DEVICES: Final = ("auto", "cpu", "cuda")


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
    """bfloat16 where it is computed in hardware; a processor that emulates it takes four times
    as long as with float32."""
    if device != "cpu":
        return torch.bfloat16
    native = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if native else torch.float32


@contextmanager
def beside_decoder() -> Iterator[None]:
    """Leave one core to the decoder, which runs at the same time in a process of its own.

    Threads of one network wait for each other: on two cores, with one of them taken away at odd
    moments, they burn three times the processor time of a single one, and take twice as long.
    """
    before = torch.get_num_threads()
    cores = os.cpu_count() or 1
    torch.set_num_threads(max(1, min(before, cores - 1)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
