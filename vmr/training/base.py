"""`python -m vmr train base`: the shared space of clips and sentences, from captioned stills.

    train_base(data=Path("data"), cache=Path("cache"), out=Path("assets/weights/base"))

Symmetric contrast (InfoNCE) between the rows of pictures and their captions: all captions of a
picture, and of pictures that show the same action, are positives. The text side starts from frozen
word vectors and learns maps of them, so every word that has a vector can be asked for; words that
captions use often get a vector of their own beside it. Weights are averaged over steps, and the
epoch is chosen on the development split. The calibration is fitted on timelines composed of
development pictures. A run that was stopped goes on from the last epoch that it finished, or, in
its second stage, from the last saved step; `cache` holds the state until the weights are written.
Under `torchrun` each process has a share of every batch, of which all see the loss as a whole, on
processors; the first one alone writes.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from feature_extract.networks.appearance import BLOCKS, load_network
from feature_extract.networks.device import memory_kept
from vmr.model.retrieval import RetrievalModel
from vmr.model.sentence import WIDTH
from vmr.model.text import Query
from vmr.model.towers import Towers, TowersConfig
from vmr.research.processes import ALONE, Processes, processes
from vmr.training.assemble import (
    CAPTIONED,
    MAIN,
    assemble,
    captioned,
    reader_of,
    training_captions,
    with_movements,
)
from vmr.training.calibration import TIMELINES, fit_calibration, trials
from vmr.training.captioned import Captions
from vmr.training.concepts import class_captions, class_names
from vmr.training.matching import contrast, text_to_picture
from vmr.training.movements import Bank, moved_rows
from vmr.training.people import people_pictures
from vmr.training.pictures import Pictures, load_pictures
from vmr.training.second_stage import SecondStageTraining, train_second_stage
from vmr.training.trainer import Optimisation, Trainer, run_record

Pair = tuple[Pictures, int, str]
"""A set, a picture of it by its place, and one of its captions."""
ACTIONS: Final = 250
"""Pictures of actions that the calibration has beside a thousand captioned ones: the share of
composed films (benchmarks/composed.py)."""


@dataclass(frozen=True)
class BaseConfig:
    """Settings of the run. They are stored in the weights' config.json; docs/EXPERIMENTS.md ("The
    base space of clips and sentences") says what was tried beside them."""

    epochs: int = 4
    "Times that every training caption is seen."
    batch: int = 256
    "Captioned pictures in a batch."
    extra: dict[str, int] = field(default_factory=lambda: {"har15": 48, "gym": 24, "people": 16})
    "Pictures of each further set, by name, added to a batch."
    classes: int = 32
    "ImageNet classes in a batch, each as a pair of its place in the space and its name."
    often: int = 10
    "Training captions that a word must be in to get a vector of its own beside the frozen one."
    mixed: float = 0.35
    "Weight of the loss of the further sets' pairs; that of captioned pairs has 1."
    learning_rate: float = 1.5e-3
    "The highest of the one-cycle schedule."
    weight_decay: float = 0.05
    "AdamW's decay of weights with two or more dimensions."
    word_dropout: float = 0.1
    "Chance of each word of a caption to be left out, 0..1."
    sentences: bool = True
    "Whether the sentence encoder's vectors are read beside the words."
    sentence_dropout: float = 0.15
    "Chance of a caption to be read word by word, without its sentence vector, 0..1."
    average: float = 0.995
    "Decay of the exponential average of the weights, whose best epoch is kept."
    views: int = 2
    "Rows of each captioned picture: one of it as it is, any others of augmented views."
    moved: dict[str, int] = field(default_factory=lambda: {"train": 220, "dev": 80})
    "By split, moved windows of each movement that the motion network looks at (movements.py)."
    timelines: int = TIMELINES
    "Composed timelines that the calibration is fitted on."
    seed: int = 0
    "Of the first weights and of what is drawn."
    second_stage: SecondStageTraining = SecondStageTraining()  # noqa: RUF009 - frozen
    towers: TowersConfig = TowersConfig(blocks=dict(BLOCKS))  # noqa: RUF009 - frozen


@memory_kept()
def train_base(
    data: Path,
    cache: Path,
    out: Path,
    config: BaseConfig = BaseConfig(),
    *,
    space: Path | None = None,
    movements: Path | None = None,
) -> None:
    """Train the shared space, then the second stage on it, calibrate and write the weights.

    The space alone is written first: `space`, a folder of weights, takes one up again from there,
    also when the motion network has been trained anew since.
    `movements` are weights whose movements are kept: they depend on the motion network alone.
    The second stage is kept when it is right more often on development timelines than the curve.
    """
    with processes("cpu") as place, place.told_once():
        _train_base(data, cache, out, config, space, movements, place)


