"""One training run: optimiser, schedule, average of the weights, and the file it goes on from.

    optimisation = Optimisation(steps=400, rate=5e-4, weight_decay=0.02, average=0.998)
    trainer = Trainer(network, optimisation, Path("run.pt"), settings=asdict(config), rng=rng)
    for step in trainer:                        # from the first step that is not done
        trainer.step(loss_of(network, step))    # ArithmeticError: the loss is not finite
        if (step + 1) % 100 == 0:
            trainer.keep_if_best(score_of(trainer.averaged))
    best = trainer.best()

The shared space (base.py), its second stage (second_stage.py) and the motion network (c3d.py) are
all trained by this loop and saved in this format, by one process or by those of `torchrun`: then
each has a share of every batch, and the first one writes.
"""

import copy
import json
import math
import pickle
import pkgutil
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from feature_extract.files import replacing
from vmr.research.processes import ALONE, Processes

FORMAT: Final = 1
"""Of the file that a run goes on from. Files of other formats are refused."""
LARGEST_GRADIENT: Final = 5.0
"""The norm that the gradient of all weights together is cut down to."""
REPORT_EVERY: Final = 25
"""Steps from one line of progress to the next."""


def run_record(
    command: str, settings: Mapping[str, Any], data: Mapping[str, Mapping[str, int]]
) -> dict[str, Any]:
    """What made some weights, as their config.json keeps it under "training".

    Args:
        command: what was run, without paths.
        settings: every setting of the run, the seed among them.
        data: of every data set, by name, how many pictures of each split were at hand.
    """
    return {
        "command": command,
        "version": pkgutil.resolve_name("vmr:__version__"),  # the root is no room to import from
        "settings": dict(settings),
        "data": {name: dict(splits) for name, splits in data.items()},
    }


class ResumeError(ValueError):
    """A file that this run cannot go on from; one line with its name, why, and what to do."""


@dataclass(frozen=True)
class Optimisation:
    """How a network's weights are optimised: AdamW under a one-cycle schedule."""

    steps: int
    """Batches in the whole run. The schedule is laid out over them."""
    rate: float
    """The learning rate at its highest."""
    weight_decay: float
    """AdamW's decay, of weights with two or more dimensions."""
    decays_all: bool = False
    """Decay biases, norms and scalars too."""
    warm_up: float = 0.1
    """Share of the steps, 0..1, over which the rate rises to its highest; then it falls to 0."""
    average: float = 0.0
    """Decay of the exponential average of the weights, 0..1; 0: no average is kept. The first steps
    are averaged with the lower decay (1 + step) / (10 + step), so that the average leaves the
    weights of the start behind soon."""


