"""Movements: what a query asks of them, what rows show, and that both meet in one score."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.support.planted import packaged_words
from vmr.model.movements import (
    COLUMNS,
    EVEN,
    FAST,
    ODDS,
    WEIGHT,
    Movements,
    asked_of,
    names_nothing_else,
)
from vmr.model.retrieval import RetrievalModel
from vmr.model.strength import SUREST
from vmr.model.text import tokenize
from vmr.training.compose import MOVES
from vmr.training.movements import CUT, Moved, fit_movements

ASKED = {
    "a dog moves left": ("right", -1),
    "a dog that runs to the left": ("right", -1),
    "a car drives from left to right": ("right", 1),
    "moving to the right very fast": ("right", 1),
    "the camera pans right": ("right", -1),
    "the camera moves to the left": ("right", 1),
    "balloons are going up": ("down", -1),
    "the camera tilts down": ("down", -1),
    "zoom in on a face": ("nearer", 1),
    "the camera zooms out": ("nearer", -1),
    "a train approaches": ("nearer", 1),
    "a man walks towards the camera": ("nearer", 1),
    "a woman walks away": ("nearer", -1),
    "a wheel turning clockwise": ("clockwise", 1),
    "spinning counterclockwise": ("clockwise", -1),
}
ONE = np.array([1, 0, 0, 0], np.float32)  # the first direction alone, as fast as can be


@pytest.mark.parametrize("text", ASKED)
def test_a_way_that_is_named_is_asked_for(text: str) -> None:
    column, sign = ASKED[text]
    expected = np.zeros(len(COLUMNS))
    expected[COLUMNS.index(column)] = sign
    np.testing.assert_allclose(asked_of(tokenize(text)), expected)


@pytest.mark.parametrize(
    "text",
    [
        "a man with his left hand raised",
        "walking on the left side of a road",
        "a boy runs down the street",
        "two dogs run up a hill",
        "a dog runs away from a ball",
        "a dog runs towards a ball",
        "children playing in and out of water",
        "a woman in the right of the picture",
    ],
)
def test_where_something_is_asks_for_no_way(text: str) -> None:
    assert not asked_of(tokenize(text)).any()


def test_every_phrase_of_composed_questions_is_understood() -> None:
    way = {"left": -1, "right": 1, "up": -1, "down": 1, "in": 1, "out": -1}
    way |= {"clockwise": 1, "anticlockwise": -1}
    column = dict(zip(MOVES, (0, 0, 1, 1, 2, 2, 3, 3), strict=True))
    for move, phrases in MOVES.items():
        for phrase in phrases:
            asked = asked_of(tokenize(f"a brown dog with a stick {phrase}"))
            assert asked[column[move]] == pytest.approx(way[move]), phrase
            assert (asked != 0).sum() == 1


def planted(count: int = 400) -> Moved:
    """Rows in which the rates are a linear map away, with noise and other things."""
    draw = np.random.default_rng(0)
    rates = draw.uniform(-1, 1, (count, 4)) * (draw.random((count, 4)) < 0.25)
    rows = rates @ draw.normal(size=(4, 20)) + 0.05 * draw.normal(size=(count, 20)) + 1
    kinds = tuple(CUT if i % 10 == 0 else "left" if rates[i, 0] < 0 else "" for i in range(count))
    rows[::10] = draw.normal(0, 5, rows[::10].shape)  # cuts say nothing, loudly
    return Moved(rows.astype(np.float16), rates.astype(np.float32), kinds)


def test_movements_are_fitted_on_everything_but_cuts() -> None:
    moved = planted()
    movements = fit_movements(moved)
    real = np.asarray(moved.kinds) != CUT
    seen = movements.clip_columns(moved.rows[real])
    assert np.abs(seen - moved.rates[real]).mean() < 0.05
    assert {kind: len(rows) for kind, rows in moved.bank.items()} == {
        kind: moved.kinds.count(kind) for kind in ("", "left", CUT)
    }


def test_nothing_is_seen_to_move_in_a_picture_and_too_fast_is_fast() -> None:
    movements = Movements(np.full((4, 3), 9, np.float32), np.full(4, 0.5, np.float32))
    assert movements.rows == 3
    assert movements.clip_columns(np.zeros((2, 3), np.float16)).tolist() == [[0] * 4] * 2
    assert movements.clip_columns(np.ones((1, 3), np.float16)).tolist() == [[1] * 4]


@pytest.fixture(scope="module")
def model() -> RetrievalModel:
    return RetrievalModel.load()


def clips_of(model: RetrievalModel, seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same picture, moving as said."""
    looks = np.random.default_rng(0).random(sum(model.towers.config.blocks.values()))
    clips = model.encode_clips(np.tile(looks.astype(np.float32), (len(seen), 1)))
    clips[:, -5:-1] = seen
    return clips


