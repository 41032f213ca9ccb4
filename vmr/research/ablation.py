"""Variants of the network trained alike and compared: accuracy over seeds, and cost.

    results = run(variants("vtc,encoder", preset), trial, seeds=3, out=Path("runs/ablation"))
    (out / "table.md").write_text(table(results))

Answers, on whatever data is given, what the paper leaves open: what the contrastive loss brings,
and whether it helps with words never seen in training; what asymmetric co-attention costs and gains
beside two-stream and joint attention, at equal parameters and at equal arithmetic; how accuracy,
time and memory go with the length of video and query; what a video's own rows are worth beside
resampled ones; and which extractor's features are better.
"""

import hashlib
import json
import math
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import get_args

from feature_extract.files import replacing, write_text
from vmr.model.encoder import EncoderKind
from vmr.model.network import ModelConfig
from vmr.research.contrast import ContrastConfig
from vmr.research.cost import Cost, measure, sizes
from vmr.research.data import MomentData, tokens
from vmr.research.evaluation import Spans, recall
from vmr.research.preset import Preset

SUITES = ("vtc", "encoder", "equal", "text", "rows", "features")
FIGURES = ("R@1,IoU=0.3", "R@1,IoU=0.5", "R@1,IoU=0.7", "R@5,IoU=0.5", "mIoU")
VIDEO_LENGTHS = (10, 32, 100, 320, 1000)  # clips
TEXT_LENGTHS = (3, 8, 20, 60)  # words
GROUPED = "group: "  # how figures of a group of queries are named
GROUP_FIGURE = 1, 0.5  # R@n and IoU that are reported by groups of queries
WORD_GROUPS = ((1, 8), (9, 20), (21, 1000))  # words of a query, both ends included
ROW_GROUPS = ((1, 50), (51, 200), (201, 1_000_000))  # rows of its video before resampling
AUTHORS = {"pooling": "sum", "copy": "fresh", "positives": "query"}  # VTC as their code has it
CLEAN = {"pooling": "mean", "copy": "exact", "positives": "moment"}
TYPICAL_WORDS = 12  # mean length of a query in ActivityNet Captions; TACoS: 9


@dataclass(frozen=True)
class Variant:
    """One line of the table."""

    name: str
    preset: Preset
    features: str = "A"
    "which extractor's rows it reads"


@dataclass(frozen=True)
class Result:
    """A variant, trained and scored once per seed."""

    variant: Variant
    scores: tuple[Mapping[str, float], ...]
    "per seed: figure -> percent, on the test split"
    cost: Cost

    def spread(self, figure: str) -> tuple[float, float]:
        """Mean and standard deviation over seeds."""
        values = [scores[figure] for scores in self.scores]
        return mean(values), stdev(values) if len(values) > 1 else 0.0


def variants(suites: str, preset: Preset) -> list[Variant]:
    """The variants of comma-separated suites; the preset itself comes first, once.

    Raises:
        ValueError: an unknown suite.
    """
    chosen = [name.strip() for name in suites.split(",") if name.strip()]
    unknown = set(chosen) - set(SUITES)
    if unknown or not chosen:
        raise ValueError(f"--suite {suites}: choose of {', '.join(SUITES)}")
    model = preset.model
    found = [Variant("as given", preset)]
    if "vtc" in chosen:
        found += [_with(preset, "without VTC", contrast=False), _other_contrast(preset)]
    if "encoder" in chosen:
        wide = model.feed_forward or model.width
        found += [
            _with(preset, "asymmetric, no FFN", encoder="asymmetric", feed_forward=0),
            _with(preset, "asymmetric + FFN", encoder="asymmetric", feed_forward=wide),
            _with(preset, "symmetric (two-stream)", encoder="two-stream", feed_forward=wide),
            _with(preset, "self-attention", encoder="joint", feed_forward=0),
        ]
    if "equal" in chosen:
        found += matched(preset)
    if "text" in chosen:
        data = replace(preset.data, read_words=False)
        found.append(Variant("no text", replace(preset, data=data)))
    if "rows" in chosen:
        own = preset.data.length == "windows"
        data = replace(preset.data, length="fixed" if own else "windows")
        name = "resampled rows" if own else "own rows, in windows"
        found.append(Variant(name, replace(preset, data=data)))
    if "features" in chosen:
        found.append(Variant("extractor B", preset, features="B"))
    first = found[0]
    same = [v for v in found[1:] if (v.preset, v.features) == (first.preset, first.features)]
    if same:  # the preset is one of the encoder suite's variants: say which
        found[0] = replace(first, name=f"{same[0].name} (as given)")
    return [variant for variant in found if variant not in same]


def _with(preset: Preset, name: str, **changes: object) -> Variant:
    return Variant(name, replace(preset, model=replace(preset.model, **changes)))  # type: ignore[arg-type]


