"""A stage of training that goes on from where it was stopped.

stage = Stage([network, heads], steps, rate, weight_decay, Path("still.pt"), 240)
for step in stage:                  # from the first that is not done
    stage.step(loss_of(step))       # ArithmeticError: the loss is no number
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


class Stage:
    """The steps of a stage: optimiser, schedule, progress, and the file it goes on from."""

    def __init__(
        self,
        parts: list[nn.Module],
        steps: int,
        rate: float,
        weight_decay: float,
        kept: Path,
        save_seconds: float,
    ) -> None:
        self._parts, self._steps, self._kept, self._save_seconds = parts, steps, kept, save_seconds
        self._parameters = [p for part in parts for p in part.parameters() if p.requires_grad]
        matrices = [p for p in self._parameters if p.ndim > 1]
        others = [p for p in self._parameters if p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=rate)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, rate, total_steps=steps + 1, pct_start=0.05
        )
        self._done = 0
        if kept.is_file():
            self._take_up(torch.load(kept, weights_only=True))

    def __iter__(self) -> Iterator[int]:
        begun, first, saved = time.monotonic(), self._done, time.monotonic()
        while self._done < self._steps:
            yield self._done
            self._done += 1
            now = time.monotonic()
            if self._done % 25 == 0:
                left = (now - begun) / (self._done - first) * (self._steps - self._done)
                print(
                    f"{self._kept.stem} {self._done}/{self._steps}: loss {self._loss:.3f}, "
                    f"{left / 60:.0f} min left",
                    flush=True,
                )
            if now - saved > self._save_seconds or self._done == self._steps:
                self._save()
                saved = now

    def step(self, loss: Tensor) -> None:
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._parameters, 5.0)
        self._optimizer.step()
        self._schedule.step()
        self._loss = loss.item()
        if not math.isfinite(self._loss):
            raise ArithmeticError(f"step {self._done}: the loss is {self._loss}")

    def _save(self) -> None:
        state = {
            "done": self._done,
            "parts": [part.state_dict() for part in self._parts],
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
        }
        draft = self._kept.with_suffix(".part")
        torch.save(state, draft)
        draft.replace(self._kept)

    def _take_up(self, state: dict[str, Any]) -> None:
        for part, values in zip(self._parts, state["parts"], strict=True):
            part.load_state_dict(values)
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._done = int(state["done"])
