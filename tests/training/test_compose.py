"""Composed timelines: seeded, as described, and the same as rows and as a film."""

import math
import random
import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from feature_extract.extract import Extractor
from feature_extract.networks.appearance import SIZE, Appearance
from vmr.model.movements import FAST
from vmr.model.retrieval import RetrievalModel
from vmr.training.compose import (
    FADE_SECONDS,
    MOVES,
    MOVING_SECONDS,
    OPPOSITE,
    SECONDS,
    SHOTS,
    ZOOM_SECONDS,
    Pool,
    Segment,
    Timeline,
    compose,
    pool_of,
    words_of,
)
from vmr.training.film import Moving, Shot, Still, film, picture
from vmr.training.questions import KINDS, ask, ask_any, shared


@pytest.fixture
def pool() -> Pool:
    unit = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    groups = [f"group {i // 2}" for i in range(60)]
    captions = [(f"caption {i}", f"another {i}") for i in range(60)]
    return pool_of(np.arange(10, 60), groups, captions, unit, 3)


def test_the_same_seed_gives_the_same_timeline(pool: Pool) -> None:
    assert compose(pool, random.Random(3)) == compose(pool, random.Random(3))
    assert compose(pool, random.Random(3)) != compose(pool, random.Random(4))


def test_shots_are_as_many_and_as_long_as_said(pool: Pool) -> None:
    draw = random.Random(0)
    made = [compose(pool, draw) for _ in range(200)]
    counts = [len(timeline.segments) for timeline in made]
    assert (min(counts), max(counts)) == SHOTS
    shots = [segment for timeline in made for segment in timeline.segments]
    lengths = [shot.end - shot.start for shot in shots]
    assert SECONDS[0] <= min(lengths) < 3
    assert 35 < max(lengths) <= SECONDS[1]
    assert {shot.place for shot in shots} <= set(range(10, 60))  # nothing of another split
    repeated = sum(len(t.segments) - len({s.place for s in t.segments}) for t in made)
    assert repeated > 0.1 * len(shots)
    assert all(
        before.end == after.start
        for timeline in made
        for before, after in zip(timeline.segments, timeline.segments[1:], strict=False)
    )


def test_some_go_one_way_and_back_elsewhere(pool: Pool) -> None:
    draw = random.Random(0)
    made = [compose(pool, draw) for _ in range(200)]
    moving = [shot for timeline in made for shot in timeline.segments if shot.move]
    assert {shot.move for shot in moving} == set(MOVES)
    assert all(OPPOSITE[OPPOSITE[move]] == move != OPPOSITE[move] for move in MOVES)
    for shot in moving:
        low, high = ZOOM_SECONDS if shot.move in ("in", "out") else MOVING_SECONDS
        assert low - 1e-6 <= shot.end - shot.start <= high + 1e-6
    both = sum(
        any(o.place == s.place and o.move == OPPOSITE[s.move] for o in timeline.segments)
        for timeline in made
        for s in timeline.segments
        if s.move
    )
    assert both > 0.2 * len(moving)


def test_what_is_filmed_moves_by_itself(pool: Pool) -> None:
    filmed = replace(pool, clips=frozenset(pool.places))
    draw = random.Random(0)
    assert not any(s.move for _ in range(50) for s in compose(filmed, draw).segments)


def test_movements_are_drawn_from_windows_of_their_kind() -> None:
    bank = {kind: np.full((3, 2), i, np.float16) for i, kind in enumerate(("", "left", "cut"))}
    still, left = Segment(0, 0.0, 5.0, (0, 0), 0.0), Segment(1, 5.0, 9.0, (0, 0), 0.0, "left")
    rows = Timeline((still, left)).moving(bank, seed=0)
    # Row 4 looks at 3.5 to 5.5 s, row 5 at 4.5 to 6.5 s.
    assert rows[:, 0].tolist() == [0, 0, 0, 0, 2, 2, 1, 1, 1]


