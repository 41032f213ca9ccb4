"""Labels and losses against hand-worked values and plain loops; the contrast against ALBEF's."""

import math
from dataclasses import fields, replace
from typing import Any, Literal

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.support.research import SMALL
from vmr.model.network import ContrastHead, ModelConfig, MomentModel
from vmr.research.contrast import ContrastConfig, MomentumContrast, moment_tokens
from vmr.research.loss import (
    Batch,
    LossConfig,
    Objective,
    focal_bce,
    overlap_loss,
    overlaps,
    stage_labels,
    word_loss,
)

torch.set_num_threads(1)
CONTRAST = ContrastConfig(queue=8)


def batch(size: int = 3, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    starts = torch.rand(size, generator=generator) * 8
    lengths = 1 + torch.rand(size, generator=generator) * 6
    hidden = torch.zeros(size, 5, dtype=torch.bool)
    hidden[:, 1] = True
    return Batch(
        rows=torch.randn(size, 16, 12, generator=generator),
        clips=torch.full((size,), 16),
        words=torch.randn(size, 5, 6, generator=generator),
        word_mask=torch.ones(size, 5, dtype=torch.bool),
        hidden_words=hidden,
        word_ids=torch.randint(0, 9, (size, 5), generator=generator),
        spans=torch.stack([starts, starts + lengths], 1),
        queries=torch.arange(size),
        moments=torch.arange(size),
        starts=torch.zeros(size, dtype=torch.int64),
    )


def test_labels_by_hand() -> None:
    """A moment from 2 to 6 of 8 clips: bells of width 1 at the edges, .85 at the middle."""
    visible = torch.ones(1, 9, dtype=torch.bool)
    labels = stage_labels(torch.tensor([[2.0, 6.0]]), visible, LossConfig())[0]
    near, far = math.exp(-0.5), math.exp(-2)  # one and two widths away
    edge = [far, near, 1, near, far, 0, 0, 0, 0]
    assert labels[0].tolist() == pytest.approx([x if x >= 0.1353 else 0 for x in edge], abs=1e-6)
    assert labels[1].tolist() == pytest.approx(labels[0].flip(0).tolist(), abs=1e-6)
    sigma = 0.21233 * 4
    beside = math.exp(-0.5 / sigma**2)  # two away it is .062499, just under the threshold
    assert labels[2].tolist() == pytest.approx([0, 0, 0, beside, 1, beside, 0, 0, 0], abs=1e-5)


def test_a_tiny_moment_between_boundaries_still_has_labels() -> None:
    visible = torch.ones(1, 9, dtype=torch.bool)
    labels = stage_labels(torch.tensor([[3.4, 3.5]]), visible, LossConfig())[0]
    assert labels[:2, 3].tolist() == [1, 1] or labels[1].argmax() in (3, 4)
    assert (labels.amax(1) > 0.4).all()


@pytest.mark.parametrize("start", [127.0712, 127.385])
def test_a_short_moment_at_the_very_end_has_its_middle_there(start: float) -> None:
    """The bell is exp(-.5 (.5 / .21233)^2) = .0624993 there, under .0625: the nearest is 1."""
    visible = torch.ones(1, 129, dtype=torch.bool)
    middle = stage_labels(torch.tensor([[start, 128.0]]), visible, LossConfig())[0, 2]
    assert middle.nonzero().flatten().tolist() == [128]
    assert middle[128] == 1


def test_labels_stay_inside_a_short_video() -> None:
    visible = torch.arange(9)[None] <= 4
    labels = stage_labels(torch.tensor([[1.0, 4.0]]), visible, LossConfig())[0]
    assert labels[:, 5:].abs().max() == 0
    assert labels[1, 4] == 1


def test_focal_cross_entropy_by_hand() -> None:
    found = focal_bce(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.0]))
    high = 1 / (1 + math.exp(-2))
    expected = [math.log(2) * 0.25, -math.log(1 - high) * high**2]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


def test_overlaps_by_hand() -> None:
    found = overlaps(torch.tensor([[[0.0, 4], [2, 6], [6, 8], [5, 3]]]), torch.tensor([[2.0, 6.0]]))
    assert found[0].tolist() == pytest.approx([2 / 6, 1, 0, 0])


def made(config: ModelConfig = SMALL, loss: LossConfig | None = None) -> Objective:
    torch.manual_seed(0)
    return Objective(MomentModel(config), loss or LossConfig(), CONTRAST)


