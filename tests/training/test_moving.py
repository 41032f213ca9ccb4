"""Moving clips: what their labels say is what is seen."""

import math
from dataclasses import replace

import pytest
import torch

from vmr.training.moving import CLASSES, FRAMES, RATE, WAYS, Motions, draw_motions, render

SIDE = 64


def motion(
    *,
    way: str = "",
    rate: float = 0.0,
    growth: float = 0.0,
    turn: float = 0.0,
    oval: bool = False,
    cut: int = FRAMES,
) -> Motions:
    """One clip's motion."""
    number = WAYS.index(way) if way else -1
    angle = math.tau * number / len(WAYS)
    drawn = draw_motions(1, torch.Generator().manual_seed(5))
    return replace(
        drawn,
        way=torch.tensor([number]),
        speed=torch.tensor([0 if way else -1]),
        shift=torch.tensor([[rate * math.cos(angle), rate * math.sin(angle)]]),
        growth=torch.tensor([growth]),
        turn=torch.tensor([turn]),
        oval=torch.tensor([oval]),
        cut=torch.tensor([cut]),
        shake=0.2 * drawn.shake,
    )


def blob(x: float, y: float) -> torch.Tensor:
    """(1, 3, 128, 128) black, with one bright spot."""
    line = torch.arange(128.0)
    spot = torch.exp(-(((line[None] - x) ** 2 + (line[:, None] - y) ** 2) / 50))
    return (255 * spot).byte().expand(1, 3, 128, 128)


def centres(clips: torch.Tensor) -> torch.Tensor:
    """(16, 2) where the brightness of the clip lies: widths to the right and down."""
    light = clips[0, 0]  # (16, S, S)
    light = (light - light.amin((1, 2), keepdim=True)) ** 2
    line = (torch.arange(light.shape[-1]) + 0.5) / light.shape[-1]
    total = light.sum((1, 2))
    x = (light.sum(1) * line).sum(1) / total
    y = (light.sum(2) * line).sum(1) / total
    return torch.stack([x, y], dim=1)


@pytest.mark.parametrize("way", WAYS)
def test_what_goes_one_way_is_seen_to_go_that_way_and_as_fast(way: str) -> None:
    rate = 0.15
    clip = render(blob(64, 64), blob(64, 64), motion(way=way, rate=rate), side=SIDE)
    moved = centres(clip)
    angle = math.tau * WAYS.index(way) / len(WAYS)
    travelled = rate * (FRAMES - 1) / RATE
    expected = [travelled * math.cos(angle), travelled * math.sin(angle)]
    assert (moved[-1] - moved[0]).tolist() == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("growth", [0.3, -0.3])
def test_what_grows_is_seen_to_grow(growth: float) -> None:
    clip = render(blob(64, 64), blob(64, 64), motion(growth=growth), side=SIDE)
    area = (clip[0, 0] > clip[0, 0].amax() / 2).float().sum((1, 2))  # (16,)
    expected = math.exp(2 * growth * (FRAMES - 1) / RATE)
    assert float(area[-1] / area[0]) == pytest.approx(expected, rel=0.2)


def test_what_turns_clockwise_goes_down_on_the_right() -> None:
    clip = render(blob(96, 64), blob(96, 64), motion(turn=0.5), side=SIDE)
    moved = centres(clip)
    right = moved[FRAMES // 2, 0] > 0.5  # pictures are mirrored by the seed
    assert bool(moved[-1, 1] > moved[0, 1]) == bool(right)


def test_an_oval_moves_and_the_rest_stays() -> None:
    white = torch.full((1, 3, 128, 128), 255, dtype=torch.uint8)
    dark = torch.randint(0, 20, (1, 3, 128, 128), generator=torch.Generator().manual_seed(0))
    clip = render(dark.byte(), white, motion(way="right", rate=0.12, oval=True), side=SIDE)
    moved = centres(clip)
    assert float(moved[-1, 0] - moved[0, 0]) == pytest.approx(0.12 * (FRAMES - 1) / RATE, abs=0.03)
    corner = clip[0, :, :, :8, :8]
    assert float((corner[:, 0] - corner[:, -1]).abs().amax()) < 25


def test_a_cut_leads_to_another_picture() -> None:
    white = torch.full((1, 3, 128, 128), 255, dtype=torch.uint8)
    clip = render(torch.zeros_like(white), white, motion(cut=5), side=SIDE)
    light = clip.mean((0, 1, 3, 4))
    assert float(light[:5].max()) < 100 < float(light[5:].min())


def test_backwards_is_what_is_seen_from_the_end() -> None:
    pictures = torch.randint(0, 255, (32, 3, 64, 64)).byte()
    motions = draw_motions(32, torch.Generator().manual_seed(4))
    kept = motions.cut == FRAMES  # after a cut, what comes first is the other picture
    pictures, motions = pictures[kept], motions[kept]
    clips = render(pictures, pictures.flip(0), motions, side=32)
    turned = render(pictures, pictures.flip(0), motions.backwards(), side=32)
    torch.testing.assert_close(turned, clips.flip(2), rtol=1e-3, atol=0.5)
    assert motions.backwards().backwards().way.equal(motions.way)


def test_the_same_seed_makes_the_same_clips_and_labels_are_of_their_classes() -> None:
    pictures = torch.randint(0, 255, (64, 3, 128, 128)).byte()
    drawn = [draw_motions(64, torch.Generator().manual_seed(1)) for _ in range(2)]
    for name, labels in drawn[0].labels().items():
        assert labels.equal(drawn[1].labels()[name])
        assert set(labels.tolist()) <= set(range(CLASSES[name]))
    few = [d[:4] for d in drawn]
    first, second = [render(pictures[:4], pictures[4:8], m, side=32) for m in few]
    assert first.shape == (4, 3, FRAMES, 32, 32)
    assert first.equal(second)
    assert float(first.min()) >= 0
    assert float(first.max()) <= 255


def test_every_clip_has_one_kind_of_motion_or_none() -> None:
    labels = draw_motions(500, torch.Generator().manual_seed(2)).labels()
    kinds = torch.stack([labels[name] > 0 for name in ("shift", "growth", "turn")]).sum(0)
    assert set(kinds.tolist()) == {0, 1}
    assert ((labels["shift"] > 0) == (labels["speed"] > 0)).all()
