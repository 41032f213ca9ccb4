"""The published network and its losses in plain float64 numpy, written from their description.

    python -m tests.research.golden.recipe          # writes published.json beside this file

network.py beside this file has the network, this one inputs and losses. Nothing of vmr is
imported: sizes come from the presets' JSON, and arithmetic from what the paper, MSAT's paper and
ALBEF's say. Weights and inputs are the raw bits of PCG64, scaled by a closed formula, so that they
are the same with every version of numpy and torch. `numbers` also takes small sizes, with which
tests hold the network against these files directly.

Letters: B batch, N clips, L words, D width, H heads, V rows' columns, Q queue.
"""

import json
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.research.golden.network import (
    Array,
    Weights,
    blocks,
    candidates,
    cell_values,
    embed,
    fuse,
    linear,
    softmax,
)

FOLDER = Path(__file__).parent
PRESETS = Path(__file__).resolve().parents[3] / "assets" / "presets"
NAMES = ("tacos", "activitynet", "msat_tacos", "msat_activitynet")
LENGTHS = (12, 3, 7)  # words of the sentences, so that there is padding
HIDDEN = ((2, 5), (1,), (0, 6))  # places of the words to guess
QUERIES = (4, 7, 4)  # the first and the last are the same query: both are positives


def uniform(name: str, *shape: int, scale: float = 1.0, around: float = 0.0) -> Array:
    """Numbers within `scale` of `around` that depend on `name` alone."""
    raw = np.random.PCG64(zlib.crc32(name.encode())).random_raw(math.prod(shape))
    values = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53  # [0, 1)
    # Through float32, which is what a network reads.
    return (around + scale * (2 * values - 1)).astype(np.float32).astype(np.float64).reshape(shape)


# Weights and inputs.


def weights(preset: dict[str, Any]) -> Weights:  # noqa: C901  # a plain list of all weights
    """Every weight by the name under which a checkpoint has it."""
    model, found = preset["model"], {}
    width, hidden = model["width"], model["feed_forward"]

    def linear(name: str, outputs: int, inputs: int) -> None:
        found[f"{name}.weight"] = uniform(name, outputs, inputs, scale=(3 / inputs) ** 0.5)
        found[f"{name}.bias"] = uniform(name + "+", outputs, scale=0.1)

    def norm(name: str) -> None:
        found[f"{name}.weight"] = uniform(name, width, scale=0.1, around=1.0)
        found[f"{name}.bias"] = uniform(name + "+", width, scale=0.1)

    def feed_forward(name: str) -> None:
        if hidden:
            linear(f"{name}.inner", hidden, width)
            linear(f"{name}.outer", width, hidden)
            norm(f"{name}.norm")

    found["model.masked_word"] = uniform("masked_word", width)
    linear("model.video_in", width, model["feature_width"])
    linear("model.text_in", width, model["word_width"])
    norm("model.video_norm")
    norm("model.text_norm")
    if model["contrast"]:
        for owner in ("model.contrast", "contrast.teacher"):
            for part in ("video_map", "text_map", "video_projection", "text_projection"):
                linear(f"{owner}.{part}", width, width)
    for place, kind in enumerate(blocks(model)):
        block = f"model.blocks.{place}"
        for part in {"across": ("itself", "across"), "together": ("together",)}.get(kind, ()):
            for role in ("query", "key", "value", "output"):
                linear(f"{block}.{part}.{role}", width, width)
            norm(f"{block}.{part}.norm")
        if kind == "two-stream":
            for stream in ("video", "text"):
                for target in ("own", "other"):
                    for number in range(3):
                        linear(f"{block}.{stream}.{target}.{number}", width, width)
                linear(f"{block}.{stream}.output", width, width)
                norm(f"{block}.{stream}.norm")
                feed_forward(f"{block}.{stream}_forward")
        else:
            feed_forward(f"{block}.feed_forward")
    linear("model.head.stages", 3 * width, width)
    for stage in range(3):
        linear(f"model.head.stage_scores.{stage}.0", width, width)
        linear(f"model.head.stage_scores.{stage}.3", 1, width)
    linear("model.head.first", width, 3 * width)
    linear("model.head.last", 3, width)
    linear("model.word_head.1", width, width)
    linear("model.word_head.4", model["vocabulary"], width)
    return found


