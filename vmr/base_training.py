"""`python -m vmr train base`: the shared space of clips and sentences, from captioned stills.

    train_base(data=Path("data"), cache=Path("cache"), out=Path("assets/weights/base"))

Symmetric contrast (InfoNCE) between the rows of pictures and their captions: all captions of a
picture, and of pictures that show the same action, are positives. The text side starts from frozen
word vectors and learns maps of them only, so every word that has a vector can be asked for. Weights
are averaged over steps, and the epoch is chosen on the development split. The calibration is fitted
on timelines composed of development pictures.
"""

import copy
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from feature_extract.appearance import BLOCKS
from vmr.calibration import TIMELINES, fit_calibration, trials
from vmr.concepts import concept_pictures
from vmr.contrast import follow
from vmr.ranker import Calibration, Ranker
from vmr.reader_training import ReaderTraining, train_reader
from vmr.stills import Pictures, load_pictures
from vmr.text import QueryError, Words
from vmr.towers import Towers, TowersConfig

MAIN: Final = "flickr8k"
_BACKGROUND: Final = 2048  # unrelated clips kept with the weights: two megabytes
_ASKED: Final = 1000  # captions kept with them: one megabyte


@dataclass(frozen=True)
class BaseConfig:
    """Settings of the run; stored with the weights."""

    epochs: int = 6
    batch: int = 256
    extra: dict[str, int] = field(default_factory=lambda: {"har15": 48, "gym": 24, "concepts": 96})
    "pictures of the other sets added to a batch"
    mixed: float = 0.35
    "weight of the pairs of the other sets, beside the captioned ones"
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    word_dropout: float = 0.1
    average: float = 0.995
    "decay of the exponential average of the weights"
    views: int = 3
    "of each captioned picture: the plain one and augmented ones"
    concept_views: int = 4
    "rows of each ImageNet class"
    timelines: int = TIMELINES
    "that the calibration is fitted on"
    seed: int = 0
    reader: ReaderTraining = ReaderTraining()  # noqa: RUF009 - frozen
    towers: TowersConfig = TowersConfig(blocks=dict(BLOCKS))  # noqa: RUF009 - frozen


@dataclass(frozen=True)
class Recall:
    """Text -> picture retrieval: share of captions whose picture is among the first n, in %."""

    at_1: float
    at_5: float
    at_10: float

    def __str__(self) -> str:
        return f"R@1/5/10 {self.at_1:.1f}/{self.at_5:.1f}/{self.at_10:.1f}"