def test_movements_and_orders_are_asked_for_with_all_their_answers(pool: Pool) -> None:
    draw, kinds = random.Random(0), Counter[str]()
    way = {phrase: move for move, phrases in MOVES.items() for phrase in phrases}
    for _ in range(150):
        timeline = compose(pool, draw)
        for present in (True, False):
            asked = ask_any(timeline, pool, draw, present=present)
            kinds[asked.kind] += 1
            assert bool(asked.spans) == present
            if asked.kind == "move":
                (move,) = {way[phrase] for phrase in way if asked.text.endswith(" " + phrase)}
                wanted = [
                    (s.start, s.end)
                    for s in timeline.segments
                    if (pool.groups[s.place], s.move) == (asked.group, move)
                ]
                assert set(asked.spans) == set(wanted)
                if not present:  # the same thing goes the other way
                    shown = {(pool.groups[s.place], s.move) for s in timeline.segments}
                    assert (asked.group, OPPOSITE[move]) in shown
            if asked.kind == "order":
                first, second = re.findall(r"(?:caption|another) (\d+)", asked.text)
                pairs = [
                    (a.start, b.end)
                    for a, b in pairwise(timeline.segments)
                    if (pool.groups[a.place], pool.groups[b.place])
                    == (pool.groups[int(first)], pool.groups[int(second)])
                ]
                assert list(asked.spans) == pairs
    assert all(0.6 < kinds[kind] / 300 / share < 1.4 for kind, share in KINDS.items())
    with pytest.raises(ValueError, match="movement"):
        ask(Timeline((Segment(12, 0, 3, (0, 0), 0.0),)), pool, draw, present=True, kind="move")
    with pytest.raises(ValueError, match="follow"):
        ask(Timeline((Segment(12, 0, 3, (0, 0), 0.0),)), pool, draw, present=True, kind="order")


def test_look_alikes_are_the_nearest_of_other_groups(pool: Pool) -> None:
    for place, near in pool.alike.items():
        assert all(pool.groups[other] != pool.groups[place] for other in near)


def test_questions_know_all_their_answers(pool: Pool) -> None:
    draw = random.Random(0)
    several = 0
    for _ in range(100):
        timeline = compose(pool, draw)
        asked = ask(timeline, pool, draw, present=True)
        said = {text: pool.groups[place] for place in pool.places for text in pool.captions[place]}
        group = said[asked.text]
        shown = [s for s in timeline.segments if pool.groups[s.place] == group]
        several += len(asked.spans) > 1
        assert sum(end - start for start, end in asked.spans) == pytest.approx(
            sum(s.end - s.start for s in shown)
        )
        absent = ask(timeline, pool, draw, present=False)
        assert absent.spans == ()
        assert said[absent.text] not in {pool.groups[s.place] for s in timeline.segments}
    assert several > 10


def test_what_has_no_caption_is_shown_and_never_asked_for() -> None:
    unit = np.eye(6, dtype=np.float32)
    captions = [(), ("b",), (), ("d",), ("e",), ("f",)]
    pool = pool_of(np.arange(6), ["a", "b", "a", "b", "e", "f"], captions, unit, 1)
    draw = random.Random(0)
    first, second = Segment(0, 0.0, 5.0, (0, 0), 0.0), Segment(1, 5.0, 8.0, (0, 0), 0.0)
    timeline = Timeline((first, second, Segment(3, 9.0, 11.0, (0, 0), 0.0)))
    asked = [ask(timeline, pool, draw, present=True) for _ in range(20)]
    assert {(q.text in "bd", q.spans, q.group) for q in asked} == {
        (True, ((5.0, 8.0), (9.0, 11.0)), "b")
    }
    absent = {ask(timeline, pool, draw, present=False).text for _ in range(40)}
    assert absent == {"e", "f"}
    with pytest.raises(ValueError, match="nothing that is shown"):
        ask(Timeline((first,)), pool, draw, present=True)


def test_absent_is_what_goes_by_other_words_than_anything_shown() -> None:
    captions = [
        ("a dog runs", "the dog"),
        ("a dog runs fast", "a big dog"),
        ("a cat sleeps", "the cat"),
        ("a red kite", "a kite"),
    ]
    pool = pool_of(np.arange(4), list("abcd"), captions, np.eye(4, dtype=np.float32), 1)
    assert pool.rarity["cat"] > pool.rarity["dog"] > pool.rarity["a"] > 0
    assert shared("a cat runs", words_of(captions[2]), pool.rarity) == pytest.approx(
        (pool.rarity["a"] + pool.rarity["cat"])
        / sum(pool.rarity[word] for word in ("a", "cat", "runs"))
    )
    assert shared("never heard", words_of(captions[2]), pool.rarity) == 0
    draw = random.Random(0)
    timeline = Timeline((Segment(0, 0.0, 5.0, (0, 0), 0.0),))
    absent = {ask(timeline, pool, draw, present=False).group for _ in range(40)}
    assert absent == {"c", "d"}  # the other dog may run here, too


