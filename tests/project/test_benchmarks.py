"""What the benchmarks count: cuts, same pictures, questions, lines; and moments of two hours."""

import importlib
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from skimage import data
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import __main__ as bench
from benchmarks import direct, gpu, gpu_search, large, visitors
from benchmarks.composed import INTERACTIONS
from benchmarks.direct import DirectHead
from benchmarks.growth import Curve
from benchmarks.index_types import equalised
from benchmarks.large import compare, made_up
from benchmarks.leaks import look_at, pairs
from benchmarks.made_up import library_of, real_rows, walks
from benchmarks.sample_questions import WORDS, SampleQuestion, overlap, read_questions
from benchmarks.table import TINY, Row
from experiments.additions import AT_USE, TRAINED, Material, called_none, measured, trained
from experiments.cuts import matched
from experiments.joint import Timelines
from experiments.timelines import padded
from feature_extract.networks.appearance import BLOCKS, WIDTH
from feature_extract.networks.c3d import C3D, SMALL, SPORTS_1M, C3DConfig
from tests.support.drawn import write_drawn_set
from tests.support.planted import packaged_words
from vmr.library.store import Library
from vmr.model.localise import Proposal, propose
from vmr.model.network import MomentModel, ProposalHead, candidates
from vmr.model.retrieval import RetrievalModel
from vmr.model.second_stage import SecondStage, second_stage_config
from vmr.model.sentence import SentenceEncoder
from vmr.model.spans import iou
from vmr.model.towers import TowersConfig
from vmr.model.windows import cut_windows, distinct
from vmr.research.loss import LossConfig
from vmr.research.preset import load_preset
from vmr.search.index import ClipIndex
from vmr.search.moments import Answer, Moment
from vmr.search.quantised import QuantisedIndex
from vmr.search.recall import COUNT
from vmr.training.assemble import NAMED, name_classes
from vmr.training.base import BaseConfig
from vmr.training.calibration import Trial
from vmr.training.captioned import Captions, Meanings
from vmr.training.movements import moved_rows
from vmr.training.people import held_out, sequence
from vmr.training.pictures import DUPLICATES, Pictures, held_apart, load_pictures, splits_of_har15
from vmr.training.second_stage import SecondStageTraining
from vmr.training.second_stage_loss import second_stage_loss

pytestmark = pytest.mark.usefixtures("words_once")
NARROW = ("model.width=64", "model.heads=4", "model.clips=32", "model.positions=70")
"""Of a preset, so that a step of its training takes no seconds."""


def test_a_found_cut_counts_once_and_a_fade_all_along() -> None:
    cuts, fades = [2.0, 2.3, 5.0, 9.0], [0.0, 0.0, 0.8, 0.0]
    assert matched([2.15], cuts, fades) == [True, False, False, False]
    assert matched([2.0, 2.3, 4.45, 9.25], cuts, fades) == [True, True, True, False]
    assert matched([], cuts, fades) == [False] * 4


def test_the_same_picture_is_known_small_mirrored_and_recompressed(tmp_path: Path) -> None:
    cat, cup = (Image.fromarray(picture) for picture in (data.chelsea(), data.coffee()))
    cat.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "cat.jpg", quality=40)
    small = cup.resize((200, 150)).filter(ImageFilter.GaussianBlur(1))
    other = Image.fromarray(data.astronaut())
    looks = look_at(
        [
            ("a/train/cat", cat),
            ("a/train/cup", cup),
            ("a/train/astronaut", other),
            ("a/test/cat", Image.open(tmp_path / "cat.jpg")),
            ("a/test/cup", small),
            ("a/test/rocket", Image.fromarray(data.rocket())),
        ]
    )
    found = pairs(looks, np.arange(3), np.arange(3, 6))
    assert [(one, two) for one, two, _ in found] == [(0, 3), (1, 4)]


@pytest.mark.parametrize("file", sorted(Path("benchmarks").glob("*.py")), ids=lambda f: f.stem)
def test_every_benchmark_can_be_imported(file: Path) -> None:
    """Names move; one of those that are run by hand was left behind."""
    importlib.import_module(f"benchmarks.{file.stem}")


