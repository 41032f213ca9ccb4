"""Arithmetic of the proposal head, direct and split.

    python -m benchmarks.head_cost

The first linear of the head acts on a concatenation of three boundary tokens, so it is done once a
boundary and added per candidate. `map` is the direct form as MSAT's code has it, over every pair of
boundaries; `candidates` is the direct form over the scored ones only.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vmr.cost import flops
from vmr.model import ProposalHead, candidates

WIDTH = 512


class Form(nn.Module):
    """The head over given cells, in either form."""

    def __init__(self, head: ProposalHead, cells: Tensor, *, split: bool) -> None:
        super().__init__()
        self.head, self.cells, self.split = head, cells, split

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, 3, N+1, D) -> (B, C, 3)."""
        starts, ends = self.cells.unbind(1)
        if self.split:
            return self.head.cells(self.head.project(tokens), starts, ends)
        start, end, middle = tokens.unbind(1)
        parts = [start[:, starts], middle[:, (starts + ends) // 2], end[:, ends]]
        found: Tensor = self.head.last(F.relu(self.head.first(torch.cat(parts, 2))))
        return found


def measure(clips: int) -> dict[str, int]:
    """FLOPs of one video by form; counted on the meta device, so nothing is computed."""
    with torch.device("meta"):
        head, tokens = ProposalHead(WIDTH, 0.0), torch.randn(1, 3, clips + 1, WIDTH)
    scored = candidates(clips)
    every = torch.cartesian_prod(torch.arange(clips + 1), torch.arange(clips + 1))
    return {
        "split": flops(Form(head, scored, split=True), (tokens,)),
        "candidates": flops(Form(head, scored, split=False), (tokens,)),
        "map": flops(Form(head, every, split=False), (tokens,)),
    }


def main() -> None:
    """One line per preset."""
    for name, clips in (("tacos", 128), ("activitynet", 32)):
        counted = measure(clips)
        ratios = {form: counted[form] / counted["split"] for form in ("candidates", "map")}
        print(
            f"{name}: split {counted['split'] / 1e6:.1f} MFLOPs; "
            + "; ".join(f"direct over {form} {ratio:.1f} times" for form, ratio in ratios.items())
        )


if __name__ == "__main__":
    main()
