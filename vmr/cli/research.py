"""`python -m vmr train | evaluate | ablate`: the research side of the command line.

`add_parsers` is called by vmr/__main__.py; networks are imported by the commands themselves, so
that `--help` stays fast. A command returns its exit code and raises ValueError (or a subclass) for
what the user can put right, in one line.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmr.research.data import MomentData
    from vmr.research.evaluation import Scores
    from vmr.research.preset import Preset

EXIT_INTERRUPTED = 130  # as a shell has it for Ctrl-C


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register `train`, `evaluate` and `ablate`; each sets `run` to its function."""
    _add_train(subparsers.add_parser("train", help="train the paper's network on annotated videos"))
    _add_evaluate(
        subparsers.add_parser("evaluate", help="score a trained run, or anybody's predictions")
    )
    _add_ablate(
        subparsers.add_parser("ablate", help="compare variants of the network over several seeds")
    )


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", default="tacos", help="name, or a JSON file (default: tacos)")
    _add_data(parser, required=False)
    parser.add_argument(
        "--validation", metavar="FILE", help="annotations that pick the best weights"
    )
    parser.add_argument("--out", type=Path, help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--steps", type=_positive, help="stop after so many steps")
    parser.set_defaults(run=_train)
    others = parser.add_subparsers(title="instead of a preset")
    base = others.add_parser("base", help="the product's space of clips and sentences")
    base.add_argument("--data", type=Path, required=True, help="folder of captioned pictures")
    base.add_argument("--cache", type=Path, required=True, help="folder for their features")
    base.add_argument("--out", type=Path, required=True, help="folder of the weights")
    base.add_argument("--space", type=Path, help="weights whose shared space is kept")
    base.add_argument(
        "--movements",
        type=Path,
        help="weights whose movements are kept, of the same motion network",
    )
    base.set_defaults(run=_train_base)
    small = others.add_parser("c3d-small", help="the product's motion network")
    small.add_argument("--data", type=Path, required=True, help="folder of captioned pictures")
    small.add_argument("--cache", type=Path, required=True, help="folder for their features")
    small.add_argument("--out", type=Path, required=True, help="folder of the weights")
    small.add_argument("--device", default="auto", help="cpu, cuda, or auto")
    small.add_argument("--pictures", type=_positive, help="of stage one (default: as shipped)")
    small.add_argument("--clips", type=_positive, help="of stage two (default: as shipped)")
    small.set_defaults(run=_train_c3d)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    _add_data(parser, required=False)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--predictions", type=Path, help="JSON lines: query, video, moments")
    source.add_argument("--run", dest="checkpoint", type=Path, help="folder or file of a run")
    parser.add_argument(
        "--iou", choices=["strict", "inclusive"], help="IoU > m or >= m (default: the dataset's)"
    )
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.set_defaults(run=_evaluate)


def _add_ablate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--suite", default="vtc,encoder", help="of vtc, encoder, equal, text, rows, features"
    )
    parser.add_argument("--preset", default="tacos", help="name, or a JSON file (default: tacos)")
    _add_data(parser)
    parser.add_argument(
        "--validation", metavar="FILE", required=True, help="picks the best weights"
    )
    parser.add_argument("--test", metavar="FILE", required=True, help="annotations to report")
    parser.add_argument("--other-features", type=Path, help="extractor B, for the features suite")
    parser.add_argument("--seeds", type=_positive, default=3)
    parser.add_argument("--steps", type=_positive, help="of training, for each variant and seed")
    parser.add_argument("--out", type=Path, required=True, help="folder of table, plot and runs")
    parser.set_defaults(run=_ablate)