def test_listed_duplicates_are_pictures_of_known_sets() -> None:
    listed = [line for line in DUPLICATES.read_text("utf-8").splitlines() if line[0] != "#"]
    assert listed
    sets = ("har15/t", "flickr8k/", "gym/", "street_fights_clips/")
    assert all(line.startswith(sets) for line in listed)
    assert splits_of_har15(12)[:6] == ("test", "train", "train", "train", "train", "dev")
    assert splits_of_har15(12)[10] == "test"


def test_a_duplicate_leaves_training_and_stays_where_it_is_held_out() -> None:
    names, splits = ("a.jpg", "b.jpg", "c.jpg"), ("train", "train", "test")
    rows = np.zeros((3, 1, 4), np.float16)
    pictures = Pictures(names, rows, (("x",),) * 3, names, splits)
    apart = held_apart("gym", pictures, frozenset({"gym/b.jpg", "gym/c.jpg", "har15/a.jpg"}))
    assert apart.splits == ("train", "duplicate", "test")
    assert apart.of("train").tolist() == [0]


def test_sample_questions_are_forty_and_fifteen() -> None:
    questions = read_questions()
    assert sum(bool(q.spans) for q in questions) == 40
    assert sum(not q.spans for q in questions) == 15
    assert len({q.text for q in questions}) == 55
    coffee = next(q for q in questions if q.text == "a cup of coffee on a table")
    assert (coffee.video, coffee.spans) == ("travel", ((25.0, 31.0),))
    words = read_questions(WORDS)
    assert (len(words), sum(bool(w.spans) for w in words)) == (82, 33)
    assert len({w.text for w in words}) == 82


@pytest.mark.parametrize(("name", "share"), [("travel", 0.5), ("space", 0.0)])
def test_a_sample_answer_is_right_only_in_its_video(name: str, share: float) -> None:
    question = SampleQuestion("a cup", "travel", ((25.0, 31.0), (0.0, 1.0)))
    hit = Moment(1, name, Path(f"{name}.mp4"), 28.0, 31.0, 1.0, 0.5, 29.5, "possible")
    answer = Answer("a cup", "possible", (hit,))
    assert overlap(question, answer) == pytest.approx(share)
    assert overlap(question, answer, 1) == 0.0


def test_sequences_of_interactions_are_read_from_names() -> None:
    assert sequence("hand shake/14_13_1.mp4") == 13
    assert not held_out("hand shake/14_13_1.mp4")
    assert held_out("push/8_12_5.mp4")
    assert [held_out(f"fight/fi{number}.mp4") for number in ("001", "100", "101")] == [1, 1, 0]
    assert all(len(captions) == 3 for captions in INTERACTIONS.values())


def test_a_minute_of_a_two_hour_video_answers_as_if_it_were_alone() -> None:
    """Wherever the film lies among the windows, its best moment is the one of the film alone."""
    chaos, draw = np.random.default_rng(0), random.Random(0)
    for length in (2, 9, 40):
        film = chaos.normal(0, 0.5, (120, 1)).astype(np.float32)
        film[50 : 50 + length] += 6
        (alone,) = _moments(film)[:1]
        assert float(iou([(alone.start, alone.end)], [(50.0, 50.0 + length)])[0, 0]) > 0.8
        for _ in range(3):
            other = chaos.normal(0, 0.5, (7080, 1)).astype(np.float32)
            rows, at = padded(film, other, draw)
            best = _moments(rows)[0]
            assert (best.start - at, best.end - at) == pytest.approx(
                (alone.start, alone.end), abs=1
            )


def test_the_large_library_is_as_unrelated_footage_and_finds_nearly_all(tmp_path: Path) -> None:
    background = RetrievalModel.load().background
    clips = made_up(tmp_path / "clips", 6000, background)
    away = clips.mean(0, dtype=np.float64) - background.mean(0)
    assert (np.abs(away) < 5 * background.std(0) / 6000**0.5 + 1e-3).all()
    sketch = QuantisedIndex(RetrievalModel.load().space, background)
    sketch.add(clips)
    compared = compare(clips, sketch, RetrievalModel.load().sentences(5))
    assert np.mean(compared.shares) > 0.99
    assert len(compared.ours) == len(compared.theirs) == 5