def test_offset_loss_is_the_plain_loop() -> None:
    objective, data = made(), batch()
    model = objective.model
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.normal_(0, 0.3)
    output = model(data.rows, data.words, data.word_mask)
    labels = stage_labels(data.spans, torch.ones(3, 17, dtype=torch.bool), objective.config)
    expected = []
    for video in range(3):
        distances = [
            (
                model.head.cells(output.projected, torch.tensor([i]), torch.tensor([j]))[
                    video, 0, :2
                ]
                - (data.spans[video] - torch.tensor([i, j]))
            )
            .abs()
            .mean()
            .item()
            for i in range(17)
            for j in range(17)
            if labels[video, 0, i] >= 0.4 and labels[video, 1, j] >= 0.4
        ]
        expected.append(sum(distances) / len(distances))
    found = objective._offset_loss(output, labels, data.spans)
    assert found.item() == pytest.approx(sum(expected) / 3, rel=1e-5)


def test_overlap_loss_is_the_plain_loop() -> None:
    objective, data = made(), batch()
    output = objective.model(data.rows, data.words, data.word_mask)
    expected = 0.0
    for video in range(3):
        s, e = data.spans[video].tolist()
        losses = []
        for (a, b), logit, valid in zip(
            output.spans[video].tolist(), output.logits[video], output.valid[video], strict=True
        ):
            if valid:
                shared = max(0.0, min(b, e) - max(a, s))
                iou = shared / (b - a + e - s - shared)
                target = torch.tensor(iou if iou >= 0.5 else 0.0)
                losses.append(focal_bce(logit, target).item())
        expected += sum(losses) / len(losses) / 3
    assert overlap_loss(output, data.spans, 0.5).item() == pytest.approx(expected, rel=1e-4)


def test_word_loss_is_per_sentence() -> None:
    hidden = torch.tensor([[True, True, False], [False, False, False], [True, False, False]])
    logits, ids = torch.randn(3, 7), torch.randint(0, 7, (3, 3))
    expected = F.cross_entropy(logits, ids[hidden], reduction="sum") / 2
    assert torch.allclose(word_loss(logits, ids, hidden), expected)
    assert word_loss(logits[:0], ids, torch.zeros_like(hidden)) == 0


def test_total_is_the_weighted_sum() -> None:
    weights = LossConfig(stage=2, offset=3, overlap=5, words=7, contrast=11)
    losses = made(loss=weights)(batch())
    total = sum(getattr(weights, name) * losses[name].item() for name in losses if name != "total")
    assert losses["total"].item() == pytest.approx(total, rel=1e-5)
    assert set(losses) == {"total", "stage", "offset", "overlap", "words", "contrast"}


def test_losses_without_their_parts_are_absent() -> None:
    losses = made(replace(SMALL, vocabulary=0, contrast=False))(batch())
    assert set(losses) == {"total", "stage", "offset", "overlap"}


def test_every_loss_teaches() -> None:
    """Each term alone, with a few steps on one batch, goes down."""
    names = [field.name for field in fields(LossConfig)][:5]
    for name in names:
        off = dict.fromkeys(names, 0.0) | {name: 1.0}
        objective, data = made(loss=LossConfig(**off)), batch()
        optimizer = torch.optim.AdamW(objective.parameters(), lr=1e-2)
        values = []
        for _ in range(8):
            losses = objective(data)
            optimizer.zero_grad()
            losses["total"].backward()
            optimizer.step()
            values.append(losses["total"].item())
        assert values[-1] < values[0], name


# The contrastive loss.


def test_tokens_of_a_moment_are_those_between_its_edges() -> None:
    spans = torch.tensor([[1.2, 4.0], [2.1, 2.9], [0.0, 1.0]])
    published = moment_tokens(spans, 6, at_least_one=False)
    assert [row.nonzero().flatten().tolist() for row in published] == [[2, 3], [], [0]]
    clean = moment_tokens(spans, 6, at_least_one=True)
    assert [row.nonzero().flatten().tolist() for row in clean] == [[2, 3], [2], [0]]


def contrast_inputs(size: int = 3) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(3)
    mask = torch.ones(size, 4, dtype=torch.bool)
    mask[0, 2:] = False
    text = torch.randn(size, 4, 8)
    spans = torch.tensor([[0.0, 3.0], [2.0, 5.0], [1.0, 2.0]])[:size]
    return torch.randn(size, 6, 8), text, mask, spans, torch.arange(size)


