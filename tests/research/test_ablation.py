"""The ablation suite end to end on a set in miniature, and its table from made-up figures."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.research import CHANGES, open_set, write_set
from vmr.__main__ import main
from vmr.research.ablation import (
    FIGURES,
    Result,
    Variant,
    by_group,
    groups,
    plot,
    run,
    scaling,
    table,
    variants,
)
from vmr.research.cost import Cost, measure, sizes
from vmr.research.preset import load_preset

torch.set_num_threads(1)
PRESET = load_preset("tacos", CHANGES)


def test_suites_are_the_variants_they_promise() -> None:
    found = variants("vtc,encoder,text,features", PRESET)
    by_name = {variant.name: variant for variant in found}
    assert list(by_name) == [
        "asymmetric, no FFN (as given)",
        "without VTC",
        "VTC, clean",
        "asymmetric + FFN",
        "symmetric (two-stream)",
        "self-attention",
        "no text",
        "extractor B",
    ]
    assert found[0].preset == PRESET
    assert not by_name["without VTC"].preset.model.contrast
    contrast = by_name["VTC, clean"].preset.contrast
    assert (contrast.pooling, contrast.copy, contrast.positives) == ("mean", "exact", "moment")
    clean = variants("vtc", by_name["VTC, clean"].preset)[-1]
    assert clean.name == "VTC as in the authors' code"
    assert clean.preset.contrast == PRESET.contrast
    assert by_name["symmetric (two-stream)"].preset.model.encoder == "two-stream"
    assert by_name["self-attention"].preset.model.encoder == "joint"
    assert not by_name["no text"].preset.data.read_words
    assert by_name["extractor B"].features == "B"
    with pytest.raises(ValueError, match="--suite magic: choose of vtc, encoder"):
        variants("magic", PRESET)


def test_encoders_are_compared_at_equal_parameters_and_equal_arithmetic() -> None:
    wider = load_preset("tacos", [*CHANGES, "model.width=64", "model.heads=1"])
    given = dict(zip(("parameters", "FLOPs"), sizes(wider.model, words=12), strict=True))
    found = {variant.name: variant.preset for variant in variants("equal", wider)[1:]}
    assert list(found) == [
        f"{kind}, equal {what}" for kind in ("two-stream", "joint") for what in given
    ]
    for name, preset in found.items():
        kind, what = name.split(", equal ")
        assert preset.model.encoder == kind
        counted = dict(zip(given, sizes(preset.model, words=12), strict=True))
        assert counted[what] == pytest.approx(given[what], rel=0.06)
        # Nothing else differs.
        plain = replace(preset.model, width=wider.model.width, encoder=wider.model.encoder)
        assert replace(preset, model=plain) == wider
    # Where one width is nearest in both, it is trained once.
    coarse = load_preset("tacos", [*CHANGES, "model.width=64", "model.heads=4"])
    names = [variant.name for variant in variants("equal", coarse)[1:]]
    both = "two-stream, equal parameters and FLOPs"
    assert names == [both, "joint, equal parameters", "joint, equal FLOPs"]
    # Counting without numbers is counting with them.
    small = load_preset("tacos", CHANGES).model
    cost = measure(small, words=12)
    assert sizes(small, words=12) == (cost.parameters, cost.flops)


def test_own_rows_beside_resampled_ones() -> None:
    resampled, own = variants("rows", PRESET)
    assert (resampled.preset.data.length, own.preset.data.length) == ("fixed", "windows")
    assert own.name == "own rows, in windows"
    assert variants("rows", own.preset)[1].preset == resampled.preset


def test_queries_are_grouped_by_length_and_known_words(tmp_path: Path) -> None:
    _, data, vocabulary = open_set(tmp_path)
    known = [word for word in vocabulary if word not in ("dog", "forest")]
    found = groups(data, known)
    assert found == {
        "1 to 8 words": list(range(8)),
        "1 to 50 rows": list(range(8)),
        "a word never seen": [0, 7],  # the first sentence has a dog, the last a forest
        "all words known": [1, 2, 3, 4, 5, 6],
    }
    truths = [np.array(query.spans) for query in data.queries]
    answers = [truths[0], *(np.zeros((0, 2)) for _ in truths[1:])]
    rates = by_group(answers, truths, found, strict=True)
    assert rates["group: a word never seen (2)"] == 50
    assert rates["group: all words known (6)"] == 0
    cost = Cost(parameters=1, flops=1, seconds=1.0, training_bytes=1)
    scores = dict.fromkeys(FIGURES, 40.0) | rates
    text = table([Result(Variant("a", PRESET), (scores, scores), cost)])
    assert "| R@1 IoU 0.5 | 1 to 8 words (8) |" in text
    assert "| 50.0 ± 0.0 |" in text


def test_every_seed_runs_once_and_a_stopped_suite_goes_on(tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    def trial(variant: Variant, seed: int, folder: Path) -> Mapping[str, float]:
        asked.append((variant.name, seed))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return dict.fromkeys(FIGURES, 10.0 * seed + len(variant.name))

    compared = variants("vtc", PRESET)[:2]
    with pytest.raises(KeyboardInterrupt):
        run(compared, trial, seeds=2, out=tmp_path)
    results = run(compared, trial, seeds=2, out=tmp_path)
    assert asked == [
        *(("as given", 0), ("without VTC", 0), ("as given", 1)),  # stopped here
        *(("as given", 1), ("without VTC", 1)),
    ]
    assert results[0].spread("mIoU") == pytest.approx((13, 50**0.5))
    # Other settings under the same name are another trial.
    wider = replace(PRESET, train=replace(PRESET.train, batch=5))
    run(variants("vtc", wider)[:2], trial, seeds=1, out=tmp_path)
    assert asked[5:] == [("as given", 0), ("without VTC", 0)]
    run(variants("vtc", wider)[:2], trial, seeds=1, out=tmp_path, context={"steps": 9})
    assert len(asked) == 9


def test_table_and_plot(tmp_path: Path) -> None:
    cost = Cost(parameters=1_234_567, flops=2_000_000, seconds=0.0123, training_bytes=3 << 20)
    scores = (dict.fromkeys(FIGURES, 40.0), dict.fromkeys(FIGURES, 50.0))
    results = [
        Result(Variant("a", PRESET), scores, cost),
        Result(Variant("b", PRESET), scores, cost),
    ]
    text = table(results)
    assert "| a | 45.00 ± 7.07 |" in text
    assert "| 1,234,567 | 2 | 12.3 | 3.0 MiB |" in text
    assert "over seeds (2 of them)" in text
    one = [replace(result, scores=scores[:1]) for result in results]
    assert "| a | 40.00 | 40.00 |" in table(one)  # a single seed has no spread
    plot(results, [], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_costs_grow_with_video_and_words() -> None:
    small = load_preset("tacos", [*CHANGES, "model.width=8", "model.heads=2"])
    compared = variants("vtc,encoder,text", small)
    grown = scaling(compared)
    assert [scale.name for scale in grown] == [  # what costs the same is measured once
        *(compared[0].name, "without VTC", "asymmetric + FFN"),
        *("symmetric (two-stream)", "self-attention"),
    ]
    for scale in grown:
        for costs in (scale.by_clips, scale.by_words):
            arithmetic = [cost.flops for cost in costs.values()]
            assert arithmetic == sorted(arithmetic)
            assert arithmetic[0] < arithmetic[-1]


def test_the_command_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_set(tmp_path)
    truth, features = str(tmp_path / "set.jsonl"), str(tmp_path / "features.h5")
    options = [f"--set={change}" for change in (*CHANGES, "model.width=8", "model.heads=2")]
    files = ["--annotations", truth, "--validation", truth, "--test", truth]
    more = ["--features", features, "--other-features", features, "--device", "cpu"]
    out = tmp_path / "out"
    asked = ["--suite", "vtc,features", "--seeds", "1", "--steps", "2", "--out", str(out)]
    assert main(["ablate", *files, *more, *options, *asked]) == 0
    assert "| without VTC |" in capsys.readouterr().out
    assert "| extractor B |" in (out / "table.md").read_text()
    assert (out / "plot.png").is_file()
    figures = json.loads((out / "results.json").read_text())
    same = figures["as given, seed 0"]["figures"], figures["extractor B, seed 0"]["figures"]
    assert same[0] == same[1]  # the same file was given twice
    assert main(["ablate", *files, *more[:2], *asked, *options, "--suite", "features"]) == 1
    assert "give --other-features too" in capsys.readouterr().err