def test_equal_norms_change_no_order_of_inner_products() -> None:
    draw = np.random.default_rng(0)
    rows, question = draw.normal(size=(50, 7)).astype(np.float32), draw.normal(size=7)
    equal = equalised(rows)
    norms = np.linalg.norm(equal, axis=1)
    np.testing.assert_allclose(norms, np.linalg.norm(rows, axis=1).max(), rtol=1e-6)
    np.testing.assert_allclose(equal @ np.append(question, 0), rows @ question, rtol=1e-5)


def test_lines_of_visitors_who_only_ask() -> None:
    taken = [float(n) for n in range(1, 201)]
    seen = visitors.Seen(taken, megabytes=[600.0, 900.0, 800.0], seconds=10.0, processor=6.0)
    told = [str(row) for row in visitors.asked_lines(seen, 4, visitors.Shape(2000, 3600))]
    assert [line.split(" | ")[2] for line in told] == [
        "0 ",
        "20 a second",
        "100 ms (1 to 200)",
        "198 ms",
        "30 ms",
        "900 MB",
    ]
    assert told[0].startswith("| 2,000 hours, 4 asking at once, errors |")


def test_a_line_of_the_bench_says_what_was_asked() -> None:
    row = Row("index", "decord alone", [1.4, 1.7, 1.44], "x", at_most=1.5)
    assert str(row) == "| index | decord alone | 1.44 x (1.4 to 1.7) | <= 1.5 x | yes |"
    assert replace(row, at_most=1.4).verdict == "no"
    assert replace(row, at_most=None, at_least=1.44).verdict == "yes"
    assert replace(row, at_most=None, at_least=1.5).verdict == "no"
    assert str(Row("help", "-", [0.25], "s")) == "| help | - | 0.25 s | - |  |"


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_of_growth_is_that_of_the_curve(power: float) -> None:
    sizes = [1.0, 4.0, 15.0, 60.0]
    curve = Curve("index", "s", sizes, [3 * size**power for size in sizes])
    assert curve.exponent == pytest.approx(power)


def test_a_made_up_library_has_the_statistics_of_a_real_one(tmp_path: Path) -> None:
    library = library_of(tmp_path, videos=3, rows=20, fingerprint="made up")
    (rows,) = walks(1, 20)
    np.testing.assert_array_equal(library.features(1).rows, rows)
    spread = np.std(real_rows(), axis=0)
    assert 0.3 < np.median(np.std(rows, axis=0)[spread > 0] / spread[spread > 0]) < 1.5
    assert len(ClipIndex.open(library, RetrievalModel.load())) == 60


def test_the_direct_head_is_the_split_one() -> None:
    """What is timed against is the same network: the same proposals for the same weights."""
    torch.manual_seed(0)
    head, tokens = ProposalHead(16, 0.0), torch.randn(2, 3, 33, 16)
    starts, ends = candidates(32).unbind(1)
    one = starts[:2], ends[:2], torch.tensor([0, 1])  # of one video each
    split = [head.cells(head.project(tokens), *cells) for cells in ((starts, ends), one)]
    head.__class__ = DirectHead
    for cells, expected in zip(((starts, ends), one), split, strict=True):
        torch.testing.assert_close(head.cells(head.project(tokens), *cells), expected)


