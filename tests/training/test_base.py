"""`train base` end to end on a small set of captioned pictures that we draw ourselves."""

import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from feature_extract.networks.appearance import BLOCKS, WIDTH, load_network
from tests.support.drawn import COLOURS, PER_SPLIT, write_drawn_set
from vmr.model.retrieval import RetrievalModel
from vmr.model.text import Words
from vmr.model.towers import Towers, TowersConfig
from vmr.training.assemble import training_captions
from vmr.training.base import (
    BaseConfig,
    Run,
    new_towers,
    train_base,
    train_epoch,
)
from vmr.training.captioned import Captions, pad
from vmr.training.concepts import KINDS, class_captions, class_names
from vmr.training.matching import Recall, contrast, text_to_picture
from vmr.training.movements import moved_rows
from vmr.training.pictures import ImageSetError, Pictures, augment, load_pictures
from vmr.training.second_stage import SecondStageTraining, train_second_stage
from vmr.training.second_stage_check import check
from vmr.training.trainer import ResumeError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_drawn_set(folder)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where features of the pictures are kept, made by whoever needs them first."""
    return tmp_path_factory.mktemp("cache")


def test_pictures_are_read_with_captions_and_splits(data: Path, store: Path) -> None:
    sets = load_pictures(data, store, views=2)
    pictures = sets["flickr8k"]
    assert list(sets) == ["flickr8k"]
    assert pictures.rows.shape == (99, 2, WIDTH)
    assert [len(pictures.of(split)) for split in PER_SPLIT] == list(PER_SPLIT.values())
    first = pictures.names.index("train_01.jpg")
    assert pictures.captions[first] == ("a green picture .",)
    assert np.abs(pictures.rows[:, 0] - pictures.rows[:, 1]).max() > 0.01
    again = load_pictures(data, store, views=2)["flickr8k"]
    np.testing.assert_array_equal(again.rows, pictures.rows)


def test_a_folder_without_the_sets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageSetError, match="flickr8k_images"):
        load_pictures(tmp_path, tmp_path, views=1)


def test_views_depend_on_the_seed_only() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (80, 100, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    views = [np.asarray(augment(picture, seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(views[0], views[1])
    assert (views[0] != views[2]).any()
    assert views[0].shape == (260, 260, 3)


@torch.inference_mode()
def test_contrast_against_a_hand_worked_case() -> None:
    clips = torch.eye(3)
    texts = torch.eye(3)
    e = float(np.exp(2.0))
    aligned = contrast(clips, texts, ["a", "b", "c"], torch.tensor(2.0))
    assert aligned.tolist() == pytest.approx([-np.log(e / (e + 2))] * 3)
    # Two pictures of one group share the target: their loss is the mean of both log-shares.
    shared = contrast(clips, texts, ["a", "a", "c"], torch.tensor(2.0))
    own, other = -np.log(e / (e + 2)), -np.log(1 / (e + 2))
    assert shared.tolist() == pytest.approx([(own + other) / 2, (own + other) / 2, own])


def test_recall_counts_the_rank_of_the_own_picture() -> None:
    torch.manual_seed(0)
    towers = Towers(TowersConfig(blocks={"appearance": 8}, width=8, hidden=8))
    names = tuple(f"p{i}" for i in range(20))
    rows = np.random.default_rng(0).random((20, 1, 8)).astype(np.float16)
    pictures = Pictures(names, rows, (("a dog",),) * 20, names, ("dev",) * 20)
    # All captions are the same, so every picture has another rank: 1 in 20 first, 5 in 20 in five.
    assert text_to_picture(towers, Captions(Words.load()), pictures, "dev") == Recall(
        5.0, 25.0, 50.0
    )


def test_padding_keeps_words_and_lengths() -> None:
    words, mask = pad([np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)])
    assert words.shape == (2, 4, 3)
    assert mask.sum(1).tolist() == [2, 4]
    assert words[0, 2:].abs().sum() == 0


def test_trained_on_colours_it_finds_colours(
    data: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = BaseConfig(
        epochs=20,
        batch=12,
        classes=4,
        views=1,
        moved={"train": 3, "dev": 2},
        average=0.5,
        timelines=3,
        second_stage=SecondStageTraining(steps=6, batch=4, validate_every=3, validation=16),
        towers=TowersConfig(blocks=dict(BLOCKS), width=32, hidden=32),
    )
    train_base(data, store, tmp_path / "weights", config)
    model, words = RetrievalModel.load(tmp_path / "weights"), Words.load()
    pictures = load_pictures(data, store, views=1)["flickr8k"]
    clips = model.encode_clips(pictures.rows[pictures.of("test"), 0])
    asked = [pictures.captions[i][0] for i in pictures.of("test")]
    assert [text.split()[1] for text in asked] == ["red", "green", "blue"]
    found = [int((clips @ model.encode_query(words.query(text))).argmax()) for text in asked]
    assert found == [0, 1, 2]
    record = json.loads((tmp_path / "weights" / "config.json").read_text())["training"]
    assert record["command"] == "train base"
    assert record["settings"] == json.loads(json.dumps(asdict(config)))
    assert record["data"] == {"flickr8k": dict(sorted(PER_SPLIT.items()))}
    # The space kept, all that follows from the motion network made anew: here, the same.
    first = tmp_path / "weights"
    train_base(data, store, tmp_path / "again", config, space=first, movements=first)
    again = RetrievalModel.load(tmp_path / "again")
    kept = json.loads((tmp_path / "again" / "config.json").read_text())["training"]["space"]
    assert kept == {"weights": model.fingerprint, "training": record}
    assert again.movements is not None
    assert model.movements is not None
    np.testing.assert_allclose(again.movements.weight, model.movements.weight, atol=1e-3)
    np.testing.assert_allclose(again.background, model.background, atol=0.01)
    _second_stage_goes_on(data, store, tmp_path, model, config, monkeypatch)


def _second_stage_goes_on(
    data: Path,
    store: Path,
    folder: Path,
    model: RetrievalModel,
    config: BaseConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped between its two checks, it ends with the weights of one that was not stopped."""
    sets = load_pictures(data, store, views=1)
    banks = {
        split: moved_rows(data, store, sets["flickr8k"], split, each=each).bank
        for split, each in config.moved.items()
    }
    state = folder / "second-stage.pt"
    short = replace(config.second_stage, steps=2, batch=2, validate_every=1)

    def trained(state: Path | None) -> dict[str, torch.Tensor]:
        second_stage = train_second_stage(model, sets, "flickr8k", banks, short, state)
        return second_stage.state_dict()

    whole, checks = trained(None), iter([check])

    def stopped(*given: object) -> object:
        try:
            return next(checks)(*given)  # type: ignore[arg-type]
        except StopIteration:
            raise KeyboardInterrupt from None

    with monkeypatch.context() as patch:
        patch.setattr("vmr.training.second_stage.check", stopped)
        with pytest.raises(KeyboardInterrupt):
            trained(state)
    resumed = trained(state)
    assert all(resumed[name].equal(value) for name, value in whole.items())


