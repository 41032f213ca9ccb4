"""The network and its losses beside an independent form in numpy, live and as golden numbers.

golden/recipe.py is that form, written from the published description in float64; published.json is
what it gives for the four presets at full size. Whatever leaves the published arithmetic differs.
"""

import json
from typing import Any

import numpy as np
import pytest
import torch

from tests.research.golden.recipe import FOLDER, NAMES, QUERIES, inputs, memory, numbers, weights
from vmr.model.network import MomentModel
from vmr.research.loss import Batch, Objective
from vmr.research.preset import Preset, load_preset

torch.set_num_threads(1)
GOLDEN = json.loads((FOLDER / "published.json").read_text(encoding="utf-8"))
SMALL = (
    *("model.feature_width=20", "model.word_width=6", "model.vocabulary=11", "model.width=16"),
    *("model.heads=4", "model.clips=24", "model.positions=40", "contrast.queue=30"),
)


def ours(preset: Preset, cells: list[list[int]]) -> dict[str, Any]:
    """What the recipe gives, of this program's network with the recipe's weights and inputs."""
    values = preset.to_json()
    objective = Objective(MomentModel(preset.model), preset.loss, preset.contrast).eval()
    state = {name: torch.from_numpy(w).float() for name, w in weights(values).items()}
    if objective.contrast is not None:
        state |= {f"contrast.{k}": torch.from_numpy(v) for k, v in memory(values).items()}
        state["contrast.temperature"] = torch.tensor(preset.contrast.temperature)
        state["contrast.steps"] = torch.tensor(0)
    objective.load_state_dict(state)  # strict: the recipe has every weight, and no other
    given = {name: torch.from_numpy(array) for name, array in inputs(values).items()}
    batch = Batch(
        rows=given["rows"],
        clips=torch.full((len(QUERIES),), preset.model.clips),
        words=given["words"].float(),
        word_mask=given["mask"],
        hidden_words=given["hidden"],
        word_ids=given["ids"],
        spans=given["spans"],
        queries=torch.tensor(QUERIES),
        moments=torch.arange(len(QUERIES)),
        starts=torch.zeros(len(QUERIES), dtype=torch.int64),
    )
    model = objective.model
    with torch.no_grad():
        losses = objective(batch)
        read = batch.rows, batch.words, batch.word_mask
        output = model(*read, hidden_words=batch.hidden_words)
    known = {tuple(cell): place for place, cell in enumerate(model.candidates.tolist())}
    places = [known[cell[0], cell[1]] for cell in cells]
    offsets = output.spans[:, places] - torch.tensor(cells)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "candidates": len(known),
        "losses": {name: loss.item() for name, loss in losses.items()},
        "cells": cells,
        "cell_values": torch.cat([offsets, output.logits[:, places, None]], 2).numpy(),
        "stage_logits": output.stage_logits[..., :: max(1, preset.model.clips // 4)].numpy(),
        "word_logits": output.word_logits[:, :3].numpy(),
    }


def assert_same(found: dict[str, Any], golden: dict[str, Any]) -> None:
    """Equal to the rounding of float32 over the network's depth."""
    assert found.keys() == golden.keys()
    for name in ("parameters", "candidates", "cells"):
        assert found[name] == golden[name], name
    assert found["losses"] == pytest.approx(golden["losses"], rel=1e-4)
    for name in ("cell_values", "stage_logits", "word_logits"):
        assert np.allclose(found[name], golden[name], rtol=1e-4, atol=2e-4), name


@pytest.mark.parametrize("name", NAMES)
def test_full_size_presets_give_the_golden_numbers(name: str) -> None:
    assert_same(ours(load_preset(name), GOLDEN[name]["cells"]), GOLDEN[name])


@pytest.mark.parametrize("changes", [(), ("model.feed_forward=8",), ("loss.edge_one=0.5",)])
@pytest.mark.parametrize("name", NAMES)
def test_small_networks_are_the_recipe(name: str, changes: tuple[str, ...]) -> None:
    preset = load_preset(name, [*SMALL, *changes])
    golden = numbers(preset.to_json())
    assert_same(ours(preset, golden["cells"]), golden)


@pytest.mark.parametrize(
    "change",
    [
        *("contrast.pooling=mean", "contrast.positives=moment", "contrast.distillation=0.4"),
        *("loss.overlap_zero=0.3", "model.connect_every=3", "model.heads=2", "model.pool=4"),
    ],
)
def test_other_arithmetic_is_noticed(change: str) -> None:
    """The comparison can fail: a preset that differs in one setting is not the recipe's."""
    golden = numbers(load_preset("tacos", SMALL).to_json())
    with pytest.raises((AssertionError, RuntimeError)):
        assert_same(ours(load_preset("tacos", [*SMALL, change]), golden["cells"]), golden)