def contrast(config: ContrastConfig) -> tuple[ContrastHead, MomentumContrast]:
    torch.manual_seed(0)
    head = ContrastHead(8)
    return head, MomentumContrast(head, config)


def vectors(head: ContrastHead, config: ContrastConfig) -> tuple[Tensor, Tensor]:
    """Pooled, projected, unit vectors, one pair at a time in plain loops."""
    video, text, mask, spans, _ = contrast_inputs()
    seen, read = [], []
    for number in range(3):
        first, last = int(spans[number, 0]), int(spans[number, 1])
        clip = head.video_map(video[number, first:last])
        words = head.text_map(text[number])
        if config.pooling == "mean":
            clip, words = clip.mean(0), words[mask[number]].mean(0)
        else:  # what stands beyond the end of a sentence is summed too
            clip, words = clip.sum(0), words.sum(0)
        seen.append(F.normalize(head.video_projection(clip), dim=0))
        read.append(F.normalize(head.text_projection(words), dim=0))
    return torch.stack(seen), torch.stack(read)


@pytest.mark.parametrize("pooling", ["sum", "mean"])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_contrast_is_albefs(pooling: Literal["sum", "mean"], share: float) -> None:
    """Targets, both directions and the queue, in plain loops."""
    config = ContrastConfig(queue=4, distillation=share, pooling=pooling, copy="exact", momentum=1)
    head, loss = contrast(config)
    seen, read = vectors(head, config)
    queues = loss.video_queue.clone(), loss.text_queue.clone()
    found = loss(head, *contrast_inputs())
    expected = 0.0
    for own, other, queue in ((seen, read, queues[1]), (read, seen, queues[0])):
        keys = torch.cat([other, queue])
        for number in range(3):
            logits = own[number] @ keys.T / 0.1
            hard = F.one_hot(torch.tensor(number), 7).float()
            # With momentum 1 and a true copy, the momentum vectors are the online ones.
            target = share * logits.softmax(0) + (1 - share) * hard
            expected -= (target * logits.log_softmax(0)).sum().item() / 3 / 2
    assert found.item() == pytest.approx(expected, rel=1e-4)


def pooled_texts(pooling: Literal["sum", "mean"], *lengths: int) -> tuple[Tensor, MomentModel]:
    """What VTC pools of sentences of the same words, cut to `lengths`, in one batch: (B, D)."""
    torch.manual_seed(0)
    model = MomentModel(SMALL)
    assert model.contrast is not None
    memory = MomentumContrast(model.contrast, replace(CONTRAST, pooling=pooling))
    with torch.no_grad():  # biases start at zero: let them say something
        model.text_in.bias.normal_()
        model.contrast.text_map.bias.normal_()
        words = torch.randn(1, 9, 6)[:, : max(lengths)]
        mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
        # Places beyond a sentence's end hold zeros, as `collate` makes them.
        tokens = model.encode_text(words * mask[..., None])
        return memory.pool_words(model.contrast.text_map(tokens), mask), model


def test_the_authors_sum_takes_in_the_tokens_of_padded_places() -> None:
    """Each is the text map of LayerNorm(bias of the word linear + its position)."""
    (alone, _), (both, model) = pooled_texts("sum", 3), pooled_texts("sum", 3, 9)
    first = SMALL.clips + 1
    assert model.contrast is not None
    with torch.no_grad():
        padding = model.text_norm(model.text_in.bias + model.positions[first + 3 : first + 9])
        expected = model.contrast.text_map(padding).sum(0)
    assert padding.norm(dim=1).tolist() == pytest.approx([4.0] * 6)  # any token's: sqrt(D)
    assert torch.allclose(both[0], alone[0] + expected, atol=1e-5)
    # A bias for each padded place, which this once was, is another vector.
    assert (expected - 6 * model.contrast.text_map.bias).norm() > 1


def test_the_clean_mean_does_not_depend_on_padding() -> None:
    (alone, _), (both, _) = pooled_texts("mean", 3), pooled_texts("mean", 3, 9)
    assert torch.allclose(both[0], alone[0], atol=1e-6)


