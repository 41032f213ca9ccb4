"""The published network in plain float64 numpy; recipe.py beside this file says what for.

Weights are a mapping from the names of a checkpoint to arrays. Letters: B batch, N clips, L words,
D width, H heads, T, Q, K tokens, C cells.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = dict[str, Array]
ERF = np.vectorize(math.erf, otypes=[np.float64])


def blocks(model: dict[str, Any]) -> list[str]:
    """The encoder's layers in order: groups of asymmetric ones with a connected one behind."""
    if model["encoder"] == "two-stream":
        return ["two-stream"] * model["layers"]
    group = ["across"] * int(model["connect_every"]) + ["together"]
    return group * (int(model["layers"]) // int(model["connect_every"]))


def linear(w: Weights, name: str, x: Array) -> Array:
    """x W^T + b."""
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def layer_norm(w: Weights, name: str, x: Array) -> Array:
    """LayerNorm with epsilon 1e-12."""
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
    scaled: Array = centred / deviation * w[f"{name}.weight"] + w[f"{name}.bias"]
    return scaled


def softmax(x: Array) -> Array:
    """Over the last axis."""
    e = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def heads(x: Array, count: int) -> Array:
    """(B, T, D) -> (B, H, T, D / H)."""
    return x.reshape(*x.shape[:2], count, -1).swapaxes(1, 2)


def joined(x: Array) -> Array:
    """(B, H, T, D / H) -> (B, T, D)."""
    return x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], -1)


def hide(mask: NDArray[np.bool_]) -> Array:
    """-1e6 where there is nothing, (B, 1, 1, K), to be added to scores."""
    return np.where(mask, 0.0, -1e6)[:, None, None]


def attention(w: Weights, name: str, x: Array, context: Array, added: Array, count: int) -> Array:
    """Post-norm multi-head attention of x (B, Q, D) over context (B, K, D)."""
    query, key = heads(linear(w, f"{name}.query", x), count), linear(w, f"{name}.key", context)
    scores = query @ heads(key, count).swapaxes(2, 3) / math.sqrt(x.shape[2] / count) + added
    found = joined(softmax(scores) @ heads(linear(w, f"{name}.value", context), count))
    return layer_norm(w, f"{name}.norm", x + linear(w, f"{name}.output", found))


def stream(
    w: Weights, name: str, own: Array, other: Array, added: tuple[Array, Array], count: int
) -> Array:
    """MSAT's attention of one modality: own and other keys under one softmax."""
    scores, values = [], []
    for target, context, extra in (("own", own, added[0]), ("other", other, added[1])):
        query, key, value = (
            heads(linear(w, f"{name}.{target}.{role}", own if role == 0 else context), count)
            for role in range(3)
        )
        scores.append(query @ key.swapaxes(2, 3) / math.sqrt(own.shape[2] / count) + extra)
        values.append(value)
    found = joined(softmax(np.concatenate(scores, 3)) @ np.concatenate(values, 2))
    return layer_norm(w, f"{name}.norm", own + linear(w, f"{name}.output", found))


def feed_forward(w: Weights, name: str, x: Array) -> Array:
    """Two linears with the exact GELU between; nothing where the preset has none."""
    if f"{name}.inner.weight" not in w:
        return x
    inner = linear(w, f"{name}.inner", x)
    inner = inner * 0.5 * (1 + ERF(inner / math.sqrt(2)))
    return layer_norm(w, f"{name}.norm", x + linear(w, f"{name}.outer", inner))


def positions(count: int, width: int) -> Array:
    """Sinusoids of positions that are scaled to one turn."""
    place, column = np.arange(count)[:, None], np.arange(width)
    angle = 2 * np.pi * place / count / 10000.0 ** (2 * (column // 2) / width)
    return np.where(column % 2 == 0, np.sin(angle), np.cos(angle))


def embed(w: Weights, preset: dict[str, Any], given: dict[str, Any]) -> tuple[Array, Array]:
    """Video tokens (B, N+1, D) at the boundaries, and word tokens (B, L, D), padding too."""
    model = preset["model"]
    pool, boundaries = model["pool"], model["clips"] + 1
    half = np.zeros((len(given["rows"]), pool // 2, model["feature_width"]))
    padded = np.concatenate([half, given["rows"].astype(np.float64), half], 1)
    pooled = padded.reshape(len(given["rows"]), boundaries, pool, -1).mean(2)
    table = positions(model["positions"], model["width"])
    video = linear(w, "model.video_in", pooled) + table[:boundaries]
    words = linear(w, "model.text_in", given["words"])
    words = np.where(given["hidden"][..., None], w["model.masked_word"], words)
    words = words + table[boundaries : boundaries + words.shape[1]]
    return layer_norm(w, "model.video_norm", video), layer_norm(w, "model.text_norm", words)


def fuse(
    w: Weights, model: dict[str, Any], video: Array, text: Array, mask: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """The encoder."""
    count, boundaries = model["heads"], video.shape[1]
    nothing, padding = np.zeros((1, 1, 1, 1)), hide(mask)
    both = hide(np.concatenate([np.ones(video.shape[:2], bool), mask], 1))
    for place, kind in enumerate(blocks(model)):
        block = f"model.blocks.{place}"
        if kind == "across":
            text = attention(w, f"{block}.itself", text, text, padding, count)
            text = attention(w, f"{block}.across", text, video, nothing, count)
            text = feed_forward(w, f"{block}.feed_forward", text)
        elif kind == "together":
            x = np.concatenate([video, text], 1)
            x = attention(w, f"{block}.together", x, x, both, count)
            x = feed_forward(w, f"{block}.feed_forward", x)
            video, text = x[:, :boundaries], x[:, boundaries:]
        else:
            seen = stream(w, f"{block}.video", video, text, (nothing, padding), count)
            read = stream(w, f"{block}.text", text, video, (padding, nothing), count)
            video = feed_forward(w, f"{block}.video_forward", seen)
            text = feed_forward(w, f"{block}.text_forward", read)
    return video, text


def candidates(clips: int) -> list[tuple[int, int]]:
    """The scored cells as 2D-TAN samples them: short moments densely, long ones sparsely."""
    cells = []
    for start in range(clips):
        for length in range(1, clips - start + 1):
            every, longest, step = 1, 16, 1
            while length > longest:
                every, longest, step = 2 * every, longest + 16 * every, 2 * step
            if start % every == 0 and length % step == 0:
                cells.append((start, start + length))
    return cells


def cell_values(w: Weights, stages: list[Array], cells: NDArray[np.int64]) -> Array:
    """(B, C, 3): start offset, end offset and logit of cells (C, 2)."""
    start, end, middle = stages
    i, j = cells.T
    x = np.concatenate([start[:, i], middle[:, (i + j) // 2], end[:, j]], 2)
    return linear(w, "model.head.last", np.maximum(linear(w, "model.head.first", x), 0))