def matched(preset: Preset) -> list[Variant]:
    """The other encoders with as many parameters, and with as much arithmetic, as the preset's.

    Only the width differs: it is the multiple of the heads that comes nearest. Where one width is
    nearest in both, it is one variant, trained once.
    """
    model = preset.model
    targets = sizes(model, words=TYPICAL_WORDS)
    found = []
    for kind in get_args(EncoderKind):
        if kind == model.encoder:
            continue
        widths = range(model.heads, 2 * model.width + 1, model.heads)
        others = [replace(model, encoder=kind, width=width) for width in widths]
        nearest: dict[ModelConfig, list[str]] = {}
        for place, what in enumerate(("parameters", "FLOPs")):
            count = partial(_count, place=place)
            above = bisect_left(others, targets[place], key=count)  # both grow with the width
            away = {
                abs(math.log(count(other) / targets[place])): other
                for other in others[max(0, above - 1) : above + 1]
            }
            nearest.setdefault(away[min(away)], []).append(what)
        for other, same in nearest.items():
            name = f"{kind}, equal {' and '.join(same)}"
            found.append(Variant(name, replace(preset, model=other)))
    return found


def _count(model: ModelConfig, place: int) -> int:
    """The parameters (place 0) or the arithmetic (1) of a network."""
    return sizes(model, words=TYPICAL_WORDS)[place]


def groups(data: MomentData, vocabulary: Collection[str]) -> dict[str, list[int]]:
    """Numbers of the queries by length of query and video, and by whether all words are known.

    A word is known if it is in `vocabulary`, that of the training queries. Empty groups are left
    out.
    """
    known = set(vocabulary)
    words = {f"{low} to {high} words": (low, high) for low, high in WORD_GROUPS}
    rows = {f"{low} to {high} rows": (low, high) for low, high in ROW_GROUPS}
    found: dict[str, list[int]] = {
        name: [] for name in (*words, *rows, "all words known", "a word never seen")
    }
    for number, query in enumerate(data.queries):
        said, length = tokens(query.sentence), data.lengths[query.video]
        names = [name for name, (low, high) in words.items() if low <= len(said) <= high]
        names += [name for name, (low, high) in rows.items() if low <= length <= high]
        names.append("all words known" if known.issuperset(said) else "a word never seen")
        for name in names:
            found[name].append(number)
    return {name: numbers for name, numbers in found.items() if numbers}


def by_group(
    found: Sequence[Spans],
    truths: Sequence[Spans],
    members: Mapping[str, list[int]],
    *,
    strict: bool,
) -> dict[str, float]:
    """R@n at the IoU of GROUP_FIGURE for every group, in percent, by a name that says its size."""
    rates = {}
    for name, numbers in members.items():
        part = recall([found[n] for n in numbers], [truths[n] for n in numbers], strict=strict)
        rates[f"{GROUPED}{name} ({len(numbers)})"] = part.rate(*GROUP_FIGURE)
    return rates


def _other_contrast(preset: Preset) -> Variant:
    """The contrast as the authors' code has it; where the preset has just that, the clean one."""
    authors: ContrastConfig = replace(preset.contrast, **AUTHORS)  # type: ignore[arg-type]
    if preset.contrast != authors:
        return Variant("VTC as in the authors' code", replace(preset, contrast=authors))
    clean: ContrastConfig = replace(preset.contrast, **CLEAN)  # type: ignore[arg-type]
    return Variant("VTC, clean", replace(preset, contrast=clean))


Trial = Callable[[Variant, int, Path], Mapping[str, float]]
"""Trains a variant with a seed in a folder, and returns its figures on the test split."""


def run(
    compared: Sequence[Variant],
    trial: Trial,
    *,
    seeds: int,
    out: Path,
    context: Mapping[str, object] | None = None,
) -> list[Result]:
    """Every variant with every seed; figures land in OUT/results.json as they come.

    A trial that is in that file already, with the same settings, is not repeated: a stopped suite
    goes on. `context` is what else shapes a trial, such as files and steps, as JSON can hold it.
    """
    out.mkdir(parents=True, exist_ok=True)
    store = out / "results.json"
    done = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    for seed in range(seeds):  # seed by seed: a suite that is stopped has whole tables for some
        for variant in compared:
            settings = {"features": variant.features, **variant.preset.to_json(), **(context or {})}
            key = f"{variant.name}, seed {seed}"
            if done.get(key, {}).get("settings") != settings:
                digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
                name = re.sub(r"[^a-z0-9]+", "-", variant.name.lower())
                folder = out / f"{name}-{seed}-{digest[:8]}"
                done[key] = {"settings": settings, "figures": dict(trial(variant, seed, folder))}
                write_text(store, json.dumps(done, indent=2) + "\n")
    return [
        Result(
            variant,
            tuple(done[f"{variant.name}, seed {seed}"]["figures"] for seed in range(seeds)),
            measure(variant.preset.model, words=TYPICAL_WORDS),
        )
        for variant in compared
    ]


@dataclass(frozen=True)
class Scaling:
    """How the cost of one encoder grows."""

    name: str
    by_clips: dict[int, Cost]
    "clips of the video -> cost, at TYPICAL_WORDS words"
    by_words: dict[int, Cost]
    "words of the query -> cost, at the preset's clips"


