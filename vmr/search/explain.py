"""Which words of a query drove a match, and where: for "why this moment" on the page.

    explained = why("a dog on a beach", 3, 12.0, searcher=searcher)
    explained["added"]          # [{"word": "dog", "strength": [0.31, ...]}, ...]: a value a row

Three views, none of which is the sum of the others: how the strength changes when a word is left
out, how each word matches alone, and where each looked while the second stage read the window.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from vmr.model.retrieval import RetrievalModel
from vmr.model.second_stage import window_rows
from vmr.model.text import Query
from vmr.model.windows import Window
from vmr.search.query import parse
from vmr.search.searcher import Searcher

MOST_WORDS: Final = 12
"""Words of a query that are explained one by one."""
# Words that say nothing about what is seen.
_UNTELLING: Final = frozenset(
    "a an the of in on at to into from by with and or is are was be it its this that as".split()  # noqa: SIM905
)


def why(
    query: str,
    video: int,
    second: float | None = None,
    *,
    searcher: Searcher,
) -> dict[str, Any]:
    """What each word of a query adds, matches alone, and looked at.

    Args:
        second: of the video, around which the attention is shown.

    Returns:
        `added` and `words`, a value a row of the video; `attention`, or under `unread` why there is
        none to show.

    Raises:
        QueryError: no word of the query is known.
        LibraryError: the video cannot be searched.
    """
    parsed, model = parse(query), searcher.model
    things = [thing for step in parsed.steps for thing in step]
    known = [word for thing in things for word in model.query(thing).words]
    telling = [word for word in dict.fromkeys(known) if word not in _UNTELLING][:MOST_WORDS]
    plain = len(things) == 1 and not parsed.avoided
    read = plain and model.second_stage is not None and second is not None
    return {
        "added": _rows(telling, _added(known, telling, video, searcher)) if plain else [],
        "words": _rows(telling, [searcher.strength_curve(word, video) for word in telling]),
        "attention": _looked(things[0], video, second or 0.0, searcher) if read else None,
        "unread": "" if read or second is None else "weights" if plain else "form",
    }


def _added(
    known: Sequence[str], telling: Sequence[str], video: int, searcher: Searcher
) -> list[NDArray[np.float64]]:
    """How much the strength of every row falls when one word is left out; the only one adds all."""
    if len(set(known)) < 2:
        return []
    whole = searcher.strength_curve(" ".join(known), video)
    return [
        whole - searcher.strength_curve(" ".join(other for other in known if other != word), video)
        for word in telling
    ]


def _looked(thing: str, video: int, second: float, searcher: Searcher) -> dict[str, Any]:
    """The attention of each telling word in the window that answers for a second."""
    query, window = searcher.model.query(thing), searcher.window(video, second)
    looked = attention(searcher.model, window, query)
    told = [pair for pair in zip(query.words, looked, strict=False) if pair[0] not in _UNTELLING]
    return {
        "words": [
            {"word": word, "looked": [round(float(share), 5) for share in shares]}
            for word, shares in told[:MOST_WORDS]
        ],
        "begins": float(window.starts[0]),
        "ends": float(window.ends[-1]),
    }


def _rows(words: Sequence[str], rows: Sequence[NDArray[np.float64]]) -> list[dict[str, Any]]:
    return [
        {"word": word, "strength": [round(float(value), 3) for value in row]}
        for word, row in zip(words, rows, strict=False)
    ]


@torch.inference_mode()
def attention(model: RetrievalModel, window: Window, query: Query) -> NDArray[np.float64]:
    """(L, T): the share of each word's attention that fell on each row of the window.

    A word's attention is a mean over all heads and over all blocks in which words look at the
    video. It shows where the network looked, which is not the same as what decided. Words beyond
    what the network reads have no line.

    Raises:
        ValueError: these weights have no second stage.
    """
    if model.second_stage is None:
        raise ValueError("these weights have no second stage: no word looks anywhere")
    network = model.second_stage.network
    matches = model.matches(window.clips, query)
    rows = torch.from_numpy(window_rows(model.space, window, matches))[None]  # (1, T, W)
    words = torch.from_numpy(query.vectors[: network.config.longest_text])[None]  # (1, L, V)
    mask = torch.ones(words.shape[:2], dtype=torch.bool)
    maps = network.attention_maps(rows, words, mask)  # (blocks, 1, H, L, T + 1)
    return between(maps.mean(dim=(0, 2))[0].double().numpy())


def between(boundaries: NDArray[np.float64]) -> NDArray[np.float64]:
    """(L, T + 1) of boundaries -> (L, T) of the rows between them, each line summing to 1.

    A row has the mean of the boundaries on its two sides, so that attention without a preference
    stays without one: adding up shares would favour the first and the last row.
    """
    rows = boundaries[:, :-1] + boundaries[:, 1:]
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))
