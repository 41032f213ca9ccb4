"""Annotations and feature rows -> batches. Training and serving prepare a video the same way here.

    data = MomentData(annotations, source, words, model_config, DataConfig(), vocabulary)
    for batch in data.batches(32): ...                  # every query once
    pair = Stream(data, seed=0)[17]                     # pair 17 of endless training

Letters: B batch, T rows, N clips, L words, W row width.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from feature_extract.text_form import normal_form
from vmr.model.network import ModelConfig
from vmr.model.text import Words
from vmr.research.annotations import AnnotatedQuery, Annotations, Span
from vmr.research.loss import Batch
from vmr.research.rows import RowSource

_PUNCTUATION = re.compile(r'[,/"\-;.&?!()]')  # each becomes a space, as in the published code
UNKNOWN = 1  # place of words outside the vocabulary; 0 is padding
ELSEWHERE = 1 / 3  # of the windows that training reads lie away from the moment
CACHE_BYTES = 4 << 30  # prepared rows kept in memory; the rest is read again when needed


class DataError(ValueError):
    """Annotations, features and settings that do not fit together, in one line."""


@dataclass(frozen=True)
class DataConfig:
    """How rows and words are prepared."""

    length: Literal["fixed", "variable", "windows"] = "fixed"
    """Fixed: every video resampled to N * pool rows, as published. Variable: its own rows if they
    are fewer. Windows: always its own rows, a long video in windows of N * pool that overlap by
    half; each is scored by itself, and the best answers of all are the video's."""
    normalise: bool = True
    """Rows to unit length."""
    hide_words: float = 0.15
    """Share of the words that training hides, for the masked-word loss."""
    read_words: bool = True
    """False: all word vectors are zero, to see what a model does that cannot read the query."""

    def __post_init__(self) -> None:
        if self.length not in ("fixed", "variable", "windows"):
            raise ValueError(f"data.length must be fixed, variable or windows, not {self.length!r}")
        if not 0 <= self.hide_words < 1:
            raise ValueError(f"data.hide_words must be within 0..1, not {self.hide_words}")


@dataclass(frozen=True)
class PreparedVideo:
    """Rows of one video as the network reads them."""

    rows: NDArray[np.float32]
    "(T, W), T a multiple of `pool`"
    clips: int
    extent: float
    "length of the video in clips; below `clips` where the last is partly empty"


@dataclass(frozen=True)
class Item:
    """One (video, query) pair; as Batch, without the B."""

    rows: torch.Tensor
    clips: int
    words: torch.Tensor
    hidden_words: torch.Tensor
    word_ids: torch.Tensor
    span: tuple[float, float]
    query: int
    moment: int
    start: int
    "clips of the video before these rows"


def tokens(sentence: str) -> list[str]:
    """Words of a sentence as the published code splits it."""
    return _PUNCTUATION.sub(" ", normal_form(sentence).lower()).split()


def build_vocabulary(queries: Iterable[AnnotatedQuery]) -> tuple[str, ...]:
    """All words of the training sentences; their ids start at 2, after padding and unknown."""
    return tuple(sorted({word for query in queries for word in tokens(query.sentence)}))


def vocabulary_size(vocabulary: Sequence[str]) -> int:
    """Classes of the masked-word head."""
    return len(vocabulary) + 2


