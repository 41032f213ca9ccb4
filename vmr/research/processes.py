"""The processes that train one network together, as `torchrun` starts them.

    with processes("cpu") as place:                       # alone without torchrun
        mine = batch[place.part]                          # every process has a share of a batch
        loss = loss_of(network, mine)                     # its mean over the shares is the loss
        place.mean(loss.detach())

What is drawn for a batch is drawn alike by all; what a network makes of it, each for its share.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn import functional as F

_PATIENCE: Final = timedelta(days=2)
"""For the slowest of them: one prepares pictures for hours while the others wait. Of one that ends,
torchrun tells the others at once."""


@dataclass(frozen=True)
class Processes:
    """This process among those of `torchrun`; alone without it."""

    rank: int
    count: int
    device: torch.device

    @property
    def part(self) -> slice:
        """The places of a batch that are this process's."""
        return slice(self.rank, None, self.count)

    def divide(self, batch: int) -> None:
        """Have equal shares.

        Raises:
            ValueError: a batch of so many has none.
        """
        if batch % self.count:
            raise ValueError(f"a batch of {batch} does not divide by {self.count} processes")

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            dist.barrier()

    @contextmanager
    def first(self) -> Iterator[None]:
        """What stands in the body is done by the first process alone, then by the others: they find
        what it has written."""
        if self.rank:
            self.wait()
        yield
        if not self.rank:
            self.wait()

    @contextmanager
    def told_once(self) -> Iterator[None]:
        """Only the first process prints."""
        with redirect_stdout(io.StringIO()) if self.rank else nullcontext():
            yield

    def summed(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, through which gradients flow back to all of them."""
        if self.count == 1:
            return tensor
        total: Tensor = _Summed.apply(tensor)  # type: ignore[no-untyped-call]
        return total

    def mean(self, tensor: Tensor) -> Tensor:
        """As `summed`."""
        return self.summed(tensor) / self.count

    def gathered(self, mine: Tensor, count: int) -> Tensor:
        """(count, ...) of all processes, in the order of the batch, of what this one has of it."""
        if self.count == 1:
            return mine
        whole = mine.new_zeros(count, *mine.shape[1:])
        whole[self.part] = mine
        return self.summed(whole)

    def make_alike(self, network: nn.Module) -> None:
        """Give a network the weights that it has in the first process."""
        if self.count > 1:
            for tensor in network.state_dict().values():
                dist.broadcast(tensor, 0)

    def average_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Give every parameter the mean of its gradients in all processes. One that has a gradient
        nowhere stays without, as optimisers leave those alone."""
        if self.count == 1:
            return
        had = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
        dist.all_reduce(had)
        moved = [p for p, anywhere in zip(parameters, had.tolist(), strict=True) if anywhere]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in moved]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        parts = torch.split(flat / self.count, [p.numel() for p in moved])
        for parameter, gradient, part in zip(moved, gradients, parts, strict=True):
            parameter.grad = gradient.copy_(part.view_as(gradient))

    def normalised(self, maps: Tensor, norm: nn.BatchNorm3d) -> Tensor:
        """Maps (B, C, H, W) by a norm in training, over the batches of all processes, whose sizes
        are equal. The layer's own call would take most of a step's time for clips of one frame."""
        weight, bias = norm.weight, norm.bias
        if self.count == 1 or not norm.training:
            mean, variance = norm.running_mean, norm.running_var
            training, momentum = norm.training, norm.momentum or 0.0
            return F.batch_norm(maps, mean, variance, weight, bias, training, momentum, norm.eps)
        wide = maps.float()
        mean = self.mean(wide.mean((0, 2, 3), keepdim=True))  # (1, C, 1, 1)
        variance = self.mean((wide - mean).square().mean((0, 2, 3), keepdim=True))
        values = self.count * wide.numel() / wide.shape[1]
        with torch.no_grad():
            assert norm.running_mean is not None
            assert norm.running_var is not None
            assert norm.momentum is not None
            unbiased = variance.flatten() * values / (values - 1)
            norm.running_mean.lerp_(mean.flatten(), norm.momentum)
            norm.running_var.lerp_(unbiased, norm.momentum)
        scale = weight.view(1, -1, 1, 1) * (variance + norm.eps).rsqrt()
        return ((wide - mean) * scale + bias.view(1, -1, 1, 1)).to(maps.dtype)


ALONE: Final = Processes(0, 1, torch.device("cpu"))
"""Where nothing is asked of others; the device is of no account then."""


class _Summed(torch.autograd.Function):
    """torch has one, in torch.distributed.nn.functional, and gives it up."""

    @staticmethod
    def forward(_context: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        total: Tensor = _Summed.apply(gradients[0])  # type: ignore[no-untyped-call]
        return total


@contextmanager
def processes(device: str = "auto") -> Iterator[Processes]:
    """Join the group that torchrun's environment describes, and leave it at the end; where that is
    joined already, it stays so: a second group under the names of the first might never meet."""
    count, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
        torch.cuda.set_device(device)
    joins = count > 1 and not dist.is_initialized()
    if joins:
        backend = "nccl" if device.startswith("cuda") else "gloo"
        dist.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Processes(rank, count, torch.device(device))
    finally:
        if joins:
            dist.destroy_process_group()