def inputs(preset: dict[str, Any]) -> dict[str, Any]:
    """Three pairs: one like any other, one whose moment is short and last, one without clips."""
    model, batch = preset["model"], len(LENGTHS)
    rows = uniform("rows", batch, model["clips"] * model["pool"], model["feature_width"])
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    longest = max(LENGTHS)
    mask = np.arange(longest) < np.array(LENGTHS)[:, None]
    hidden = np.zeros((batch, longest), bool)
    for sentence, places in enumerate(HIDDEN):
        hidden[sentence, list(places)] = True
    ids = np.arange(batch * longest).reshape(batch, longest) * 7 % model["vocabulary"]
    clips = float(model["clips"])
    spans = np.array([[0.22 * clips, 0.47 * clips], [clips - 0.615, clips], [5.1, 5.7]])
    return {
        "rows": rows.astype(np.float32),
        "words": (uniform("words", batch, longest, model["word_width"]) * mask[..., None]),
        "mask": mask,
        "hidden": hidden,
        "ids": ids,
        "spans": spans.astype(np.float32),
    }


def memory(preset: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """The contrast's queues (Q, D) of unit rows, and whose they are."""
    size, width = preset["contrast"]["queue"], preset["model"]["width"]
    found: dict[str, NDArray[Any]] = {}
    for name in ("video_queue", "text_queue"):
        rows = uniform(name, size, width)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        found[name] = rows.astype(np.float32)
    found["queue_identities"] = np.arange(size) % 1000  # so each query has its like in there
    return found


# The losses.


def bells(span: Array, boundaries: int, loss: dict[str, float]) -> Array:
    """Start, end and middle labels of one moment, (3, N+1)."""
    start, end = span
    places = np.arange(boundaries)
    labels: list[NDArray[np.float64]] = []
    for centre, sigma, one, zero in (
        (start, 0.25, loss["edge_one"], loss["edge_zero"]),
        (end, 0.25, loss["edge_one"], loss["edge_zero"]),
        ((start + end) / 2, 0.21233, loss["middle_one"], loss["middle_zero"]),
    ):
        bell = np.exp(-0.5 * ((places - centre) / (sigma * (end - start))) ** 2)
        bell[bell >= one] = 1
        bell[bell < zero] = 0
        enough = bell.max() > 0 if len(labels) == 2 else bell.max() > 0.4
        if not enough:
            bell[:] = 0
            bell[np.abs(places - centre).argmin()] = 1
        labels.append(bell)
    return np.stack(labels)


def focal(logits: Array, targets: Array) -> Array:
    """Binary cross-entropy times the squared error."""
    chance = 1 / (1 + np.exp(-logits))
    cross = np.logaddexp(0, logits) - targets * logits
    return np.asarray(cross * (chance - targets) ** 2)


def overlap(found: Array, truth: Array) -> Array:
    """IoU of spans (C, 2) with one."""
    shared = np.minimum(found[:, 1], truth[1]) - np.maximum(found[:, 0], truth[0])
    shared = np.maximum(shared, 0)
    union = np.maximum(found[:, 1] - found[:, 0], 0) + truth[1] - truth[0] - shared
    return np.asarray(shared / union)


def grounding(
    w: Weights, preset: dict[str, Any], stages: list[Array], logits: Array, spans: Array
) -> dict[str, Any]:
    """The losses of stages, offsets and overlaps, and what the candidates say."""
    loss, boundaries = preset["loss"], preset["model"]["clips"] + 1
    cells = np.array(candidates(boundaries - 1))
    values = cell_values(w, stages, cells)  # (B, C, 3)
    stage, offset, match = [], [], []
    for pair, span in enumerate(spans):
        labels = bells(span, boundaries, loss)
        stage.append(focal(logits[pair], labels).sum(1).mean())
        likely = np.argwhere((labels[0] >= 0.4)[:, None] & (labels[1] >= 0.4)[None])
        offsets = cell_values(w, [part[pair : pair + 1] for part in stages], likely)[0, :, :2]
        offset.append(np.abs(offsets - (span - likely)).mean())
        refined = cells + values[pair, :, :2]
        valid = refined[:, 0] < refined[:, 1]
        targets = overlap(refined, span)
        targets[targets < loss["overlap_zero"]] = 0
        match.append(focal(values[pair, :, 2], targets)[valid].mean())
    return {
        "stage": np.mean(stage),
        "offset": np.mean(offset),
        "overlap": np.mean(match),
        "cells": cells,
        "values": values,
    }


def rounded(values: Array) -> Any:
    """Lists of numbers to nine places."""
    return np.round(values, 9).tolist()


def masked_words(w: Weights, read: Array, given: dict[str, Any]) -> tuple[float, Array]:
    """Cross-entropy of the hidden words per sentence, and their logits (M, vocabulary)."""
    hidden = given["hidden"]
    inner = np.maximum(linear(w, "model.word_head.1", read[hidden]), 0)
    logits = linear(w, "model.word_head.4", inner)
    chances = softmax(logits)[np.arange(len(logits)), given["ids"][hidden]]
    return float(-np.log(chances).sum() / hidden.any(1).sum()), logits


def contrast(w: Weights, preset: dict[str, Any], video: Array, text: Array, spans: Array) -> float:
    """ALBEF's momentum contrast, both ways, after the momentum copy has moved."""
    options, held = preset["contrast"], memory(preset)
    share, momentum = options["distillation"], options["momentum"]
    slow = {
        name: momentum * w[name]
        + (1 - momentum) * w[name.replace("contrast.teacher", "model.contrast")]
        for name in w
        if name.startswith("contrast.teacher")
    }

    def vectors(owner: str, of: Weights) -> tuple[Array, Array]:
        mapped = linear(of, f"{owner}.video_map", video)
        first, last = np.ceil(spans).astype(int).T
        seen = np.stack([m[a:b].sum(0) for m, a, b in zip(mapped, first, last, strict=True)])
        read = linear(of, f"{owner}.text_map", text).sum(1)  # padding too
        pair = (
            linear(of, f"{owner}.video_projection", seen),
            linear(of, f"{owner}.text_projection", read),
        )
        seen, read = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in pair)
        return seen, read

    seen, read = vectors("model.contrast", w)
    slow_seen, slow_read = vectors("contrast.teacher", slow)
    known = np.concatenate([QUERIES, held["queue_identities"]])
    same = (np.array(QUERIES)[:, None] == known).astype(np.float64)
    same /= same.sum(1, keepdims=True)
    total = 0.0
    for online, own, other, queue in (
        (seen, slow_seen, slow_read, held["text_queue"]),
        (read, slow_read, slow_seen, held["video_queue"]),
    ):
        keys = np.concatenate([other, queue.astype(np.float64)])
        scores = online @ keys.T / options["temperature"]
        targets = share * softmax(own @ keys.T / options["temperature"]) + (1 - share) * same
        logs = scores - scores.max(1, keepdims=True)
        logs = logs - np.log(np.exp(logs).sum(1, keepdims=True))
        total -= (targets * logs).sum(1).mean()
    return total / 2


