"""How good the shipped weights are on captioned pictures that they were not trained on.

    python -m benchmarks.accuracy --data DIR --cache DIR --split test [--plot FILE.png]

Retrieval: every caption of the split over all pictures of the split (Flickr8k: 5,000 over 1,000;
COCO: 1,091 over 218 of the test split; ADE20K), also with questions read word by word.
Timelines: 5 to 30 shots composed in feature space (vmr/training/compose.py), searched for captions
of what is shown and of what is not; then also for movements and orders (vmr/training/questions.py),
by the similarity curve of pictures alone, by the curve that knows movements, and by the second
stage, where there is one. Actions: held-out pictures of 15 actions (har15), and of 7 in held-out
clips of people seen from afar (vmr/training/people.py), each named by the nearest sentence.
"""

import argparse
import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vmr.model.retrieval import RetrievalModel
from vmr.training.assemble import CAPTIONED
from vmr.training.calibration import Trial, trials
from vmr.training.matching import Recall
from vmr.training.movements import Bank, moved_rows
from vmr.training.people import DOING, SAME_AS, people_pictures
from vmr.training.pictures import ACTIONS, Pictures, load_pictures
from vmr.training.questions import KINDS


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of captioned pictures")
    parser.add_argument("--cache", type=Path, required=True, help="folder for their features")
    parser.add_argument("--weights", type=Path, help="default: the shipped ones")
    parser.add_argument("--split", choices=["dev", "test"], default="dev")
    parser.add_argument(
        "--plot", type=Path, help="draw strength against the share of right answers"
    )
    options = parser.parse_args()
    model = RetrievalModel.load(options.weights)
    sets = load_pictures(options.data, options.cache, views=1)
    words = RetrievalModel.load(options.weights, sentences=False)
    for name in (name for name in CAPTIONED if name in sets):
        recall = text_to_picture(model, sets[name], options.split)
        alone = text_to_picture(words, sets[name], options.split)
        print(f"{name} {options.split}, text -> picture: {recall}; word by word: {alone}")
    moved = moved_rows(options.data, options.cache, sets["flickr8k"], options.split)
    asked = partial(trials, pictures=sets["flickr8k"], split=options.split)
    strength, right = timelines(model, list(asked(model, bank=moved.bank, seed=1)))
    kinds(
        {
            name: list(asked(arm, bank=bank, seed=3, kind=None))
            for name, arm, bank in arms(model, moved.bank)
        }
    )
    if options.plot:
        plot(strength, right, options.plot)
    if "har15" in sets and options.split == "test":
        print(f"har15 test, 15 actions: {actions(model, sets['har15']):.1f} % right")
    people = people_pictures(options.data, options.cache)
    if people.names:
        print(f"filmed people, held out, 7 actions: {filmed(model, people):.1f} % right")


def text_to_picture(model: RetrievalModel, pictures: Pictures, split: str) -> Recall:
    """As base_training.text_to_picture, with the vectors that the product searches."""
    chosen = pictures.of(split)
    clips = model.encode_clips(pictures.rows[chosen, 0])
    ranks = []
    for place, i in enumerate(chosen):
        for caption in pictures.captions[i]:
            similarity = clips @ model.encode_query(model.query(caption))
            ranks.append(int((similarity > similarity[place]).sum()))
    return Recall(*[100 * float(np.mean(np.array(ranks) < n)) for n in (1, 5, 10)])


def arms(model: RetrievalModel, bank: Bank) -> Iterator[tuple[str, RetrievalModel, Bank]]:
    """The model and what it sees of movements, with less and less taken away."""
    curve = copy.copy(model)
    curve.second_stage = None
    yield "curve, pictures alone", curve, {kind: 0 * rows for kind, rows in bank.items()}
    yield "curve", curve, bank
    if model.second_stage is not None:
        yield "second stage", model, bank