def _train_base(
    data: Path,
    cache: Path,
    out: Path,
    config: BaseConfig,
    space: Path | None,
    movements: Path | None,
    place: Processes,
) -> None:
    with place.first():
        sets = load_pictures(data, cache, views=config.views)
        people = people_pictures(data, cache)
        if people.names:
            sets["people"] = people
        moved = {
            split: moved_rows(data, cache, sets[MAIN], split, each=each)
            for split, each in config.moved.items()
        }
    torch.manual_seed(config.seed)  # what is cached by now no longer matters
    banks = {split: rows.bank for split, rows in moved.items()}
    sizes = {name: pictures.counts for name, pictures in sets.items()}
    record = run_record("train base", asdict(config), sizes)
    known = None if movements is None else RetrievalModel.load(movements).movements
    if movements is not None:
        record["movements"] = _record_of(movements)
    states = cache / "base-space.pt", cache / "base-second-stage.pt"
    with place.first():
        captions = reader_of(cache, sets, config.sentences)
    if space is None:
        towers = _train_towers(captions, dict(sets), config, states[0], place)
        model = assemble(towers, captions, sets, moved["train"], movements=known)
    else:
        kept = RetrievalModel.load(space, moving=False)
        record["space"] = {"weights": kept.fingerprint, "training": _record_of(space)}
        model = with_movements(kept.towers, kept.names, captions, sets, moved["train"], known)
    calibrate(model, sets, banks["dev"], config.timelines)
    share = partial(_share_right, model, sets[MAIN], banks["dev"], config)
    if not place.rank:
        model.save(out, record)
        curve = share()
    space_mix, space_calibration = model.mix, model.calibration
    model.second_stage = train_second_stage(
        model, sets, MAIN, banks, config.second_stage, states[1], place
    )
    if place.rank:
        return
    calibrate(model, sets, banks["dev"], config.timelines)
    read = share()
    print(f"right on dev timelines: {read:.1f} % with the second stage, {curve:.1f} % without")
    if read <= curve:  # it has to earn its time
        model.second_stage, model.mix, model.calibration = None, space_mix, space_calibration
    model.save(out, record)
    for state in states:
        state.unlink(missing_ok=True)
    print(f"{out}: {model.mix} {model.calibration}")


def _record_of(weights: Path) -> Any:
    """How the weights in a folder were made, by their config.json; None where it does not say."""
    return json.loads((weights / "config.json").read_text("utf-8")).get("training")


def calibrate(
    model: RetrievalModel,
    sets: dict[str, Pictures],
    bank: Bank,
    timelines: int = TIMELINES,
) -> None:
    """Fit strength and verdict on timelines of what videos hold: captioned pictures of the
    development splits, and ACTIONS pictures of people who do something, asked for in few words."""
    pictures, *others = captioned(sets)
    for more in others:
        pictures = pictures.and_some(more, "dev", len(more.names))
    if "har15" in sets:
        pictures = pictures.and_some(sets["har15"], "dev", ACTIONS)
    fit_calibration(model, pictures, "dev", bank, timelines=timelines)


def _share_right(
    model: RetrievalModel, pictures: Pictures, bank: Bank, config: BaseConfig
) -> float:
    """R@1 at IoU .5 on dev timelines that the calibration has not seen, in %."""
    asked = trials(model, pictures, "dev", bank, seed=2, timelines=config.timelines, kind=None)
    return 100 * float(np.mean([trial.right for trial in asked if trial.present]))


def _train_towers(
    captions: Captions,
    sets: dict[str, Pictures],
    config: BaseConfig,
    state: Path,
    place: Processes,
) -> Towers:
    """The first stage: towers of the epoch that finds most development pictures."""
    main = captioned(sets)
    others = {name: pictures for name, pictures in sets.items() if name not in CAPTIONED}
    times = captions.counts(text for pictures in main for text in training_captions(pictures))
    run = Run(config, new_towers(config, times, list(sets.values())), main, state, place)
    while run.epoch < config.epochs:
        train_epoch(run, captions, others)
        recall = text_to_picture(run.averaged, captions, sets[MAIN], "dev")
        print(f"epoch {run.epoch}/{config.epochs}: dev {recall}", flush=True)
        run.trainer.keep_if_best(sum((recall.at_1, recall.at_5, recall.at_10)))
        run.trainer.save_state()
    return cast(Towers, run.trainer.best())


class Run:
    """The training of towers on captions; goes on from `state` where a run was stopped."""

    def __init__(
        self,
        config: BaseConfig,
        towers: Towers,
        captioned: Sequence[Pictures],
        state: Path | None = None,
        place: Processes = ALONE,
    ) -> None:
        """Begin, or go on.

        Raises:
            ValueError: fewer captions than a batch holds.
            ResumeError: `state` is damaged, or of a run of other settings.
        """
        self.config, self.towers, self.place = config, towers, place
        self.rng = random.Random(config.seed)
        self.captions = [
            (pictures, int(i), text)
            for pictures in captioned
            for i in pictures.of("train")
            for text in pictures.captions[i]
        ]
        self._steps_an_epoch = len(self.captions) // config.batch
        if not self._steps_an_epoch:
            raise ValueError(f"{len(self.captions)} captions; a batch needs {config.batch}")
        settings = asdict(config) | {"captions": len(self.captions)}
        optimisation = Optimisation(
            self._steps_an_epoch * config.epochs,
            config.learning_rate,
            config.weight_decay,
            average=config.average,
        )
        self.trainer = Trainer(
            towers, optimisation, state, settings=settings, rng=self.rng, place=place
        )

    @property
    def epoch(self) -> int:
        """Epochs that are done."""
        return self.trainer.done // self._steps_an_epoch

    @property
    def averaged(self) -> Towers:
        """The towers with the averaged weights, which the product gets."""
        return cast(Towers, self.trainer.averaged)