def _add_data(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    parser.add_argument("--annotations", required=required, metavar="FILE")
    parser.add_argument("--features", type=Path, required=required, help="HDF5 file or folder")
    parser.add_argument(
        "--words", type=Path, help="GloVe file (default: the packaged 50-d vectors)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.SETTING=VALUE", dest="changes"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def _train(arguments: argparse.Namespace) -> int:
    from vmr.research.annotations import read_annotations
    from vmr.research.data import build_vocabulary
    from vmr.research.preset import load_preset
    from vmr.research.run import fit_vocabulary
    from vmr.research.train import train

    _need(arguments, "annotations", "features", "out")
    preset = load_preset(arguments.preset, arguments.changes)
    annotations = read_annotations(arguments.annotations, expect=preset.dataset or None)
    vocabulary = build_vocabulary(annotations.queries)
    preset = fit_vocabulary(preset, vocabulary)
    training = _open_data(arguments, arguments.annotations, preset, vocabulary)
    validation = None
    if arguments.validation:
        validation = _open_data(arguments, arguments.validation, preset, vocabulary)
    else:
        print("no --validation: the last weights are kept, none are called best")
    try:
        best = train(
            preset,
            training,
            validation,
            vocabulary,
            arguments.out,
            device=arguments.device,
            resume=arguments.resume,
            steps=arguments.steps,
        )
    except KeyboardInterrupt:
        print(f"stopped; everything is saved: go on with --resume --out {arguments.out}")
        return EXIT_INTERRUPTED
    print(best)
    return 0


def _train_c3d(arguments: argparse.Namespace) -> int:
    from vmr.training.c3d import C3DTraining, train_c3d

    config = C3DTraining()
    config = replace(
        config,
        pictures=arguments.pictures or config.pictures,
        clips=arguments.clips or config.clips,
    )
    train_c3d(arguments.data, arguments.cache, arguments.out, config, device=arguments.device)
    return 0


def _train_base(arguments: argparse.Namespace) -> int:
    from vmr.training.base import train_base

    data, cache, out = arguments.data, arguments.cache, arguments.out
    train_base(data, cache, out, space=arguments.space, movements=arguments.movements)
    return 0


def _need(arguments: argparse.Namespace, *names: str) -> None:
    missing = [f"--{name}" for name in names if getattr(arguments, name) is None]
    if missing:
        raise ValueError(f"{', '.join(missing)} is needed")


def _open_data(
    arguments: argparse.Namespace,
    file: str,
    preset: "Preset",
    vocabulary: tuple[str, ...],
    features: Path | None = None,
) -> "MomentData":
    """One split, with a line on what was left out of it."""
    from vmr.model.text import Words
    from vmr.research.annotations import read_annotations
    from vmr.research.data import MomentData
    from vmr.research.rows import open_rows

    annotations = read_annotations(file, expect=preset.dataset or None)
    source, words = open_rows(features or arguments.features), Words.load(arguments.words)
    data = MomentData(annotations, source, words, preset.model, preset.data, vocabulary)
    left_out = "; ".join(f"{reason}: {count}" for reason, count in data.dropped.items())
    report = f"{file}: {len(data.queries)} queries; left out or repaired: {left_out or 'nothing'}"
    print(report, file=sys.stderr if getattr(arguments, "json", False) else sys.stdout)
    return data


def _evaluate(arguments: argparse.Namespace) -> int:
    from vmr.research.annotations import read_annotations
    from vmr.research.evaluation import read_predictions, score

    _need(arguments, "annotations")
    strict = None if arguments.iou is None else arguments.iou == "strict"
    if arguments.predictions:
        annotations = read_annotations(arguments.annotations)
        found, unanswered = read_predictions(arguments.predictions, annotations)
        if unanswered and not arguments.json:
            print(f"{unanswered} queries have no prediction and count as misses")
        scores = score(annotations.dataset, annotations.queries, found, strict=strict)
    else:
        scores = _evaluate_run(arguments, strict)
    if arguments.json:
        counts = {"queries": scores.recall.queries, "strict": scores.recall.strict}
        print(json.dumps({**counts, **scores.record()}))
    else:
        print(scores.table())
    return 0


def _evaluate_run(arguments: argparse.Namespace, strict: bool | None) -> "Scores":
    from vmr.research.preset import change
    from vmr.research.processes import processes
    from vmr.research.run import load_run
    from vmr.research.train import evaluate

    _need(arguments, "features")
    model, preset, vocabulary = load_run(arguments.checkpoint)
    preset = change(preset, arguments.changes)
    data = _open_data(arguments, arguments.annotations, preset, vocabulary)
    with processes(arguments.device) as place:
        return evaluate(model.to(place.device), data, preset, place.device, strict=strict)


def _ablate(arguments: argparse.Namespace) -> int:
    import numpy as np

    from feature_extract.files import write_text
    from vmr.research.ablation import (
        Variant,
        by_group,
        groups,
        plot,
        run,
        scaling,
        table,
        variants,
    )
    from vmr.research.annotations import read_annotations
    from vmr.research.data import DataConfig, MomentData, build_vocabulary
    from vmr.research.evaluation import score
    from vmr.research.preset import load_preset
    from vmr.research.processes import processes
    from vmr.research.run import LAST, fit_vocabulary, load_run
    from vmr.research.train import answers, train

    preset = load_preset(arguments.preset, arguments.changes)
    vocabulary = build_vocabulary(read_annotations(arguments.annotations).queries)
    preset = fit_vocabulary(preset, vocabulary)
    compared = variants(arguments.suite, preset)
    if arguments.other_features is None and any(v.features == "B" for v in compared):
        raise ValueError("--suite features compares two extractors: give --other-features too")
    features = {"A": arguments.features, "B": arguments.other_features}

    files = arguments.annotations, arguments.validation, arguments.test
    # No suite changes what a video looks like to the network, so variants share what was read.
    opened: dict[tuple[str, DataConfig], list[MomentData]] = {}

    def trial(variant: Variant, seed: int, folder: Path) -> dict[str, float]:
        print(f"{variant.name}, seed {seed}")
        seeded = replace(variant.preset, train=replace(variant.preset.train, seed=seed))
        key = variant.features, seeded.data
        if key not in opened:
            rows = features[variant.features]
            opened[key] = [_open_data(arguments, file, seeded, vocabulary, rows) for file in files]
        training, validation, test = opened[key]
        best = train(
            seeded,
            training,
            validation,
            vocabulary,
            folder,
            device=arguments.device,
            resume=(folder / LAST).exists(),
            steps=arguments.steps,
        )
        model, _, _ = load_run(best)
        with processes(arguments.device) as place:
            found = answers(model.to(place.device), test, seeded, place.device)
        scores = score(seeded.dataset, test.queries, found)
        parts = by_group(
            [moments[:, :2] for moments in found],
            [np.array(query.spans) for query in test.queries],
            groups(test, vocabulary),
            strict=scores.recall.strict,
        )
        return {**scores.record(), **parts}

    names = "annotations", "validation", "test", "features", "other_features", "words", "steps"
    context = {name: str(getattr(arguments, name)) for name in names}
    results = run(compared, trial, seeds=arguments.seeds, out=arguments.out, context=context)
    grown = scaling(compared)
    text = table(results, grown)
    write_text(arguments.out / "table.md", text)
    plot(results, grown, arguments.out / "plot.png")
    print(text)
    return 0