def test_pictures_of_another_set_join_with_their_first_view() -> None:
    rows = np.arange(24, dtype=np.float16).reshape(4, 2, 3)
    main = Pictures(("a", "b"), rows[:2], (("a",), ("b",)), ("a", "b"), ("train", "dev"))
    others = Pictures(("c", "d"), rows[2:], (("c",), ("d",)), ("x", "x"), ("dev", "train"))
    both = main.and_some(others, "dev", 5)
    assert (both.names, both.captions[2], both.splits) == (
        ("a", "b", "c"),
        ("c",),
        ("train", "dev", "dev"),
    )
    np.testing.assert_array_equal(both.rows[2], rows[[2, 2], 0])


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    names = tuple(f"p{i}" for i in range(12))
    rows = np.random.default_rng(0).random((12, 2, WIDTH)).astype(np.float16)
    texts = tuple((f"a {colour} picture", "a dog") for colour in COLOURS)
    pictures = Pictures(names, rows, (texts * 2)[:12], names, ("train",) * 12)
    config = BaseConfig(
        epochs=3,
        batch=6,
        extra={},
        classes=2,
        often=3,
        towers=TowersConfig(blocks=dict(BLOCKS), width=8, hidden=8),
    )
    words = Words.load()

    times = Captions(words).counts(training_captions(pictures))

    def new_run(state: Path | None = None) -> Run:
        torch.manual_seed(0)
        return Run(config, new_towers(config, times, [pictures]), [pictures], state)

    def train(run: Run) -> None:
        train_epoch(run, Captions(words), {})

    whole = new_run()
    for _ in range(2):
        train(whole)
    stopped = new_run(tmp_path / "run.pt")
    train(stopped)
    stopped.trainer.save_state()
    resumed = new_run(tmp_path / "run.pt")
    assert resumed.epoch == 1
    train(resumed)
    for name, tensor in whole.averaged.state_dict().items():
        torch.testing.assert_close(resumed.averaged.state_dict()[name], tensor)
    with pytest.raises(ResumeError, match="other settings \\(batch\\)"):
        Run(replace(config, batch=3), whole.towers, [pictures], tmp_path / "run.pt")
    with pytest.raises(ValueError, match="24 captions; a batch needs 48"):
        Run(replace(config, batch=48), whole.towers, [pictures])


def test_new_towers_know_what_the_picture_networks_classifier_knows() -> None:
    names = tuple(f"p{i}" for i in range(6))
    rows = np.random.default_rng(0).random((6, 1, WIDTH)).astype(np.float16)
    pictures = Pictures(names, rows, (("a dog",),) * 6, names, ("train",) * 6)
    config = BaseConfig(towers=TowersConfig(blocks=dict(BLOCKS), width=8, hidden=8))
    classifier = new_towers(config, Counter(), [pictures]).video.classifier
    assert classifier is not None
    known = load_network()._fc
    assert torch.equal(classifier.weight, known.weight)
    assert torch.equal(classifier.bias, known.bias)
    expected = known(torch.from_numpy(rows[:, 0, :1280]).float()).softmax(-1).mean(0)
    torch.testing.assert_close(classifier.prior, expected)


def test_class_names_are_in_the_order_of_the_classifier() -> None:
    names = class_names()
    assert (len(names), names[291], names[967]) == (1000, "lion", "espresso")
    assert "a cat" in class_captions()[281]
    assert all(0 <= index < 1000 for ranges in KINDS.values() for part in ranges for index in part)
