"""What a words-only text tower gains from the sentence encoder as its teacher.

    OMP_NUM_THREADS=1 python -m experiments.distilled --data DIR --cache DIR --annotations FILE ...

The student reads words alone, begins as the shipped text tower does without sentence vectors, and
is taught against the shipped clips: by the contrast with pictures, and by the vectors that the
shipped tower gives the same sentences when it reads their sentence vectors, too. Sentences without
pictures (`--annotations`, any files of docs/RESEARCH.md) are taught by the teacher alone. The arm
`--teacher 0` has the contrast only: what training words by themselves once more is worth. Printed
are development pictures as captions find them, hubs left on.
"""

import argparse
import copy
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from feature_extract.networks.device import memory_kept
from vmr.model.retrieval import RetrievalModel
from vmr.model.text import Words
from vmr.model.towers import Towers
from vmr.research.annotations import read_annotations
from vmr.training.assemble import CAPTIONED, reader_of
from vmr.training.captioned import Captions
from vmr.training.matching import contrast, text_to_picture
from vmr.training.pictures import Pictures, load_pictures
from vmr.training.trainer import Optimisation, Trainer

BATCH: Final = 256
RATE: Final = 5e-4
READ: Final = 512  # sentences that the teacher reads at once


def main() -> None:
    """Train, and print a line an epoch."""
    parser = argparse.ArgumentParser(prog="python -m experiments.distilled", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of captioned pictures")
    parser.add_argument("--cache", type=Path, required=True, help="folder of their rows")
    parser.add_argument("--annotations", nargs="*", default=[], help="files of further sentences")
    parser.add_argument("--epochs", type=int, default=3, help="times each caption is read")
    parser.add_argument("--teacher", type=float, default=2.0, help="weight of 1 - cosine with it")
    options = parser.parse_args()
    torch.manual_seed(0)
    with memory_kept():
        _train(options)


def _train(options: argparse.Namespace) -> None:
    sets = load_pictures(options.data, options.cache, views=1)
    captioned: dict[str, Pictures] = {name: sets[name] for name in CAPTIONED if name in sets}
    whole = reader_of(options.cache, captioned)
    further = _sentences(options.annotations)
    assert whole.meanings is not None
    whole.meanings.learn(further)
    teacher = RetrievalModel.load(moving=False).towers.eval()
    student = copy.deepcopy(teacher)
    student.text.sentence = None
    student.video.requires_grad_(False)
    words = Captions(Words.load())
    pairs = [
        (pictures, int(i), text)
        for pictures in captioned.values()
        for i in pictures.of("train")
        for text in pictures.captions[i]
    ]
    print(f"{len(pairs)} captions, {len(further)} further sentences", flush=True)
    told = _vectors(teacher, whole, [text for _, _, text in pairs] + further)
    steps = len(pairs) // BATCH
    optimisation = Optimisation(steps * options.epochs, RATE, 0.05, average=0.995)
    trainer = Trainer(student, optimisation, None, settings={}, rng=random.Random(0))
    report(0, student, words, captioned)
    rng = random.Random(0)
    for epoch in range(1, options.epochs + 1):
        for chosen in _batches(pairs, rng):
            more = rng.sample(further, min(BATCH, len(further))) if options.teacher else []
            trainer.step(_loss(student, words, chosen, more, told, options.teacher))
        report(epoch, trainer.averaged, words, captioned)


def _loss(
    student: Towers,
    words: Captions,
    chosen: Sequence[tuple[Pictures, int, str]],
    more: Sequence[str],
    told: Callable[[Sequence[str]], Tensor],
    weight: float,
) -> Tensor:
    """Contrast of the pairs, and how far all sentences are from what the teacher makes of them."""
    said = [text for _, _, text in chosen]
    student.train()
    texts = words.encoded(student, [words[text] for text in [*said, *more]])
    rows = torch.from_numpy(np.stack([p.rows[i, 0] for p, i, _ in chosen])).float()
    with torch.no_grad():
        student.video.eval()
        clips = student.encode_video(rows)
    groups = [p.groups[i] for p, i, _ in chosen]
    loss = contrast(clips, texts[: len(said)], groups, student.log_scale.exp().detach()).mean()
    if not weight:
        return loss
    away = 1 - F.cosine_similarity(texts, told([*said, *more]))
    return loss + weight * away.mean()


def _batches(
    pairs: Sequence[tuple[Pictures, int, str]], rng: random.Random
) -> list[list[tuple[Pictures, int, str]]]:
    order = rng.sample(list(pairs), len(pairs))
    return [order[i : i + BATCH] for i in range(0, len(order) - BATCH + 1, BATCH)]


@torch.inference_mode()
def _vectors(
    towers: Towers, captions: Captions, texts: Sequence[str]
) -> Callable[[Sequence[str]], Tensor]:
    """What the teacher makes of sentences, computed once: texts -> (N, E)."""
    texts = list(dict.fromkeys(texts))
    places = {text: place for place, text in enumerate(texts)}
    parts = [
        captions.encoded(towers, [captions[text] for text in texts[i : i + READ]]).half()
        for i in range(0, len(texts), READ)
    ]
    vectors = torch.cat(parts).numpy()
    return lambda said: torch.from_numpy(vectors[[places[text] for text in said]]).float()


def _sentences(files: Sequence[str]) -> list[str]:
    """Every sentence of annotation files once."""
    return list(
        dict.fromkeys(
            query.sentence.strip() for file in files for query in read_annotations(file).queries
        )
    )


def report(epoch: int, towers: torch.nn.Module, words: Captions, sets: dict[str, Pictures]) -> None:
    """A line: how captions find development pictures."""
    assert isinstance(towers, Towers)
    found = [f"{n} {text_to_picture(towers, words, p, 'dev')}" for n, p in sets.items()]
    print(f"epoch {epoch}: {'; '.join(found)}", flush=True)


if __name__ == "__main__":
    main()
