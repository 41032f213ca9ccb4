"""Training and ranking against the direct forms of research code: lines of `make bench`.

Direct are: the head's first linear over the concatenated tokens of every pair of boundaries, as
MSAT's and the paper's code have it, instead of once a boundary; and suppression by Python lists.
Weights, rows and words are random, of the sizes that are trained.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.table import Row, Size, gains
from benchmarks.training_speed import WORDS, random_batch
from vmr.model.network import MomentModel, ProposalHead, candidates
from vmr.model.second_stage import EXTRA_COLUMNS, SecondStage, second_stage_config
from vmr.model.space import Space
from vmr.model.spans import nms
from vmr.model.windows import WINDOW
from vmr.research.preset import load_preset
from vmr.research.processes import Processes
from vmr.research.run import Run
from vmr.research.train import train_step
from vmr.training.second_stage import SecondStageTraining
from vmr.training.second_stage_loss import Example, second_stage_loss

T = TypeVar("T")

BATCH = 2  # the direct form holds 16,641 cells of 1,536 numbers for each
QUERIES = 20
SPACE = Space(512, names_width=60, movements_width=4)
KEEP = 5
THRESHOLD = 0.37


class DirectHead(ProposalHead):
    """The same head in its direct form, with the weights of a split one."""

    def project(self, tokens: Tensor) -> Tensor:
        """Nothing is done once a boundary."""
        return tokens

    def hidden(
        self, projected: Tensor, starts: Tensor, ends: Tensor, videos: Tensor | None = None
    ) -> Tensor:
        """Over the whole map, of which the cells asked for are taken."""
        start, end, middle = projected.unbind(1)
        if videos is not None:
            parts = [start[videos, starts], middle[videos, (starts + ends) // 2]]
            return self.first(torch.cat([*parts, end[videos, ends]], 1))  # type: ignore[no-any-return]
        count = start.shape[1]
        every = torch.cartesian_prod(torch.arange(count), torch.arange(count))
        first, last = every.unbind(1)
        parts = [start[:, first], middle[:, (first + last) // 2], end[:, last]]
        cells: Tensor = self.first(torch.cat(parts, 2))  # (B, (N + 1)^2, D)
        return cells[:, starts * count + ends]


def rows(size: Size, work: Path) -> Iterator[Row]:
    """Of the tacos preset, of the second stage of `base`, and of suppression."""
    preset = load_preset("tacos", [f"train.batch={BATCH}", "train.compile=false"])
    place = Processes(0, 1, torch.device("cpu"))
    batch = random_batch(preset, 0)

    def tacos(run: Run) -> None:
        train_step(run, run.objective, batch, place)

    runs = [Run(preset, (), work / name, place.device) for name in ("split", "direct")]
    gained = steps_gained(size, tacos, *runs, direct=runs[1].objective)
    yield _row(f"a step of training the tacos preset, {BATCH} queries", gained)
    examples = [_example(seed) for seed in range(BATCH)]
    loss = SecondStageTraining().loss

    def base(model: SecondStage) -> None:
        model.zero_grad()
        second_stage_loss(model.train(), examples, loss).backward()  # type: ignore[no-untyped-call]

    models = [SecondStage(MomentModel(second_stage_config(SPACE)), SPACE) for _ in range(2)]
    gained = steps_gained(size, base, *models, direct=models[1])
    yield _row(f"a step of training `base`, second stage, {BATCH} queries", gained)
    yield suppression_row(size)


def _row(work: str, gained: list[float]) -> Row:
    return Row(work, "unsplit proposal head", gained, "x", at_least=3)


def steps_gained(
    size: Size, step: Callable[[T], None], ours: T, theirs: T, *, direct: nn.Module
) -> list[float]:
    """How many times as fast steps are as those of a module whose heads become direct."""
    for module in direct.modules():
        if isinstance(module, ProposalHead):
            module.__class__ = DirectHead

    def several(of: T) -> None:
        for _ in range(size.steps):
            step(of)

    step(ours)  # warm
    step(theirs)
    return gains(size.repeats, partial(several, ours), partial(several, theirs))


def _example(seed: int) -> Example:
    generator = np.random.default_rng(seed)
    rows = generator.standard_normal((WINDOW, SPACE.width - 1 + EXTRA_COLUMNS), dtype=np.float32)
    words = generator.standard_normal((WORDS, 50), dtype=np.float32)
    return Example(rows, words, ((20.0, 35.0),), "thing")


def suppression_row(size: Size) -> Row:
    """The best moments of tacos' candidates."""
    generator = np.random.default_rng(0)
    cells = candidates(128).numpy().astype(np.float32)
    spans = np.sort(cells + generator.normal(0, 0.3, (QUERIES, *cells.shape)), axis=2)
    scores = generator.random((QUERIES, len(cells)))

    def ours() -> list[list[int]]:
        return [
            nms(s, v, threshold=THRESHOLD, keep=KEEP).tolist()
            for s, v in zip(spans, scores, strict=True)
        ]

    def theirs() -> list[list[int]]:
        return [plain(s.tolist(), v.tolist()) for s, v in zip(spans, scores, strict=True)]

    if ours() != theirs():
        raise AssertionError("both forms of suppression must keep the same moments")
    gained = gains(size.repeats, ours, theirs)
    name = f"suppression of {len(cells)} candidates"
    return Row(name, "Python lists", gained, "x", at_least=3)


def plain(spans: list[list[float]], scores: list[float]) -> list[int]:
    """Greedy suppression as research code writes it: all of it, and the first few are taken."""
    order = sorted(range(len(spans)), key=lambda i: -scores[i])
    kept: list[int] = []
    while order:
        best = order.pop(0)
        kept.append(best)
        left = []
        for i in order:
            shared = min(spans[best][1], spans[i][1]) - max(spans[best][0], spans[i][0])
            whole = max(spans[best][1], spans[i][1]) - min(spans[best][0], spans[i][0])
            if max(0.0, shared) / whole <= THRESHOLD:
                left.append(i)
        order = left
    return kept[:KEEP]