def new_towers(config: BaseConfig, times: Counter[str], sets: list[Pictures]) -> Towers:
    """New towers that know the mean row of the training pictures, what the classifier usually sees
    in them, and which words their captions use often."""
    known = load_network()._fc
    often = sorted(word for word, count in times.items() if word and count >= config.often)
    towers = Towers(
        replace(
            config.towers,
            classes=known.out_features,
            learned=" ".join(often),
            sentence_width=WIDTH if config.sentences else 0,
        )
    )
    rows = np.concatenate([pictures.rows[pictures.of("train"), 0] for pictures in sets])
    widths = list(config.towers.blocks.values())
    columns = torch.split(torch.from_numpy(rows).float(), widths, dim=-1)
    unit = [F.normalize(block, dim=-1) for block in columns]
    towers.video.mean.copy_(torch.cat(unit, dim=-1).mean(0))
    classifier = towers.video.classifier
    assert classifier is not None
    classifier.weight.copy_(known.weight.detach())
    classifier.bias.copy_(known.bias.detach())
    classifier.prior.copy_(classifier.probs(torch.from_numpy(rows).float()).mean(0))
    return towers


def train_epoch(run: Run, captions: Captions, others: dict[str, Pictures]) -> None:
    """Train once over the captions of the captioned training pictures.

    Args:
        others: further sets, whose pictures are drawn as `BaseConfig.extra` says.
    """
    for picked in pairs(run.captions, others, run.config, run.rng):
        towers = run.towers.train()
        run.trainer.step(pair_loss(towers, captions, picked, run.config, run.rng, run.place))


def pairs(
    captions: list[Pair],
    others: dict[str, Pictures],
    config: BaseConfig,
    rng: random.Random,
) -> Iterator[list[Pair]]:
    """All captions in batches of pairs; each batch ends with pairs that are drawn
    of the further sets. Captions that do not fill a batch are left out."""
    choices = {name: pictures.of("train").tolist() for name, pictures in others.items()}
    for batch in _batches(captions, config.batch, rng):
        picked = list(batch)
        for name, pictures in others.items():
            extra = rng.choices(choices[name], k=config.extra[name])
            picked += [(pictures, i, rng.choice(pictures.captions[i])) for i in extra]
        yield picked


def _batches(captions: list[Pair], size: int, rng: random.Random) -> Iterator[list[Pair]]:
    """Captions in batches of like length, so that little is padded, in random order."""
    by_length = sorted(captions, key=lambda pair: pair[2].count(" ") + rng.uniform(-1.5, 1.5))
    batches = [by_length[i : i + size] for i in range(0, len(captions) - size + 1, size)]
    rng.shuffle(batches)
    yield from batches


def pair_loss(
    towers: Towers,
    captions: Captions,
    picked: list[Pair],
    config: BaseConfig,
    rng: random.Random,
    place: Processes = ALONE,
) -> Tensor:
    """The loss of a batch of pairs, a scalar; names of classes are added to it as further pairs.

    Args:
        rng: in the same state in every process.
        place: whose processes share the work; the loss is of all pairs in each of them.
    """
    rows = np.stack([p.rows[i, rng.randrange(p.rows.shape[1])] for p, i, _ in picked])
    named = rng.sample(list(enumerate(class_captions())), k=config.classes)
    queries = [_shortened(captions[text], config.word_dropout, rng) for _, _, text in picked]
    queries += [captions[rng.choice(said)] for _, said in named]
    seen = towers.encode_video(torch.from_numpy(rows[place.part]).float())
    clips = place.gathered(seen, len(rows))
    if named:
        alone = towers.video.of_classes(torch.tensor([index for index, _ in named]))
        clips = torch.cat([clips, alone])
    texts = captions.encoded(towers, queries, config.sentence_dropout, place)
    groups = [pictures.groups[i] for pictures, i, _ in picked]
    groups += [class_names()[index] for index, _ in named]
    scale, captioned = towers.log_scale.exp(), config.batch
    # The short captions of the other sets are true of many captioned pictures ("a person running"):
    # captioned pairs are told apart from each other only, the others from everything.
    main = contrast(clips[:captioned], texts[:captioned], groups[:captioned], scale)
    if captioned == len(groups):
        return main.mean()
    others = contrast(clips, texts, groups, scale)[captioned:]
    return main.mean() + config.mixed * others.mean()


def _shortened(query: Query, dropout: float, rng: random.Random) -> Query:
    """A query without the words that were dropped at random; as it is if all would be."""
    kept = [i for i in range(len(query.words)) if rng.random() >= dropout]
    if not kept:
        return query
    return replace(query, words=tuple(query.words[i] for i in kept), vectors=query.vectors[kept])
