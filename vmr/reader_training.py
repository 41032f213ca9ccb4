"""Trains the second stage of `base` (reader.py) on composed timelines.

    reader = train_reader(ranker, words, sets, ReaderTraining())

The pictures that the shared space was trained on are known to it too well: a network that learns
from their matches trusts them too much on anything new. So every picture and every sentence gets
noise, as much as makes retrieval among training pictures as hard as it is among new ones.
"""

import copy
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vmr.compose import Pool, Question, Timeline, ask, compose, pool_of
from vmr.contrast import follow
from vmr.localise import propose
from vmr.loss import EDGE, LossConfig, focal_bce, overlaps, stage_labels
from vmr.model import MomentModel, Output, boundary_mask
from vmr.moments import iou
from vmr.ranker import Ranker
from vmr.reader import EXTRA_COLUMNS, MATCH_SCALE, MomentReader, reader_config, window_rows
from vmr.stills import Pictures
from vmr.text import Query, QueryError, Words
from vmr.windows import WINDOW, Window

SPANS: Final = 3
"""Answers of a question that are taught."""
CUTS_MISSED: Final = 0.15
"""Share of cuts, and of fades more, that a detector does not see."""


@dataclass(frozen=True)
class ReaderTraining:
    """Settings of the run; stored with the weights."""

    steps: int = 1200
    batch: int = 32
    questions: int = 8
    "of each timeline"
    absent: float = 0.35
    "share of the questions that nothing in the window answers"
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    word_dropout: float = 0.1
    average: float = 0.998
    actions: float = 0.3
    "pictures of the other sets, for one captioned picture"
    validate_every: int = 200
    validation: int = 800
    "questions of the development split"
    seed: int = 0
    loss: LossConfig = LossConfig()  # noqa: RUF009 - frozen


@dataclass(frozen=True)
class Table:
    """Clip vectors of pictures of all sets, and what is said of them."""

    clips: NDArray[np.float32]
    "(N, V, E)"
    pools: dict[str, Pool]
    "by split"


@dataclass(frozen=True)
class Example:
    """A window and a question about it."""

    rows: NDArray[np.float32]
    "(T, C)"
    words: NDArray[np.float32]
    "(L, W)"
    spans: tuple[tuple[float, float], ...]
    "in rows of the window"