def kinds(done: dict[str, list[Trial]]) -> None:
    """A table of right first moments by what is asked for, a column an arm."""
    print("\n| R@1 at IoU .5, % | questions | " + " | ".join(done) + " |")
    print("|---|---:|" + "---:|" * len(done))
    for kind in (*KINDS, "all"):
        asked = {
            arm: [one.right for one in ones if one.present and kind in (one.kind, "all")]
            for arm, ones in done.items()
        }
        figures = " | ".join(f"{100 * np.mean(right):.1f}" for right in asked.values())
        print(f"| {kind} | {len(next(iter(asked.values())))} | {figures} |")


def timelines(
    model: RetrievalModel, done: list[Trial]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """In-video localisation, the verdict, and whether strength means what it says: of every answer,
    its strength and whether it is right."""
    present = [trial for trial in done if trial.present]
    right = 100 * np.mean([trial.right for trial in present])
    print(f"timelines: R@1 at IoU .5 {right:.1f} % of {len(present)} present queries")
    strength = np.array([model.calibration.strength(one.score, one.rows) for one in done])
    verdicts = [model.calibration.verdict(one.score, one.rows) for one in done]
    none = np.array([verdict == "none" for verdict in verdicts])
    is_present = np.array([trial.present for trial in done])
    print(f"called none: {100 * none[~is_present].mean():.1f} % of absent, "
          f"{100 * none[is_present].mean():.1f} % of present queries")  # fmt: skip
    hit = np.array([trial.right for trial in done])
    print("| strength | answers | right |\n|---|---|---|")
    for low in np.arange(0, 1, 0.2):
        inside = (strength >= low) & (strength < low + 0.2)
        if inside.any():
            share = 100 * hit[inside].mean()
            print(f"| {low:.1f} to {low + 0.2:.1f} | {inside.sum()} | {share:.0f} % |")
    return strength, hit


def plot(strength: NDArray[np.float64], right: NDArray[np.bool_], file: Path) -> None:
    """The share of right answers by strength, tenths of the range, with two standard errors."""
    from matplotlib.figure import Figure  # slow to import, and only the plot needs it

    tenth = np.minimum((10 * strength).astype(int), 9)
    filled = [k for k in range(10) if (tenth == k).any()]
    told = [strength[tenth == k].mean() for k in filled]
    share = np.array([right[tenth == k].mean() for k in filled])
    count = np.array([(tenth == k).sum() for k in filled])
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="strength is the chance")
    prior_bias = 2 * np.sqrt(share * (1 - share) / count)
    axes.errorbar(told, share, yerr=prior_bias, marker="o", capsize=3, label="answers, by tenths")
    for x, y, n in zip(told, share, count, strict=True):
        axes.annotate(str(n), (x, y), textcoords="offset points", xytext=(8, -12), color="0.4")
    axes.set(xlabel="strength that is shown", ylabel="share that is right (IoU .5)")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left", frameon=False)
    figure.savefig(file, dpi=110)


def filmed(model: RetrievalModel, people: Pictures) -> float:
    """Share of pictures of held-out clips of people, a street without a fight left out, whose
    nearest sentence, of one an action, is their own; in %."""
    doing = {SAME_AS.get(name, name): said[0] for name, said in DOING.items() if name != "no_fight"}
    queries = [model.query(f"two people {said}") for said in doing.values()]
    sentences = np.stack([model.encode_query(query) for query in queries])  # (7, E)
    chosen = [i for i in people.of("held") if people.groups[i] in doing]
    found = (model.encode_clips(people.rows[chosen, 0]) @ sentences.T).argmax(1)
    truth = np.array([list(doing).index(people.groups[i]) for i in chosen])
    return float(100 * (found == truth).mean())


def actions(model: RetrievalModel, pictures: Pictures, split: str = "test") -> float:
    """Share of held-out pictures whose nearest sentence, of one an action, is their own; in %."""
    names = list(ACTIONS)
    queries = [model.query(f"a person {ACTIONS[name][0]}") for name in names]
    sentences = np.stack([model.encode_query(query) for query in queries])  # (15, E)
    held_out = pictures.of(split)
    clips = model.encode_clips(pictures.rows[held_out, 0])
    found = (clips @ sentences.T).argmax(1)
    truth = np.array([names.index(pictures.groups[i]) for i in held_out])
    return float(100 * (found == truth).mean())


if __name__ == "__main__":
    main()