def numbers(preset: dict[str, Any]) -> dict[str, Any]:
    """One forward pass and its losses: what published.json holds for a preset."""
    w, given, model = weights(preset), inputs(preset), preset["model"]
    spans = given["spans"].astype(np.float64)
    video, text = embed(w, preset, given)
    seen, read = video, text
    if model["contrast"]:
        seen = linear(w, "model.contrast.video_map", video)
        read = linear(w, "model.contrast.text_map", text)
    seen, read = fuse(w, model, seen, read, given["mask"])
    stages = np.split(np.maximum(linear(w, "model.head.stages", seen), 0), 3, 2)
    scorer = "model.head.stage_scores"
    logits = np.stack(
        [
            linear(w, f"{scorer}.{s}.3", np.maximum(linear(w, f"{scorer}.{s}.0", x), 0))[..., 0]
            for s, x in enumerate(stages)
        ],
        1,
    )  # (B, 3, N+1)
    found = grounding(w, preset, stages, logits, spans)
    losses = {name: float(found[name]) for name in ("stage", "offset", "overlap")}
    losses["words"], guesses = masked_words(w, read, given)
    if model["contrast"]:
        losses["contrast"] = contrast(w, preset, video, text, spans)
    total = sum(preset["loss"][name] * value for name, value in losses.items())
    some = np.linspace(0, len(found["cells"]) - 1, 7).astype(int)
    trained = [v.size for name, v in w.items() if name.startswith("model.")]
    return {
        "parameters": sum(trained),
        "candidates": len(found["cells"]),
        "losses": {name: round(float(x), 9) for name, x in {"total": total, **losses}.items()},
        "cells": found["cells"][some].tolist(),
        "cell_values": rounded(found["values"][:, some]),
        "stage_logits": rounded(logits[..., :: max(1, model["clips"] // 4)]),
        "word_logits": rounded(guesses[:, :3]),
    }


def main() -> None:
    """Write published.json."""
    held = {}
    for name in NAMES:
        held[name] = numbers(json.loads((PRESETS / f"{name}.json").read_text(encoding="utf-8")))
        print(name, held[name]["losses"], flush=True)
    text = json.dumps(held, indent=1)
    (FOLDER / "published.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
