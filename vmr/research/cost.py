"""What a network costs: parameters, arithmetic, time and memory.

cost = measure(model_config, words=12)      # one query on one full-length video
"""

import time
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from vmr.model.network import ModelConfig, MomentModel

REPEATS = 7


@dataclass(frozen=True)
class Cost:
    """Of one query on one full-length video."""

    parameters: int
    flops: int
    "of all matrix products; a multiplication and its addition are two"
    seconds: float
    "the shortest of several forward passes, batch of one: what else runs only makes one longer"
    training_bytes: int
    "activations that a training step keeps for its backward pass"


def measure(
    config: ModelConfig, *, words: int, device: torch.device | None = None, seed: int = 0
) -> Cost:
    """Cost of a freshly made network."""
    device = device or torch.device("cpu")
    torch.manual_seed(seed)
    model = MomentModel(config).to(device)
    inputs = query_of(config, words, device)
    return Cost(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        flops=flops(model.eval(), inputs),
        seconds=_seconds(model.eval(), inputs),
        training_bytes=_kept(model.train(), inputs),
    )


def sizes(config: ModelConfig, *, words: int) -> tuple[int, int]:
    """Parameters and floating-point operations of a network that is never filled with numbers."""
    device = torch.device("meta")
    with device:
        model = MomentModel(config).eval()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return parameters, flops(model, query_of(config, words, device))


def query_of(config: ModelConfig, words: int, device: torch.device) -> tuple[Tensor, ...]:
    """One full-length video and one query of random numbers, as the network takes them."""
    return (
        torch.randn(1, config.clips * config.pool, config.feature_width, device=device),
        torch.randn(1, words, config.word_width, device=device),
        torch.ones(1, words, dtype=torch.bool, device=device),
    )


def flops(model: torch.nn.Module, inputs: tuple[Tensor, ...]) -> int:
    """Floating-point operations of one forward pass, counted as it runs."""
    counter = FlopCounterMode(display=False)
    # The fused attention kernels of some devices are not counted; their plain form is.
    with counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        model(*inputs)
    return int(counter.get_total_flops())


def _seconds(model: torch.nn.Module, inputs: tuple[Tensor, ...]) -> float:
    taken = []
    with torch.inference_mode():
        for _ in range(REPEATS + 2):
            started = time.perf_counter()
            model(*inputs)
            if inputs[0].is_cuda:
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - started)
    return min(taken[2:])  # the first two warm up


def _kept(model: torch.nn.Module, inputs: tuple[Tensor, ...]) -> int:
    kept: dict[int, int] = {}
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(*inputs)  # alive while counting, so that no storage is used twice
    del output
    return sum(kept.values())