class Trainer:
    """The steps of a run, and its state: written whole to a file, and taken up from there."""

    def __init__(
        self,
        network: nn.Module,
        optimisation: Optimisation,
        file: Path | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        rng: random.Random | None = None,
        save_seconds: float = 240.0,
        place: Processes = ALONE,
    ) -> None:
        """Begin a run, or take up the one that was stopped.

        Args:
            network: trained in place; on its device already.
            file: where the state is kept; None: a run that is stopped is lost.
            settings: all that the run depends on, as JSON can hold it. A file of other settings is
                refused.
            rng: what batches are drawn with; its state is saved with torch's own.
            save_seconds: time between two saves while the run is iterated over.
            place: this process among those that train the same network.

        Raises:
            ResumeError: the file is damaged, or of a run of other settings.
        """
        place.make_alike(network)
        self.network, self._steps = network, optimisation.steps
        self._file, self._save_seconds, self._rng = file, save_seconds, rng
        self._settings = json.dumps(settings or {}, sort_keys=True)
        self._place, self._seed = place, int((settings or {}).get("seed", 0))
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(
            _groups(self._parameters, optimisation), lr=optimisation.rate
        )
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer,
            optimisation.rate,
            total_steps=optimisation.steps + 1,
            pct_start=optimisation.warm_up,
        )
        self._average = _average(network, optimisation.average) if optimisation.average else None
        self.done = 0
        """Steps that are done."""
        self.loss = math.nan
        """Of the last step."""
        self._best: dict[str, Tensor] | None = None
        self._score = -math.inf
        self._begun, self._first = time.monotonic(), 0
        if file is not None and file.is_file():
            self.load_state(file)
        place.wait()  # the first one may write there soon

    @property
    def averaged(self) -> nn.Module:
        """The network with the averaged weights; the network itself where no average is kept."""
        return self.network if self._average is None else self._average.module

    def __iter__(self) -> Iterator[int]:
        """The numbers of the steps that are left, from 0 on; the state is saved in between."""
        saved = time.monotonic()
        while self.done < self._steps:
            if self._place.count > 1:  # what is dropped in one share is kept in another
                step = self._seed * 1_000_003 + self.done
                torch.manual_seed(step * self._place.count + self._place.rank)
            yield self.done
            now = time.monotonic()
            if now - saved > self._save_seconds or self.done == self._steps:
                self.save_state()
                saved = now

    def step(self, loss: Tensor) -> None:
        """Move the weights once against the gradient of a loss: of its mean over all processes.

        Raises:
            ArithmeticError: the loss is not finite.
        """
        value = self._place.mean(loss.detach()).item()
        if not math.isfinite(value):
            raise ArithmeticError(f"step {self.done}: the loss is {value}; try a lower rate")
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._place.average_gradients(self._parameters)
        torch.nn.utils.clip_grad_norm_(self._parameters, LARGEST_GRADIENT)
        self._optimizer.step()
        self._schedule.step()
        self.done, self.loss = self.done + 1, value
        if self._average is not None:
            self._average.update_parameters(self.network)
        if self.done % REPORT_EVERY == 0:
            each = (time.monotonic() - self._begun) / (self.done - self._first)
            left = each * (self._steps - self.done) / 60
            name = "" if self._file is None else f"{self._file.stem} "
            print(
                f"{name}step {self.done}/{self._steps}: loss {value:.3f}, {left:.0f} min left",
                flush=True,
            )

    def keep_if_best(self, score: float) -> None:
        """Remember the averaged weights if no others had as high a score."""
        if score > self._score:
            self._score, self._best = score, copy.deepcopy(self.averaged.state_dict())

    def best(self) -> nn.Module:
        """A copy of the averaged network with the weights of the highest score, for inference; of
        the last step where no score was told."""
        network = copy.deepcopy(self.averaged)
        if self._best is not None:
            network.load_state_dict(self._best)
        return network.eval()

    def save_state(self) -> None:
        """Write all that the run needs to go on as if it had not been stopped; does nothing for a
        run without a file. The file is replaced as a whole."""
        if self._file is None or self._place.rank:
            return
        state = {
            "format": FORMAT,
            "settings": self._settings,
            "done": self.done,
            "network": self.network.state_dict(),
            "average": None if self._average is None else self._average.state_dict(),
            "best": self._best,
            "score": self._score,
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "rng": None if self._rng is None else self._rng.getstate(),
            "torch": torch.get_rng_state(),
        }
        with replacing(self._file) as draft:
            torch.save(state, draft)

    def load_state(self, file: Path) -> None:
        """Go on from a state that `save_state` wrote.

        Raises:
            ResumeError: it is damaged, or of a run of other settings.
        """
        state = _read(file)
        if state["settings"] != self._settings:
            names = _differing(json.loads(state["settings"]), json.loads(self._settings))
            raise ResumeError(
                f"{file}: a run of other settings ({names}) was stopped there; delete it to begin "
                "anew, or take the settings it had"
            )
        self.network.load_state_dict(state["network"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self.done = self._first = int(state["done"])
        self._best, self._score = state["best"], float(state["score"])
        if self._rng is not None:
            self._rng.setstate(state["rng"])
        torch.set_rng_state(state["torch"])
        print(f"{file}: goes on after step {self.done} of {self._steps}", flush=True)


def _groups(parameters: list[nn.Parameter], optimisation: Optimisation) -> list[dict[str, Any]]:
    """The optimiser's groups: what is decayed, and what is not."""
    if optimisation.decays_all:
        return [{"params": parameters, "weight_decay": optimisation.weight_decay}]
    matrices = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": optimisation.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def _average(network: nn.Module, decay: float) -> AveragedModel:
    """An exponential average of a network's weights that starts at what they are now."""

    def towards(kept: Tensor, new: Tensor, updates: Tensor | int) -> Tensor:
        step = int(updates)
        return torch.lerp(kept, new, 1 - min(decay, (1 + step) / (10 + step)))

    average = AveragedModel(network, avg_fn=towards)
    average.update_parameters(network)  # torch's first update copies: from here on steps count
    return average


def _read(file: Path) -> dict[str, Any]:
    """A state, on the processor; nothing in the file is run."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ResumeError(f"{file}: cannot be read ({reason}); delete it to begin anew") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ResumeError(f"{file}: written by another version; delete it to begin anew")
    return state


def _differing(before: dict[str, Any], now: dict[str, Any]) -> str:
    """The names of the settings that are not the same."""
    names = sorted(before.keys() | now.keys())
    return ", ".join(name for name in names if before.get(name) != now.get(name))
