"""Arithmetic of the proposal head's first linear, direct and split.

    python -m experiments.head_cost

The first linear of the head acts on a concatenation of three boundary tokens, so it is done once a
boundary and added per candidate. `map` is the direct form as MSAT's and the paper's code have it,
over every pair of boundaries; `candidates` is the direct form over the scored ones only, which the
split form can beat by no more than candidates / boundaries: 2,548 / 129 = 19.8 for TACoS.

Matrix products are counted as they run; the two additions a candidate and column that only the
split form has are added to its count, and the bias to none. The second linear (D to 3) is the same
in both forms and left out, except under "whole head".
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vmr.model.network import ProposalHead, candidates
from vmr.research.cost import flops

WIDTH = 512


class FirstLinear(nn.Module):
    """The head's first linear over given cells, in either form."""

    def __init__(self, head: ProposalHead, cells: Tensor, *, split: bool) -> None:
        super().__init__()
        self.head, self.cells, self.split = head, cells, split

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, 3, N+1, D) -> (B, C, D)."""
        starts, ends = self.cells.unbind(1)
        if self.split:
            return self.head.hidden(self.head.project(tokens), starts, ends)
        start, end, middle = tokens.unbind(1)
        parts = [start[:, starts], middle[:, (starts + ends) // 2], end[:, ends]]
        return self.head.first(torch.cat(parts, 2))  # type: ignore[no-any-return]


class Form(FirstLinear):
    """The whole head over given cells, in either form."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, 3, N+1, D) -> (B, C, 3)."""
        return self.head.last(F.relu(super().forward(tokens)))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Count:
    """FLOPs of one video by form."""

    split: int
    candidates: int
    map: int

    def __str__(self) -> str:
        return (
            f"split {self.split / 1e6:.1f} MFLOPs; "
            f"direct over the map {self.map / self.split:.1f} times as many, "
            f"over the scored candidates {self.candidates / self.split:.1f} times"
        )


def measure(clips: int, part: type[FirstLinear] = FirstLinear) -> Count:
    """FLOPs of `part`; counted on the meta device, so nothing is computed."""
    with torch.device("meta"):
        head, tokens = ProposalHead(WIDTH, 0.0), torch.randn(1, 3, clips + 1, WIDTH)
    scored = candidates(clips)
    every = torch.cartesian_prod(torch.arange(clips + 1), torch.arange(clips + 1))
    additions = 2 * len(scored) * WIDTH
    return Count(
        split=flops(part(head, scored, split=True), (tokens,)) + additions,
        candidates=flops(part(head, scored, split=False), (tokens,)),
        map=flops(part(head, every, split=False), (tokens,)),
    )


def main() -> None:
    """Two lines per preset."""
    for name, clips in (("tacos", 128), ("activitynet", 32)):
        print(f"{name}, first linear: {measure(clips)}")
        print(f"{name}, whole head: {measure(clips, Form)}")


if __name__ == "__main__":
    main()
