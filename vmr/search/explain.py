"""Which words of a query drove a match, and where: for "why this moment" on the page.

    explained = explain("a dog on a beach", 3, 12.0, searcher=searcher)
    explained.added["dog"]          # (T,): a value for every row of the video

Three views, none of which is the sum of the others: how the strength changes when a word is left
out, how each word matches alone, and where each looked while the second stage read the window.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from vmr.model.retrieval import RetrievalModel
from vmr.model.second_stage import window_rows
from vmr.model.text import Query
from vmr.model.windows import Window
from vmr.search.query import parse, sense_of
from vmr.search.searcher import Searcher

Unread = Literal["", "weights", "form"]
"""No reason; the weights have no second stage; it does not read queries of this form."""
MOST_WORDS: Final = 12
"""Words of a query that are explained one by one."""
# Words that say nothing about what is seen.
_UNTELLING: Final = frozenset(
    "a an the of in on at to into from by with and or is are was be it its this that as".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Attention:
    """Where each word looked, in the window that answers for a second."""

    shares: tuple[tuple[str, NDArray[np.float64]], ...]
    "of each word (T,): what part of its attention fell on each row; sums to 1"
    begins: float
    "seconds: the rows lie evenly from here"
    ends: float


@dataclass(frozen=True)
class Explanation:
    """What each word of a query did for one video of T rows."""

    added: dict[str, NDArray[np.float64]]
    "by how much the strength (T,) falls without the word; empty where no word can be left out"
    alone: dict[str, NDArray[np.float64]]
    "the strength (T,) of each word by itself, 0..1"
    attention: Attention | None
    unread: Unread
    "why there is no attention to show"


def explain(
    query: str, video: int, second: float | None = None, *, searcher: Searcher
) -> Explanation:
    """What each word of a query adds, matches alone, and looked at.

    Args:
        second: of the video, around which the attention is shown; None asks for no attention.

    Raises:
        QueryError: no word of the query is known.
        LibraryError: the video cannot be searched.
    """
    parsed, model = parse(query), searcher.model
    things = [thing for step in parsed.steps for thing in step if sense_of(thing)[0] is None]
    known = [word for thing in things for word in model.query(thing).words]
    telling = [word for word in dict.fromkeys(known) if word not in _UNTELLING][:MOST_WORDS]
    plain = len(things) == 1 and not parsed.avoided
    unread: Unread = ""
    if second is not None and not (plain and model.second_stage is not None):
        unread = "weights" if plain else "form"
    return Explanation(
        added=_added(known, telling, video, searcher) if plain else {},
        alone={word: searcher.strength_curve(word, video) for word in telling},
        attention=None if second is None or unread else _looked(things[0], video, second, searcher),
        unread=unread,
    )


def _added(
    known: Sequence[str], telling: Sequence[str], video: int, searcher: Searcher
) -> dict[str, NDArray[np.float64]]:
    """How much the strength of every row falls when one word is left out; the only one adds all."""
    if len(set(known)) < 2:
        return {}
    whole = searcher.strength_curve(" ".join(known), video)
    return {
        word: whole
        - searcher.strength_curve(" ".join(other for other in known if other != word), video)
        for word in telling
    }


def _looked(thing: str, video: int, second: float, searcher: Searcher) -> Attention:
    """The attention of each telling word in the window that answers for a second."""
    query, window = searcher.model.query(thing), searcher.window(video, second)
    looked = attention(searcher.model, window, query)
    told = [pair for pair in zip(query.words, looked, strict=False) if pair[0] not in _UNTELLING]
    return Attention(tuple(told[:MOST_WORDS]), float(window.starts[0]), float(window.ends[-1]))


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
    read = window_rows(model.second_stage.space, window, matches)
    rows = torch.from_numpy(read)[None]  # (1, T, W)
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