class _Captions:
    """(L, W) vectors of captions, looked up once each: a training run reads them many times."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._known: dict[str, NDArray[np.float32]] = {}

    def __getitem__(self, text: str) -> NDArray[np.float32]:
        if text not in self._known:
            try:
                self._known[text] = self._words.query(text).vectors
            except QueryError:  # three captions have no known word; they read as one zero vector
                self._known[text] = np.zeros((1, self._words.width), dtype=np.float32)
        return self._known[text]


def train_base(
    data: Path,
    cache: Path,
    out: Path,
    config: BaseConfig = BaseConfig(),
    *,
    space: Path | None = None,
) -> None:
    """Train the shared space, then the second stage on it, calibrate and write the weights.

    The space alone is written first: `space`, a folder of weights, takes one up again from there.
    The second stage is kept when it is right more often on development timelines than the curve.
    """
    torch.manual_seed(config.seed)
    words = Words.load()
    sets = load_pictures(data, cache, views=config.views)
    if space is None:
        ranker = _train_space(words, dict(sets), config)
        fit_calibration(ranker, words, sets[MAIN], "dev", timelines=config.timelines)
        ranker.save(out)
    else:
        ranker = Ranker.load(space)
    curve = _share_right(ranker, words, sets[MAIN], config)
    space_mix, space_calibration = ranker.mix, ranker.calibration
    ranker.reader = train_reader(ranker, words, sets, MAIN, config.reader)
    fit_calibration(ranker, words, sets[MAIN], "dev", timelines=config.timelines)
    read = _share_right(ranker, words, sets[MAIN], config)
    print(f"right on dev timelines: {read:.1f} % with the second stage, {curve:.1f} % without")
    if read <= curve:  # it has to earn its time
        ranker.reader, ranker.mix, ranker.calibration = None, space_mix, space_calibration
    ranker.save(out)
    print(f"{out}: {ranker.mix} {ranker.calibration}")


def _share_right(ranker: Ranker, words: Words, pictures: Pictures, config: BaseConfig) -> float:
    """R@1 at IoU .5 on dev timelines that the calibration has not seen, in %."""
    asked = trials(ranker, words, pictures, "dev", seed=2, timelines=config.timelines)
    return 100 * float(np.mean([trial.right for trial in asked if trial.present]))


def _train_space(words: Words, sets: dict[str, Pictures], config: BaseConfig) -> Ranker:
    """The first stage: towers of the epoch that finds most development pictures."""
    main = sets.pop(MAIN)
    towers = _towers(config, [main, *sets.values()])
    real = main.rows[main.of("train"), 0]
    others = {
        **sets,
        "concepts": concept_pictures(real, views=config.concept_views, seed=config.seed),
    }
    best, chosen = -1.0, copy.deepcopy(towers)
    for epoch, average in _epochs(config, towers, words, main, others):
        recall = text_to_picture(average, words, main, "dev")
        print(f"epoch {epoch + 1}/{config.epochs}: dev {recall}", flush=True)
        if sum((recall.at_1, recall.at_5, recall.at_10)) > best:
            best = sum((recall.at_1, recall.at_5, recall.at_10))
            chosen = copy.deepcopy(average)
    unrelated = _background(chosen, [main, *sets.values()])
    captions = _captions(chosen, words, main)
    return Ranker(chosen, unrelated, captions, Calibration(1, 0, 0.25, 0.75), words.fingerprint)


def text_to_picture(towers: Towers, words: Words, pictures: Pictures, split: str) -> Recall:
    """Recall of every caption of a split over the pictures of that split (view 0)."""
    towers.eval()
    chosen = pictures.of(split)
    texts = [(place, text) for place, i in enumerate(chosen) for text in pictures.captions[i]]
    with torch.inference_mode():
        clips = towers.encode_video(torch.from_numpy(pictures.rows[chosen, 0]).float())
        captions = _Captions(words)
        queries = [captions[text] for _, text in texts]
        vectors = torch.cat(
            [towers.encode_text(*pad(queries[i : i + 512])) for i in range(0, len(queries), 512)]
        )
        similarity = vectors @ clips.T  # (captions, pictures)
        truth = torch.tensor([place for place, _ in texts])[:, None]
        rank = (similarity > similarity.gather(1, truth)).sum(1)
    return Recall(*[100 * float((rank < n).double().mean()) for n in (1, 5, 10)])


def pad(queries: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    """Queries of (l, W) words each -> (B, L, W) words and (B, L) mask."""
    longest = max(len(query) for query in queries)
    words = torch.zeros(len(queries), longest, queries[0].shape[1])
    mask = torch.zeros(len(queries), longest, dtype=torch.bool)
    for i, query in enumerate(queries):
        words[i, : len(query)] = torch.from_numpy(query)
        mask[i, : len(query)] = True
    return words, mask


def contrast(clips: Tensor, texts: Tensor, groups: Sequence[str], scale: Tensor) -> Tensor:
    """Symmetric InfoNCE of unit vectors (B, E), pair by pair (B,); equal groups are positives."""
    number = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    group = torch.tensor([number[name] for name in groups])
    target = (group[:, None] == group[None]).float()
    target = target / target.sum(1, keepdim=True)  # (B, B), symmetric
    logits = scale * texts @ clips.T  # (B, B)
    to_clips = F.cross_entropy(logits, target, reduction="none")  # (B,)
    to_texts = F.cross_entropy(logits.T, target, reduction="none")  # (B,)
    return (to_clips + to_texts) / 2


def _towers(config: BaseConfig, sets: list[Pictures]) -> Towers:
    """New towers that know the mean row of the training pictures."""
    towers = Towers(config.towers)
    rows = np.concatenate([pictures.rows[pictures.of("train"), 0] for pictures in sets])
    widths = list(config.towers.blocks.values())
    columns = torch.split(torch.from_numpy(rows).float(), widths, dim=-1)
    unit = [F.normalize(block, dim=-1) for block in columns]
    towers.video.mean.copy_(torch.cat(unit, dim=-1).mean(0))
    return towers


def _epochs(
    config: BaseConfig, towers: Towers, words: Words, main: Pictures, others: dict[str, Pictures]
) -> Iterator[tuple[int, Towers]]:
    """Train epoch by epoch; yields the averaged towers after each."""
    average, vectors = copy.deepcopy(towers), _Captions(words)
    draw = random.Random(config.seed)
    captions = [(int(i), text) for i in main.of("train") for text in main.captions[i]]
    choices = {name: pictures.of("train").tolist() for name, pictures in others.items()}
    per_epoch = len(captions) // config.batch
    optimizer, schedule = _optimizer(config, towers, per_epoch * config.epochs)
    step, begun = 0, time.monotonic()
    for epoch in range(config.epochs):
        for batch in _batches(captions, config.batch, draw):
            picked = [(main, i, text) for i, text in batch]
            for name, pictures in others.items():
                extra = draw.choices(choices[name], k=config.extra[name])
                picked += [(pictures, i, draw.choice(pictures.captions[i])) for i in extra]
            loss = _loss(towers.train(), vectors, picked, config, draw)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(towers.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            step += 1
            follow(average, towers, min(config.average, (1 + step) / (10 + step)))
            if step % 20 == 0:
                left = (time.monotonic() - begun) / step * (per_epoch * config.epochs - step)
                print(f"step {step}: loss {loss.item():.3f}, {left / 60:.0f} min left", flush=True)
        yield epoch, average


def _optimizer(
    config: BaseConfig, towers: Towers, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    matrices = [p for p in towers.parameters() if p.ndim > 1]
    rest = [p for p in towers.parameters() if p.ndim <= 1]  # biases and the temperature
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=steps + 1, pct_start=0.1
    )
    return optimizer, schedule


def _batches(
    captions: list[tuple[int, str]], size: int, draw: random.Random
) -> Iterator[list[tuple[int, str]]]:
    """Batches of captions of like length, so that little is padded; in random order."""
    by_length = sorted(captions, key=lambda pair: pair[1].count(" ") + draw.uniform(-1.5, 1.5))
    batches = [by_length[i : i + size] for i in range(0, len(captions) - size + 1, size)]
    draw.shuffle(batches)
    yield from batches


def _loss(
    towers: Towers,
    captions: _Captions,
    picked: list[tuple[Pictures, int, str]],
    config: BaseConfig,
    draw: random.Random,
) -> Tensor:
    rows = np.stack([p.rows[i, draw.randrange(p.rows.shape[1])] for p, i, _ in picked])
    queries = []
    for _, _, text in picked:
        vectors = captions[text]
        kept = [vector for vector in vectors if draw.random() >= config.word_dropout]
        queries.append(np.stack(kept) if kept else vectors)
    clips = towers.encode_video(torch.from_numpy(rows).float())
    texts = towers.encode_text(*pad(queries))
    groups = [pictures.groups[i] for pictures, i, _ in picked]
    scale, captioned = towers.log_scale.exp(), config.batch
    # The short captions of the other sets are true of many captioned pictures ("a person running"):
    # captioned pairs are told apart from each other only, the others from everything.
    main = contrast(clips[:captioned], texts[:captioned], groups[:captioned], scale)
    if captioned == len(groups):
        return main.mean()
    others = contrast(clips, texts, groups, scale)[captioned:]
    return main.mean() + config.mixed * others.mean()


@torch.inference_mode()
def _background(towers: Towers, sets: list[Pictures]) -> Tensor:
    """(K, E) clips of training pictures of every set: what unrelated footage looks like."""
    rows = np.concatenate([pictures.rows[pictures.of("train"), 0] for pictures in sets])
    step = max(1, len(rows) // _BACKGROUND)
    return towers.eval().encode_video(torch.from_numpy(rows[::step][:_BACKGROUND]).float())


@torch.inference_mode()
def _captions(towers: Towers, words: Words, main: Pictures) -> Tensor:
    """(C, E) training captions, one a picture: what people ask for, to know hubs by."""
    vectors, chosen = _Captions(words), main.of("train")
    chosen = chosen[:: max(1, len(chosen) // _ASKED)][:_ASKED]
    queries = [vectors[main.captions[i][0]] for i in chosen]
    return towers.eval().encode_text(*pad(queries))