def test_queue_is_a_ring_of_momentum_vectors() -> None:
    config = ContrastConfig(queue=4, copy="exact", momentum=1)
    head, loss = contrast(config)
    arguments = contrast_inputs()
    for turn in range(3):
        loss(head, *arguments[:4], torch.arange(3) + 10 + 3 * turn)
    # Nine pairs into four places: the last four, oldest overwritten first.
    assert loss.queue_identities.tolist() == [18, 15, 16, 17]
    assert torch.allclose(loss.video_queue[1], vectors(head, config)[0][2], atol=1e-5)
    assert torch.allclose(loss.video_queue.norm(dim=1), torch.ones(4), atol=1e-5)


def test_equal_identities_are_positive_in_batch_and_queue() -> None:
    config = ContrastConfig(queue=3, distillation=0.0, copy="exact", momentum=1)
    head, loss = contrast(config)
    video, text, mask, spans, _ = contrast_inputs()
    loss(head, video, text, mask, spans, torch.tensor([7, 7, 9]))
    seen, read = vectors(head, config)
    again = loss(head, video, text, mask, spans, torch.tensor([7, 8, 9]))
    expected = 0.0
    for own, other in ((seen, read), (read, seen)):
        keys = torch.cat([other, other])
        for number, identity in enumerate([7, 8, 9]):
            logits = own[number] @ keys.T / 0.1
            same = torch.tensor([float(identity == known) for known in [7, 8, 9, 7, 7, 9]])
            expected -= (logits.log_softmax(0) * same / same.sum()).sum().item()
    assert again.item() == pytest.approx(expected / 6, rel=1e-4)


def test_same_moment_option_reads_the_moments() -> None:
    data = batch()
    shared = replace(data, moments=torch.zeros(3, dtype=torch.int64))
    ways: list[Literal["query", "moment"]] = ["query", "moment"]
    for positives in ways:
        differs = positives == "moment"
        losses = []
        for pairs in (data, shared):
            torch.manual_seed(0)
            model = MomentModel(SMALL)
            objective = Objective(model, LossConfig(), replace(CONTRAST, positives=positives))
            losses.append(objective(pairs)["contrast"].item())
        assert (losses[0] != losses[1]) == differs


def test_momentum_copy_follows_slowly() -> None:
    head, loss = contrast(ContrastConfig(queue=4, copy="exact", momentum=0.9))
    before = loss.teacher.video_map.weight.clone()
    assert torch.equal(before, head.video_map.weight)
    with torch.no_grad():
        head.video_map.weight += 1
    loss(head, *contrast_inputs())
    assert torch.allclose(loss.teacher.video_map.weight, before + 0.1, atol=1e-6)
    assert all(not parameter.requires_grad for parameter in loss.teacher.parameters())


def test_a_fresh_copy_starts_elsewhere_as_in_the_authors_code() -> None:
    head, loss = contrast(ContrastConfig(queue=4, copy="fresh"))
    assert not torch.allclose(loss.teacher.video_map.weight, head.video_map.weight)


def test_temperature_is_clamped_only_if_asked() -> None:
    for clamp, expected in ((True, 0.5), (False, 3.0)):
        head, loss = contrast(ContrastConfig(queue=4, clamp=clamp))
        with torch.no_grad():
            loss.temperature.fill_(3.0)
        loss(head, *contrast_inputs())
        assert loss.temperature.item() == expected
    assert loss.temperature.requires_grad


def test_distillation_grows_over_the_ramp() -> None:
    head, loss = contrast(ContrastConfig(queue=4, distillation=0.4, ramp_steps=4))
    shares = []
    for _ in range(6):
        shares.append(loss._share())
        loss(head, *contrast_inputs())
    assert shares == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.4])
    assert contrast(ContrastConfig(queue=4))[1]._share() == 0.3


def test_memory_is_in_the_state() -> None:
    names = set(contrast(ContrastConfig(queue=4))[1].state_dict())
    assert {"video_queue", "text_queue", "queue_identities", "steps", "temperature"} <= names
    assert "teacher.video_map.weight" in names


@pytest.mark.parametrize(
    "changes",
    [
        {"queue": 0},
        {"momentum": 2},
        {"temperature": 0},
        {"pooling": "max"},
        {"copy": "maybe"},
        {"positives": "all"},
    ],
)
def test_options_that_do_not_exist_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"contrast.{next(iter(changes))}"):
        replace(ContrastConfig(), **changes)
    with pytest.raises(ValueError, match=r"loss\.stage"):
        LossConfig(stage=-1)