def resample(rows: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """`count` means of consecutive rows (n, W); with fewer rows than that, some repeat.

    Boundaries are round(i / count * n), clipped to n - 1; an empty interval takes its first row.
    """
    n = len(rows)
    bounds = np.minimum(np.round(np.arange(count + 1) / count * n).astype(np.int64), n - 1)
    sums = np.add.reduceat(rows, bounds, axis=0, dtype=np.float64)[:count]
    sizes = np.maximum(np.diff(bounds), 1)[:, None]
    result: NDArray[np.float32] = (sums / sizes).astype(np.float32)
    return result


def prepare_rows(
    rows: NDArray[np.float32], model: ModelConfig, config: DataConfig
) -> PreparedVideo:
    """Rows (n, W) normalised and brought to the length the network reads."""
    if config.normalise:
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.maximum(lengths, 1e-12)
    longest = model.clips * model.pool
    if config.length == "fixed" or (config.length == "variable" and len(rows) > longest):
        return PreparedVideo(resample(rows, longest), model.clips, model.clips)
    clips = -(-len(rows) // model.pool)
    padded = np.zeros((clips * model.pool, rows.shape[1]), np.float32)
    padded[: len(rows)] = rows
    return PreparedVideo(padded, clips, len(rows) / model.pool)


def window_starts(clips: int, longest: int) -> list[int]:
    """First clips of the windows of `longest` clips that cover a video, overlapping by half."""
    last = max(0, clips - longest)
    return [*range(0, last, max(1, longest // 2)), last]


def choose_window(
    starts: Sequence[int], longest: int, span: Span, generator: np.random.Generator
) -> int:
    """The start of a window to train on, for a moment at `span` (clips of the video).

    Mostly one that holds the moment, whole if any does; one that lies elsewhere in a third of the
    draws, so that scores of different windows compare.
    """
    if len(starts) == 1:
        return starts[0]
    whole = [at for at in starts if at <= span[0] and span[1] <= at + longest]
    middle = (span[0] + span[1]) / 2
    holding = whole or [at for at in starts if at <= middle <= at + longest]
    elsewhere = [at for at in starts if span[1] < at or at + longest < span[0]]
    chosen = elsewhere if elsewhere and generator.random() < ELSEWHERE else holding
    return chosen[generator.integers(len(chosen))]


class MomentData:
    """The queries of one split with everything the network reads of them.

    Attributes:
        queries: those whose video has features.
        pairs: (number of the query, one of its true moments): what training draws from.
        lengths: rows of every video as its file has them.
        dropped: what was left out or repaired, by reason, of the annotations and the features.
    """

    def __init__(
        self,
        annotations: Annotations,
        source: RowSource,
        words: Words,
        model: ModelConfig,
        config: DataConfig,
        vocabulary: Sequence[str] = (),
    ) -> None:
        """Look at every video once.

        Raises:
            DataError: no video has features, or widths differ from the model's.
        """
        if words.width != model.word_width:
            raise DataError(
                f"word vectors have {words.width} columns, the model expects {model.word_width}: "
                f"give others with --words FILE, or --set model.word_width={words.width}"
            )
        self._source, self._words = source, words
        self._model, self._config = model, config
        self._ids = {word: place for place, word in enumerate(vocabulary, UNKNOWN + 1)}
        self._cache: dict[str, PreparedVideo] = {}
        self._cached_bytes = 0
        self.lengths: dict[str, int] = {}
        dropped = Counter(annotations.dropped)
        present = self._scan(annotations.videos, dropped)
        self.queries = tuple(self._usable(annotations.queries, present, dropped))
        self.dropped = {reason: count for reason, count in dropped.items() if count}
        self.pairs = [
            (number, span) for number, query in enumerate(self.queries) for span in query.spans
        ]
        moments = dict.fromkeys((self.queries[number].video, span) for number, span in self.pairs)
        self._moments = {moment: place for place, moment in enumerate(moments)}

    def video(self, name: str) -> PreparedVideo:
        """A video's prepared rows, from memory where there is room."""
        if name in self._cache:
            return self._cache[name]
        return self._prepare(name, self._source.rows(name))

    def item(
        self,
        number: int,
        span: Span,
        generator: np.random.Generator | None = None,
        start: int = 0,
    ) -> Item:
        """Query `number` with one of its moments, in the window that starts with clip `start`.

        With a generator, words are hidden, and the window is drawn.
        """
        query = self.queries[number]
        video = self.video(query.video)
        clips_per_second = video.extent / query.duration
        inside = span[0] * clips_per_second, span[1] * clips_per_second
        words = tokens(query.sentence)[: self._model.longest_text]
        vectors = self._words.lookup(words)
        hidden = np.zeros(len(words), np.bool_)
        if generator is not None:
            hidden = hide(len(words), self._config.hide_words, generator)
            start = choose_window(self.windows(number), self._model.clips, inside, generator)
        pool, clips = self._model.pool, min(self._model.clips, video.clips)
        return Item(
            rows=torch.from_numpy(video.rows[start * pool : (start + clips) * pool]),
            clips=clips,
            words=torch.from_numpy(vectors if self._config.read_words else vectors * 0),
            hidden_words=torch.from_numpy(hidden),
            word_ids=torch.tensor([self._ids.get(word, UNKNOWN) for word in words]),
            span=(inside[0] - start, inside[1] - start),
            query=number,
            moment=self._moments[query.video, span],
            start=start,
        )

    def windows(self, number: int) -> list[int]:
        """First clips of the windows in which query `number` is asked; [0] for a whole video."""
        return window_starts(self.video(self.queries[number].video).clips, self._model.clips)

    def batches(self, size: int) -> Iterator[Batch]:
        """Every query once, in order, nothing hidden; once a window where there are several."""
        asked = ((n, at) for n in range(len(self.queries)) for at in self.windows(n))
        while some := list(islice(asked, size)):
            yield collate([self.item(n, self.queries[n].spans[0], start=at) for n, at in some])

    def _prepare(self, name: str, rows: NDArray[np.float32]) -> PreparedVideo:
        broken = ~np.isfinite(rows).all(1, keepdims=True)
        prepared = prepare_rows(np.where(broken, np.float32(0), rows), self._model, self._config)
        if self._cached_bytes + prepared.rows.nbytes <= CACHE_BYTES:
            self._cached_bytes += prepared.rows.nbytes
            self._cache[name] = prepared
        return prepared

    def _scan(self, videos: Sequence[str], dropped: Counter[str]) -> set[str]:
        """Read every video once: find the missing ones, broken rows, the wrong width."""
        where = self._source.path
        present = {video for video in videos if self._source.has(video)}
        if not present:
            raise DataError(
                f"{where}: has features of none of the {len(videos)} annotated videos: "
                f"found {self._source.example()}, expected names like {videos[0]}"
            )
        dropped["video without features"] = len(videos) - len(present)
        for video in sorted(present):
            rows = self._source.rows(video)
            if rows.shape[1] != self._model.feature_width:
                raise DataError(
                    f"{where}: {video} has {rows.shape[1]} columns, the model expects "
                    f"{self._model.feature_width}: give the features it was made for, "
                    f"or --set model.feature_width={rows.shape[1]}"
                )
            broken = int((~np.isfinite(rows).all(1)).sum())
            dropped["row with NaN or infinity (read as zero)"] += broken
            self.lengths[video] = len(rows)
            self._prepare(video, rows)
        return present

    def _usable(
        self, queries: Iterable[AnnotatedQuery], present: set[str], dropped: Counter[str]
    ) -> Iterator[AnnotatedQuery]:
        longest = self._model.longest_text
        for query in queries:
            count = len(tokens(query.sentence))
            if query.video not in present:
                dropped["query whose video has no features"] += 1
            elif not count:
                dropped["query without words"] += 1
            else:
                dropped[f"query cut to {longest} words (kept)"] += count > longest
                yield query


def hide(count: int, share: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Which of `count` words to hide: each with probability `share`, but neither none nor all."""
    hidden: NDArray[np.bool_] = generator.random(count) < share
    if count > 1 and share and hidden.all():
        hidden[generator.integers(count)] = False
    if count > 1 and share and not hidden.any():
        hidden[generator.integers(count)] = True
    return hidden if count > 1 else np.zeros(count, np.bool_)


class Stream(Dataset[Item]):
    """Training pairs without end: one shuffled pass after another.

    Pair k depends on `seed` and k alone, so that a resumed run, and any number of processes or
    workers, see the same pairs with the same words hidden.
    """

    def __init__(self, data: MomentData, seed: int) -> None:
        self._data, self._seed = data, seed
        self._pass: tuple[int, NDArray[np.int64]] | None = None

    def __getitem__(self, k: int) -> Item:
        number, place = divmod(k, len(self._data.pairs))
        if self._pass is None or self._pass[0] != number:
            order = np.random.default_rng((self._seed, 0, number)).permutation(
                len(self._data.pairs)
            )
            self._pass = number, order
        query, span = self._data.pairs[self._pass[1][place]]
        return self._data.item(query, span, np.random.default_rng((self._seed, 1, k)))


def collate(items: Sequence[Item]) -> Batch:
    """Items as one batch, padded to the longest video and the longest sentence."""
    lengths = torch.tensor([len(item.words) for item in items])
    return Batch(
        rows=pad_sequence([item.rows for item in items], batch_first=True),
        clips=torch.tensor([item.clips for item in items]),
        words=pad_sequence([item.words for item in items], batch_first=True),
        word_mask=torch.arange(int(lengths.max()))[None] < lengths[:, None],
        hidden_words=pad_sequence([item.hidden_words for item in items], batch_first=True),
        word_ids=pad_sequence([item.word_ids for item in items], batch_first=True),
        spans=torch.tensor([item.span for item in items], dtype=torch.float32),
        queries=torch.tensor([item.query for item in items]),
        moments=torch.tensor([item.moment for item in items]),
        starts=torch.tensor([item.start for item in items]),
    )