def test_rows_are_what_is_shown_in_the_middle_of_a_second() -> None:
    vectors = np.eye(4, dtype=np.float32)[:, None].repeat(2, axis=1)  # (4, 2, 4)
    first = Segment(0, 0.0, 2.5, (0, 1), 0.0)
    second = Segment(1, 2.5, 4.3, (0, 0), FADE_SECONDS)
    third = Segment(2, 4.3, 6.0, (0, 0), 0.0)
    rows = Timeline((first, second, third)).rows(vectors)
    np.testing.assert_allclose(rows[0], [1, 0, 0, 0])
    np.testing.assert_allclose(rows[2], [0, 1, 0, 0])  # 2.5 s is the cut
    np.testing.assert_allclose(rows[4].sum(), 1, atol=1e-6)
    assert 0 < rows[4][1] < rows[4][2]  # 4.5 s lies in the second half of the fade
    assert len(rows) == 6


def test_rows_and_film_of_one_timeline_agree(tmp_path: Path) -> None:
    """The training rows are what the real extractor makes of the real file, nearly."""
    pictures = [Image.fromarray(p) for p in (data.astronaut(), data.chelsea(), data.coffee())]
    places = [0, 1, 2, 0]
    edges = [0.0, 4.0, 7.5, 12.0, 15.0]
    segments = tuple(
        Segment(place, start, end, (0, 0), FADE_SECONDS if number == 1 else 0.0)
        for number, (place, start, end) in enumerate(zip(places, edges, edges[1:], strict=False))
    )
    segments = (*segments, Segment(2, 15.0, 20.0, (0, 0), 0.0, "left"))
    timeline = Timeline(segments)

    def shot(segment: Segment) -> Shot:
        picture = pictures[segment.place]
        return Moving(picture, 1, segment.move) if segment.move else Still(picture, seed=1)

    film(timeline, shot, tmp_path / "a.mp4")
    found = Extractor().extract(tmp_path / "a.mp4").features
    network = Appearance()
    squashed = np.stack([np.asarray(p.resize((SIZE, SIZE))) for p in pictures])
    expected = timeline.rows(network(squashed)[:, None])
    assert len(found.rows) == len(expected) == 20
    assert found.duration == pytest.approx(20.0, abs=0.2)
    last = slice(0, found.blocks["appearance"])

    def unit(rows: np.ndarray) -> np.ndarray:
        centred = rows[:, last].astype(np.float32) - expected[:, last].mean(0)
        return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True))

    alike = (unit(found.rows) * unit(expected)).sum(1)
    assert np.median(alike) > 0.6  # the camera moves; the composed rows stand still
    shots = {segment: shot(segment) for segment in segments}
    seen_then = [picture(timeline, shots, row + 0.5).resize((SIZE, SIZE)) for row in range(20)]
    screen = network(np.stack([np.asarray(one) for one in seen_then]))
    as_filmed = (unit(found.rows) * unit(screen)).sum(1)
    assert np.median(as_filmed) > 0.8
    assert as_filmed.min() > 0.6  # the file is coded
    nearest = (unit(found.rows) @ unit(expected).T).argmax(1)
    shown = [timeline.shown(row + 0.5)[0][0].place for row in range(20)]
    assert np.mean([shown[row] == shown[near] for row, near in enumerate(nearest)]) > 0.9
    hard = [cut for cut, segment in zip(timeline.cuts, segments, strict=False) if not segment.fade]
    assert all(np.abs(found.cuts - cut).min() < 0.3 for cut in hard)
    # What moves is told apart as in the rows that timelines take from moved pictures.
    seen = RetrievalModel.load().encode_clips(found.rows)[
        :, -5:-1
    ]  # to the right, down, nearer, clockwise
    assert (seen[16:19, 0] < -0.3).all()
    assert np.abs(seen[16:19, 1:]).max() < 0.3
    # An idle camera goes no way, and zooms as this one does.
    idle = [1, 2, 5, 9, 10, 13]
    assert np.abs(seen[idle][:, [0, 1, 3]]).max() < 0.5
    before, after = shot(segments[0])._zoom  # type: ignore[attr-defined]
    for row in idle:
        segment = timeline.shown(row + 0.5)[0][0]
        rate = math.log(before / after) / (segment.end - segment.start)
        assert seen[row, 2] == pytest.approx(rate / FAST[2], abs=0.3)