def table_of(ranker: Ranker, sets: dict[str, Pictures], main: str, share: float) -> Table:
    """The pictures of every set in the shared space; of the others `share` as many as of `main`."""
    views = sets[main].rows.shape[1]
    limit = int(share * len(sets[main].names)) // max(1, len(sets) - 1)
    clips: list[NDArray[np.float32]] = []
    captions: list[tuple[str, ...]] = []
    groups: list[str] = []
    splits: list[str] = []
    for name, pictures in sets.items():
        step = 1 if name == main else max(1, len(pictures.names) // max(1, limit))
        chosen = range(0, len(pictures.names), step)
        rows = pictures.rows[::step]  # (N, V, D)
        flat = ranker.clip_vectors(rows.reshape(-1, rows.shape[2]))
        vectors = flat.reshape(*rows.shape[:2], -1)  # (N, V, E)
        clips.append(np.tile(vectors, (1, -(-views // rows.shape[1]), 1))[:, :views])
        captions += [pictures.captions[i] for i in chosen]
        groups += [f"{name}/{pictures.groups[i]}" for i in chosen]
        splits += [pictures.splits[i] for i in chosen]
    table, split_of = np.concatenate(clips), np.asarray(splits)
    pools = {
        split: pool_of(np.flatnonzero(split_of == split), groups, captions, table[:, 0, :-1], views)
        for split in ("train", "dev")
    }
    return Table(table, pools)


def train_reader(
    ranker: Ranker, words: Words, sets: dict[str, Pictures], main: str, config: ReaderTraining
) -> MomentReader:
    """The reader whose average weights find most moments of the development timelines."""
    torch.manual_seed(config.seed)
    table = table_of(ranker, sets, main, config.actions)
    composer = _Composer(ranker, words, table, config)
    composer.noise = noise_of_the_unknown(ranker, words, sets[main])
    print(f"noise {composer.noise:.2f}", flush=True)
    checks = composer.examples("dev", random.Random(1), config.validation)
    print(f"dev R@1 at IoU .5 of the curve alone: {check_curve(checks):.1f} %", flush=True)
    width = table.clips.shape[2]
    reader = MomentReader(MomentModel(reader_config(width, word_width=words.width)))
    average, chosen, best = copy.deepcopy(reader), copy.deepcopy(reader), -1.0
    optimizer = torch.optim.AdamW(
        reader.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.steps + 1, pct_start=0.1
    )
    batches = composer.batches("train", random.Random(config.seed))
    begun = time.monotonic()
    for step in range(1, config.steps + 1):
        loss = reader_loss(reader.train().model, next(batches), config.loss)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        follow(average, reader, min(config.average, (1 + step) / (10 + step)))
        if step % 50 == 0:
            left = (time.monotonic() - begun) / step * (config.steps - step)
            print(f"step {step}: loss {loss.item():.3f}, {left / 60:.0f} min left", flush=True)
        if step % config.validate_every == 0 or step == config.steps:
            found, none = check(average, checks)
            print(f"step {step}: dev R@1 at IoU .5 {found:.1f} %, ranks answers {none:.1f} %")
            if found + none > best:
                best, chosen = found + none, copy.deepcopy(average)
    return chosen.eval()


class _Composer:
    """Examples out of timelines, in the shared space."""

    def __init__(self, ranker: Ranker, words: Words, table: Table, config: ReaderTraining) -> None:
        self._ranker, self._words, self._table, self._config = ranker, words, table, config
        self.noise = 0.0
        self._queries: dict[str, tuple[Query, NDArray[np.float32]] | None] = {}

    def batches(self, split: str, draw: random.Random) -> Iterator[list[Example]]:
        """For ever."""
        while True:
            batch: list[Example] = []
            while len(batch) < self._config.batch:
                batch += self._of_one(split, draw, noise=self.noise)
            yield batch[: self._config.batch]

    def examples(self, split: str, draw: random.Random, count: int) -> list[Example]:
        """Without noise: pictures of other splits are unknown to the ranker as they are."""
        found: list[Example] = []
        while len(found) < count:
            found += self._of_one(split, draw, noise=0.0)
        return found[:count]

    def _of_one(self, split: str, draw: random.Random, *, noise: float) -> list[Example]:
        pool = self._table.pools[split]
        timeline = compose(pool, draw)
        clips = timeline.rows(self._table.clips)  # (T, E)
        chaos = np.random.default_rng(draw.getrandbits(32))
        if noise:
            clips = _noisy(clips, timeline, noise, chaos)
        else:
            clips[:, :-1] /= np.linalg.norm(clips[:, :-1], axis=1, keepdims=True)
        cuts = _seen_cuts(timeline, draw)
        made = []
        for _ in range(self._config.questions):
            present = draw.random() >= self._config.absent
            question = ask(timeline, pool, draw, present=present)
            query = self._query(question.text)
            if query is not None:
                made.append(self._example(clips, cuts, question, query, noise, draw, chaos))
        return made

    def _query(self, text: str) -> tuple[Query, NDArray[np.float32]] | None:
        """With its vector; both are kept, for a sentence is asked many times."""
        if text not in self._queries:
            try:
                query = self._words.query(text)
                self._queries[text] = query, self._ranker.query_vector(query)
            except QueryError:  # three captions have no known word
                self._queries[text] = None
        return self._queries[text]

    def _example(
        self,
        clips: NDArray[np.float32],
        cuts: NDArray[np.float64],
        question: Question,
        query: tuple[Query, NDArray[np.float32]],
        noise: float,
        draw: random.Random,
        chaos: np.random.Generator,
    ) -> Example:
        """A window of at most 128 rows; one that holds an answer, where there is one."""
        words, vector = query[0].vectors, query[1]
        if noise:
            vector = np.append(_unit(vector[:-1] + _error(noise, len(vector) - 1, chaos)), 1.0)
            kept = [w for w in words if draw.random() >= self._config.word_dropout]
            words = np.stack(kept) if kept else words
        last = max(0, len(clips) - WINDOW)
        first = draw.randint(0, last)
        if question.spans:
            start, end = draw.choice(question.spans)
            low, high = int(max(0, end - WINDOW)), int(min(last, start))
            first = draw.randint(min(low, high), max(low, high))
        part = clips[first : first + WINDOW]
        starts = np.arange(first, first + len(part), dtype=np.float64)
        window = Window(part, starts, starts + 1, cuts)
        rows = window_rows(window, self._ranker.curve(part, vector.astype(np.float32)))
        spans = [(start - first, end - first) for start, end in question.spans]
        inside = [(max(0.0, a), min(float(len(part)), b)) for a, b in spans]
        return Example(rows, words, tuple(span for span in inside if span[1] - span[0] >= 1))


def reader_loss(model: MomentModel, batch: Sequence[Example], config: LossConfig) -> Tensor:
    """The paper's stage, offset and overlap losses, for any number of answers, none included."""
    output, visible, spans, real = _read(model, batch)
    stage = torch.stack(
        [stage_labels(spans[:, k], visible, config) * real[:, k, None, None] for k in range(SPANS)]
    )  # (K, B, 3, N+1)
    labels = stage.amax(0)
    found = torch.stack([overlaps(output.spans.detach(), spans[:, k]) for k in range(SPANS)])
    target = (found * real.T[..., None]).amax(0)  # (B, C)
    target = torch.where(target < config.overlap_zero, 0.0, target)
    overlap = focal_bce(output.logits, target) * output.valid
    return torch.stack(
        [
            config.stage
            * (focal_bce(output.stage_logits, labels) * visible[:, None]).sum(2).mean(),
            config.overlap * (overlap.sum(1) / output.valid.sum(1).clamp(min=1)).mean(),
            config.offset * _offsets(model, output, stage, spans),
        ]
    ).sum()


def _offsets(model: MomentModel, output: Output, stage: Tensor, spans: Tensor) -> Tensor:
    """L1 of the offsets at pairs of a likely start and a likely end of one answer."""
    likely = stage >= EDGE  # (K, B, 3, N+1)
    pairs = likely[:, :, 0, :, None] & likely[:, :, 1, None, :]
    k, video, i, j = pairs.nonzero(as_tuple=True)  # (M,)
    if not len(k):
        return output.logits.sum() * 0
    offsets = model.head.cells(output.projected, i, j, video)[:, :2]
    wanted = spans[video, k] - torch.stack([i, j], 1)
    distance = (offsets - wanted).abs().mean(1)
    cells = torch.bincount(video, minlength=len(spans))
    return (distance / cells[video]).sum() / len(spans)


def _read(model: MomentModel, batch: Sequence[Example]) -> tuple[Output, Tensor, Tensor, Tensor]:
    """The network's output for a batch; visible (B, N+1), spans (B, K, 2), real (B, K)."""
    longest = max(len(example.words) for example in batch)
    rows = torch.zeros(len(batch), WINDOW, batch[0].rows.shape[1])
    words = torch.zeros(len(batch), longest, batch[0].words.shape[1])
    mask = torch.zeros(len(batch), longest, dtype=torch.bool)
    spans = torch.zeros(len(batch), SPANS, 2)
    spans[..., 1] = 1
    real = torch.zeros(len(batch), SPANS)
    for i, example in enumerate(batch):
        rows[i, : len(example.rows)] = torch.from_numpy(example.rows)
        words[i, : len(example.words)] = torch.from_numpy(example.words)
        mask[i, : len(example.words)] = True
        for k, span in enumerate(example.spans[:SPANS]):
            spans[i, k], real[i, k] = torch.tensor(span), 1
    clips = torch.tensor([len(example.rows) for example in batch])
    output = model(rows, words, mask, clips=clips)
    return output, boundary_mask(rows, clips, 1), spans, real


@torch.inference_mode()
def check(reader: MomentReader, examples: Sequence[Example]) -> tuple[float, float]:
    """R@1 at IoU .5 of the answered questions, and how often a question that has an answer scores
    above one that has none, both in %."""
    found, scores, present = [], [], []
    for first in range(0, len(examples), 64):
        output, _, spans, real = _read(reader.eval().model, examples[first : first + 64])
        logits = output.logits.masked_fill(~output.valid, -torch.inf)
        best = logits.argmax(1)
        span = output.spans[torch.arange(len(best)), best][:, None]  # (B, 1, 2)
        hit = torch.stack([overlaps(span, spans[:, k])[:, 0] * real[:, k] for k in range(SPANS)])
        found += (hit.amax(0) >= 0.5).tolist()
        scores += logits.amax(1).tolist()
        present += (real.sum(1) > 0).tolist()
    there = np.array(present)
    right, score = np.array(found)[there], np.array(scores)
    above = score[there][:, None] > score[~there][None]
    return 100 * float(right.mean()), 100 * float(above.mean())


def check_curve(examples: Sequence[Example]) -> float:
    """R@1 at IoU .5, in %, when the moments are read off the similarity curve, without cuts."""
    right = []
    for example in examples:
        if example.spans:
            starts = np.arange(len(example.rows), dtype=np.float64)
            curve = example.rows[:, -EXTRA_COLUMNS] / MATCH_SCALE
            best = propose(curve, starts, starts + 1, np.zeros(0))[0]
            right.append(iou([(best.start, best.end)], list(example.spans)).max() >= 0.5)
    return 100 * float(np.mean(right))


def noise_of_the_unknown(ranker: Ranker, words: Words, pictures: Pictures) -> float:
    """Length of the noise that makes training pictures as hard to find as development ones."""
    wanted = _found(ranker, words, pictures, "dev", 0.0)
    low, high = 0.0, 4.0
    for _ in range(8):
        middle = (low + high) / 2
        if _found(ranker, words, pictures, "train", middle) > wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _found(
    ranker: Ranker, words: Words, pictures: Pictures, split: str, noise: float, count: int = 1000
) -> float:
    """Share of captions whose picture is among the ten nearest of `count`."""
    places, chaos = pictures.of(split)[:count], np.random.default_rng(0)
    clips = ranker.clip_vectors(pictures.rows[places, 0])
    texts = [words.query(max(pictures.captions[i], key=len)) for i in places]
    queries = np.stack([ranker.query_vector(text) for text in texts])
    for vectors in (clips, queries):
        width = vectors.shape[1] - 1
        vectors[:, :-1] += np.stack([_error(noise, width, chaos) for _ in vectors])
        vectors[:, :-1] /= np.linalg.norm(vectors[:, :-1], axis=1, keepdims=True)
    similar = queries @ clips.T
    ahead = (similar > similar.diagonal()[:, None]).sum(1)
    return float((ahead < 10).mean())


def _noisy(
    clips: NDArray[np.float32], timeline: Timeline, noise: float, chaos: np.random.Generator
) -> NDArray[np.float32]:
    """Clips (T, E) with an error for each picture that is shown, the same in all its rows."""
    width = clips.shape[1] - 1
    errors = {segment.place: _error(noise, width, chaos) for segment in timeline.segments}
    shown = [timeline.shown(row + 0.5) for row in range(len(clips))]
    moved = clips.copy()
    moved[:, :-1] /= np.linalg.norm(clips[:, :-1], axis=1, keepdims=True)
    for row, parts in enumerate(shown):
        for segment, share, _ in parts:
            moved[row, :-1] += share * errors[segment.place]
    moved[:, :-1] /= np.linalg.norm(moved[:, :-1], axis=1, keepdims=True)
    return moved


def _error(noise: float, width: int, chaos: np.random.Generator) -> NDArray[np.float32]:
    """(E - 1,) of length about `noise`."""
    return noise / np.float32(width**0.5) * chaos.standard_normal(width, np.float32)


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def _seen_cuts(timeline: Timeline, draw: random.Random) -> NDArray[np.float64]:
    """Cuts as a detector gives them: some missed, fades more often, hard ones nearly exact."""
    seen = [
        segment.end + draw.uniform(-0.12, 0.12)
        for segment in timeline.segments[:-1]
        if draw.random() >= (0.5 if segment.fade else CUTS_MISSED)
    ]
    return np.array(seen)