def test_lines_of_large_libraries_and_direct_forms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts that take seconds at the smallest size; CI runs all with `make bench QUICK=1`."""
    monkeypatch.setattr(
        direct, "load_preset", lambda name, changes: load_preset(name, [*changes, *NARROW])
    )
    lines = [*large.rows(TINY, tmp_path), *direct.rows(TINY, tmp_path)]
    assert len(lines) == 10
    assert all(min(line.values) > 0 for line in lines)
    assert sum(bool(line.verdict) for line in lines) == 9


def test_lines_of_the_gpu_on_a_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "RUNS", 1)
    monkeypatch.setattr(gpu, "load_preset", lambda name: load_preset(name, NARROW))
    monkeypatch.setattr(gpu, "SPORTS_1M", replace(SPORTS_1M, width=8, features=64))
    lines = list(gpu.rows(TINY, tmp_path, "cpu"))
    assert all(min(line.values) > 0 for line in lines)
    asked = {line.work: line for line in lines if line.verdict}
    assert [line.unit for line in asked.values()] == ["%", "x", ""]
    assert list(asked.values())[-1].middle == 1  # all rows are compared, in float32 here


@pytest.mark.parametrize("config", [SPORTS_1M, SMALL], ids=("full", "small"))
def test_multiplications_of_c3d_are_those_that_torch_counts(config: C3DConfig) -> None:
    network = C3D(config).to("meta").eval()
    with FlopCounterMode(display=False) as counted, torch.inference_mode():
        network(torch.empty(1, 3, 16, config.side, config.side, device="meta"))
    assert 2 * gpu.products(config) == counted.get_total_flops()


def test_the_best_of_parts_are_the_best_of_all() -> None:
    scores = torch.from_numpy(np.random.default_rng(0).permutation(900).reshape(3, 300))
    best, places = torch.zeros(3, 0), torch.zeros(3, 0, dtype=torch.int64)
    for first in range(0, 300, 70):
        part = scores[:, first : first + 70].float()
        best, places = gpu_search.merged(best, places, part, first)
    torch.testing.assert_close(places, scores.argsort(descending=True)[:, :COUNT])
    torch.testing.assert_close(best.long(), scores.gather(1, places))


def test_a_gpu_is_measured_when_it_is_asked_for() -> None:
    names = list(bench.parts(Path("plot.png")))
    assert bench.chosen(None, names, "cuda") == ["gpu"]
    assert bench.chosen(None, names, "cpu") == [name for name in names if name != "gpu"]
    assert bench.chosen(["networks", "gpu"], names, "cuda") == ["networks", "gpu"]
    for wrong in ("gpu", "networking"):
        with pytest.raises(ValueError, match=f"--only {wrong}"):
            bench.chosen([wrong], names, "cpu")


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("drawn")
    write_drawn_set(folder)
    sets = load_pictures(folder, folder / "cache", views=2)
    moved = {
        split: moved_rows(folder, folder / "cache", sets["flickr8k"], split, each=1)
        for split in ("train", "dev")
    }
    towers = TowersConfig(blocks=dict(BLOCKS), width=32, hidden=32)
    config = BaseConfig(epochs=1, batch=12, classes=2, towers=towers)
    library = Library(folder / "library")
    captions = Captions(packaged_words(), Meanings(SentenceEncoder.load(), folder / "cache"))
    return Material(captions, sets, moved, config, library, timelines=8)


@pytest.mark.parametrize(
    ("name", "views", "columns"),
    [("as given", 2, WIDTH), ("one view", 1, WIDTH), ("last layer only", 2, 1280)],
)
def test_an_arm_is_trained_without_what_it_leaves_out(
    material: Material, name: str, views: int, columns: int
) -> None:
    """What is left out may be anything: not a number, even."""
    pictures = material.sets["flickr8k"]
    rows = pictures.rows.copy()
    rows[:, views:], rows[:, :, columns:] = np.nan, np.nan
    spoiled = replace(material, sets={"flickr8k": replace(pictures, rows=rows)})
    model = trained(TRAINED[name], spoiled, seed=0)
    assert all(torch.isfinite(part).all() for part in model.towers.state_dict().values())
    figures = measured(model, material).split(" | ")
    assert len(figures) == 6
    assert all(0 <= float(figure) <= 100 for figure in figures[1:5])
    assert figures[5] == "0 / 0"  # of an empty library


def test_without_judgement_the_classifier_places_nothing(material: Material) -> None:
    arm = next(arm for arm in TRAINED.values() if not arm.judged)
    classifier = trained(arm, material, seed=0).towers.video.classifier
    assert classifier is not None
    assert not classifier.place.weight.any()


def test_what_is_taken_off_at_use_is_gone(material: Material) -> None:
    less = {name: make(material) for name, make in AT_USE.items()}
    shipped, words = less["as shipped"], material.captions.words
    rows = material.sets["flickr8k"].rows[:5, 0]
    vectors = {name: model.encode_clips(rows) for name, model in less.items()}
    assert (vectors["as shipped"][:, -1] < 0).all()
    assert not vectors["hubs left on"][:, -1].any()
    query = words.query("a lion moves left")
    asked = {name: model.encode_query(query) for name, model in less.items()}
    assert asked["as shipped"][512:-5].any()
    assert not asked["names of classes not asked for"][512:-5].any()
    assert asked["as shipped"][-5] < 0
    assert asked["movements not asked for"][-5] == 0
    mean = less["no second stage, scores against the mean of unrelated footage"]
    assert mean.curve(mean.background, asked["as shipped"]).mean() == pytest.approx(0, abs=1e-3)
    towers = less["classes where training left them"].towers
    name_classes(towers, material.captions, NAMED)
    moved_again, moved = towers.video.classifier, shipped.towers.video.classifier
    assert moved_again is not None
    assert moved is not None
    torch.testing.assert_close(moved_again.place.weight, moved.place.weight, atol=1e-4, rtol=0)
    curve = np.concatenate([np.zeros(6), np.ones(8), np.zeros(6)]).astype(np.float32)
    clips = curve[:, None] * asked["as shipped"]
    starts = np.arange(20.0)
    (window,) = cut_windows(clips, starts, starts + 1, np.array([5.2, 14.9]))
    ((snapped, *_),) = shipped.localise([window], query)
    ((free, *_),) = less["no cut known"].localise([window], query)
    assert (snapped.start, snapped.end) == (5.2, 14.9)
    assert free.start % 1 == free.end % 1 == 0


def test_the_gradient_of_the_second_stage_reaches_both_towers(material: Material) -> None:
    start, captions = RetrievalModel.load(), material.captions
    main, moved = material.sets["flickr8k"], material.moved["train"]
    config = SecondStageTraining(batch=2, questions=2)
    timelines, towers = Timelines(start, captions, main, moved, config), start.towers
    width = captions.words.width
    network = MomentModel(second_stage_config(start.space, word_width=width, width=24))
    second_stage = SecondStage(network, start.space)
    batch = timelines.batch(towers, random.Random(0))
    second_stage_loss(second_stage, batch, LossConfig()).backward()  # type: ignore[no-untyped-call]
    for weight in (towers.video.linear.weight, towers.text.content.weight):
        assert weight.grad is not None
        assert weight.grad.any()
    query = start.query("a lion, then a dog moves left")
    assert query.parts is not None
    vectors = np.stack([start.encode_query(part) for part in (query, *query.parts)])
    clips = start.background[:9]
    matches = timelines.matches(torch.from_numpy(clips), torch.from_numpy(vectors))
    np.testing.assert_allclose(matches, start.matches(clips, query), atol=0.01)


def test_called_none_counts_present_questions_below_four_fifths_of_the_absent() -> None:
    def trial(score: float, *truth: tuple[float, float]) -> Trial:
        return Trial((Proposal(0.0, 1.0, score, 0.5),), truth, "thing", 60)

    absent = [trial(float(score)) for score in range(11)]  # eight of ten steps: 8
    present = [trial(score, (0.0, 1.0)) for score in (7.0, 7.9, 8.0, 9.0)]
    assert called_none(absent + present) == pytest.approx(50)


def _moments(rows: np.ndarray) -> list[Proposal]:
    starts = np.arange(len(rows), dtype=np.float64)
    windows = cut_windows(rows, starts, starts + 1, np.zeros(0))
    read = [propose(w.clips[:, 0], w.starts, w.ends, w.cuts) for w in windows]
    return distinct(windows, read)