def scaling(compared: Iterable[Variant]) -> list[Scaling]:
    """Costs over VIDEO_LENGTHS and TEXT_LENGTHS of the first variant of every distinct network."""
    found = []
    networks: dict[ModelConfig, Variant] = {}
    for variant in compared:
        networks.setdefault(variant.preset.model, variant)
    for model, variant in networks.items():
        room = max(model.positions - model.clips, max(TEXT_LENGTHS) + 1)
        by_clips = {
            clips: measure(replace(model, clips=clips, positions=clips + room), words=TYPICAL_WORDS)
            for clips in VIDEO_LENGTHS
        }
        by_words = {
            words: measure(replace(model, positions=model.clips + room), words=words)
            for words in TEXT_LENGTHS
        }
        found.append(Scaling(variant.name, by_clips, by_words))
    return found


def table(results: Sequence[Result], grown: Sequence[Scaling] = ()) -> str:
    """Markdown: figures as mean ± standard deviation over seeds, cost, and scaling."""
    seeds = len(results[0].scores)
    heads = ["variant", *FIGURES, "parameters", "MFLOPs", "ms", "activations"]
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    for result in results:
        shape = "{:.2f} ± {:.2f}" if seeds > 1 else "{:.2f}"
        figures = [shape.format(*result.spread(figure)) for figure in FIGURES]
        lines.append([result.variant.name, *figures, *_cost_cells(result.cost)])
    text = (
        f"Percent, mean ± standard deviation over seeds ({seeds} of them). Cost of one query of "
        f"{TYPICAL_WORDS} words on one full-length video: forward pass; activations as kept for "
        "training.\n\n" + _markdown(lines)
    )
    return text + _group_table(results) + growth_table(grown) + "\n"


def growth_table(grown: Sequence[Scaling]) -> str:
    """Markdown: how arithmetic, time and kept activations go with video and query."""
    text = ""
    for title, name in (("clips", "by_clips"), ("words", "by_words")):
        lines = [[f"{title}, MFLOPs / ms / MiB", *(scale.name for scale in grown)]]
        lines.append(["---:"] * len(lines[0]))
        for length in getattr(grown[0], name) if grown else ():
            costs = [getattr(scale, name)[length] for scale in grown]
            cells = [
                f"{c.flops / 1e6:.0f} / {c.seconds * 1e3:.1f} / {c.training_bytes / 2**20:.1f}"
                for c in costs
            ]
            lines.append([str(length), *cells])
        text += "\n\n" + _markdown(lines) if grown else ""
    return text


def _group_table(results: Sequence[Result]) -> str:
    """R@1 of every variant by groups of queries; nothing where no groups were scored."""
    names = [name for name in results[0].scores[0] if name.startswith(GROUPED)]
    if not names:
        return ""
    n, threshold = GROUP_FIGURE
    shape = "{:.1f} ± {:.1f}" if len(results[0].scores) > 1 else "{:.1f}"
    lines = [[f"R@{n} IoU {threshold}", *(name.removeprefix(GROUPED) for name in names)]]
    lines.append(["---", *["---:"] * len(names)])
    for result in results:
        cells = [shape.format(*result.spread(name)) for name in names]
        lines.append([result.variant.name, *cells])
    return "\n\n" + _markdown(lines)


def _cost_cells(cost: Cost) -> list[str]:
    return [
        f"{cost.parameters:,}",
        f"{cost.flops / 1e6:.0f}",
        f"{cost.seconds * 1e3:.1f}",
        f"{cost.training_bytes / 2**20:.1f} MiB",
    ]


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def plot(results: Sequence[Result], grown: Sequence[Scaling], file: Path) -> None:
    """R@1 of every variant with its spread, and how arithmetic grows with the video."""
    from matplotlib.figure import Figure  # slow to import, and only plots need it

    figure = Figure(figsize=(11, 1.5 + 0.4 * max(6, len(results))), layout="constrained")
    bars, lines = figure.subplots(1, 2)
    names = [result.variant.name for result in results]
    figures = FIGURES[:3]
    for place, name in enumerate(figures):
        heights, spreads = zip(*(result.spread(name) for result in results), strict=True)
        where = [row + 0.25 * place for row in range(len(results))]
        bars.barh(where, heights, 0.22, xerr=spreads, label=name)
    bars.set_yticks([row + 0.25 for row in range(len(results))], names)
    bars.invert_yaxis()
    bars.set_xlabel("percent")
    bars.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)
    for scale in grown:
        costs = [cost.flops / 1e6 for cost in scale.by_clips.values()]
        lines.plot(list(scale.by_clips), costs, marker="o", label=scale.name)
    lines.set(xlabel="clips of the video", ylabel="MFLOPs a query", yscale="log")
    if grown:
        lines.legend()
    with replacing(file, sync=False) as draft:
        figure.savefig(draft, dpi=120)