@torch.inference_mode()
def test_of_the_same_picture_the_one_that_goes_the_way_asked_for_scores_higher(
    model: RetrievalModel,
) -> None:
    words = packaged_words()
    clips = clips_of(model, np.eye(4, dtype=np.float32)[[0, 0, 2]] * np.array([[1], [-1], [1]]))
    for text, best in (("moves right", 0), ("moves left", 1), ("while the camera zooms in", 2)):
        curve = model.curve(clips, model.encode_query(words.query(f"a dog {text}")))
        assert curve.argmax() == best
    plain = model.curve(clips, model.encode_query(words.query("a dog")))
    np.testing.assert_allclose(plain, plain[0], atol=1e-5)


def test_more_like_a_moment_likes_its_movement_a_little(model: RetrievalModel) -> None:
    right, left = clips_of(model, np.array([[1, 0, 0, 0], [-1, 0, 0, 0]], np.float32))
    query = model.as_query(right)
    assert right @ query - left @ query == pytest.approx(2 * WEIGHT, rel=1e-4)


@pytest.mark.parametrize(
    ("text", "alone"),
    [
        ("the camera zooms out", True),
        ("turning clockwise", True),
        ("something moves to the left", True),
        ("a dog moves to the left", False),
        ("running towards the camera", False),
        ("a camera", False),
    ],
)
def test_a_movement_alone_is_asked_for_whatever_is_seen(
    model: RetrievalModel, text: str, alone: bool
) -> None:
    assert names_nothing_else(tokenize(text)) == alone
    vector = model.encode_query(packaged_words().query(text))
    assert vector[: model.towers.config.width].any() != alone


def test_a_movement_alone_is_as_strong_as_it_is_fast(model: RetrievalModel) -> None:
    speeds = np.array([EVEN + 0.2, EVEN, 0], np.float32)
    seen = np.append(np.outer(speeds, ONE), np.array([[0, 0.9, 0, 0]], np.float32), 0)
    clips = clips_of(model, seen)
    vector = model.encode_query(packaged_words().query("everything moves to the right"))
    strength = model.calibration.strength(model.curve(clips, vector))
    still = -ODDS * EVEN  # as what goes another way
    expected = [0.2 * ODDS, 0, still, still]
    np.testing.assert_allclose(np.log(strength / (SUREST - strength)), expected, atol=1e-4)


def test_a_slow_pan_is_noticed_and_an_idle_camera_is_not(model: RetrievalModel) -> None:
    """A tenth of a picture's width in three seconds; a misreading of a tenth of fast."""
    vector = model.encode_query(packaged_words().query("the camera pans left"))
    for speed, verdict in ((0.1 / 3, "possible"), (0.1, "strong"), (0.015, "none")):
        clips = clips_of(model, np.tile(speed / FAST[0] * ONE, (5, 1)))
        score = float(model.curve(clips, vector).mean())
        assert model.calibration.verdict(score) == verdict
