"""The network against the published sizes, a direct form of its head, and padding."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from experiments.head_cost import Form
from experiments.head_cost import measure as head_flops
from tests.support.research import SMALL
from vmr.model.encoder import Attention, BlockSizes, EncoderKind, TwoStreamAttention
from vmr.model.network import (
    ModelConfig,
    MomentModel,
    ProposalHead,
    boundary_rows,
    candidates,
    position_table,
)
from vmr.research.cost import measure
from vmr.research.preset import load_preset

torch.set_num_threads(1)
ENCODERS = ("asymmetric", "two-stream", "joint")


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def sized(config: ModelConfig) -> int:
    """Trainable parameters of a network that is never filled with numbers."""
    with torch.device("meta"):
        return parameters(MomentModel(config))


def made(config: ModelConfig, seed: int = 0, spread: float = 0.3) -> MomentModel:
    """A network whose weights are large enough for differences to show."""
    torch.manual_seed(seed)
    model = MomentModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, spread)
    return model


def inputs(config: ModelConfig, batch: int = 2, words: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    rows = torch.randn(batch, config.clips * config.pool, config.feature_width)
    vectors = torch.randn(batch, words, config.word_width)
    return rows, vectors, torch.ones(batch, words, dtype=torch.bool)


# The authors' modules hold two things that nothing reads, and that are left out here.
MATCHING_HEAD = 512 * 2 + 2  # `itm_head` of the paper's code
TEMPERATURE = 1  # it is the contrastive loss's here, and trained with it


@pytest.mark.parametrize(
    ("preset", "published"), [("tacos", 22_486_003), ("activitynet", 25_371_633)]
)
def test_parameters_are_the_papers(preset: str, published: int) -> None:
    assert sized(load_preset(preset).model) + TEMPERATURE + MATCHING_HEAD == published


@pytest.mark.parametrize(
    ("preset", "published", "feature_width"),
    [("msat_tacos", 36_148_720, 4096), ("msat_activitynet", 37_193_198, 500)],
)
def test_parameters_are_msats(preset: str, published: int, feature_width: int) -> None:
    unused_linear = feature_width * 512 + 512  # `visual_1x1_text` of MSAT's code
    assert sized(load_preset(preset).model) + unused_linear == published


@pytest.mark.parametrize(
    ("preset", "without", "with_ffn"), [("tacos", 37.8, 24.7), ("activitynet", 31.8, 19.0)]
)
def test_the_claim_of_about_30_percent_fewer_parameters(
    preset: str, without: float, with_ffn: float
) -> None:
    config = load_preset(preset).model
    left_out = TEMPERATURE + MATCHING_HEAD
    published_msat = {"tacos": 36_148_720, "activitynet": 37_193_198}[preset]
    for hidden, cut in ((0, without), (512, with_ffn)):
        ours = sized(replace(config, feed_forward=hidden)) + left_out
        assert 100 * (1 - ours / published_msat) == pytest.approx(cut, abs=0.05)


def test_candidates_are_the_published_masks() -> None:
    assert len(candidates(128)) == 2548
    assert len(candidates(32)) == 428
    cells = {tuple(cell) for cell in candidates(128).tolist()}
    assert len(cells) == 2548
    assert {(0, 1), (112, 128), (110, 128), (92, 128), (64, 100), (56, 128), (0, 128)} <= cells
    assert not {(1, 19), (0, 17), (2, 38), (4, 76), (0, 70)} & cells


@given(st.integers(1, 300))
@settings(max_examples=40, deadline=None)
def test_candidates_stay_inside_and_never_repeat(clips: int) -> None:
    cells = candidates(clips)
    assert (cells[:, 0] < cells[:, 1]).all()
    assert cells.min() >= 0
    assert cells.max() <= clips
    assert len({tuple(cell) for cell in cells.tolist()}) == len(cells)


def test_position_table_by_hand() -> None:
    table = position_table(4, 2)  # one frequency: a quarter turn a position
    expected = torch.tensor([[0.0, 1], [1, 0], [0, -1], [-1, 0]])
    assert torch.allclose(table, expected, atol=1e-6)


def test_boundaries_average_the_rows_around_them() -> None:
    rows = torch.arange(1.0, 9.0)[None, :, None]  # 8 rows
    assert boundary_rows(rows, 2).flatten().tolist() == [0.5, 2.5, 4.5, 6.5, 4.0]
    assert boundary_rows(rows, 8).flatten().tolist() == [10 / 8, 26 / 8]
    assert boundary_rows(rows[:, :3], 1).flatten().tolist() == [0.5, 1.5, 2.5, 1.5]


def test_split_head_equals_the_direct_form() -> None:
    torch.manual_seed(0)
    head = ProposalHead(64, 0.1).eval()
    tokens = torch.randn(2, 3, 33, 64)
    starts, ends = candidates(32).unbind(1)
    split = head.cells(head.project(tokens), starts, ends)
    direct = Form(head, candidates(32), split=False)
    assert torch.allclose(split, direct(tokens), atol=1e-5)
    one = head.cells(head.project(tokens), starts, ends, torch.ones_like(starts))
    assert torch.allclose(one, split[1], atol=1e-6)


@pytest.mark.parametrize("clips", [32, 128])
def test_split_head_takes_a_twentieth_of_the_arithmetic(clips: int) -> None:
    """Both presets. MSAT's code fills the whole map of start and end boundaries."""
    counted = head_flops(clips)
    products, additions = 3 * (clips + 1) * 512**2, 2 * len(candidates(clips)) * 512
    assert counted.split == 2 * products + additions
    assert counted.map == 2 * (clips + 1) ** 2 * 3 * 512**2
    assert counted.map / counted.split >= 20


def test_split_head_beside_a_direct_form_over_candidates_only() -> None:
    """No more than candidates a boundary can be gained: 2,548 / 129 = 19.8 at TACoS' sizes."""
    counted = head_flops(128)
    assert counted.candidates == 2 * 2548 * 3 * 512**2
    assert 19 < counted.candidates / counted.split < 2548 / 129


@pytest.mark.parametrize("encoder", ENCODERS)
def test_padding_changes_nothing(encoder: EncoderKind) -> None:
    """A short video and a short text say the same alone and padded beside longer ones."""
    model = made(replace(SMALL, encoder=encoder, feed_forward=8))
    rows, words, mask = inputs(SMALL)
    rows[1, 9:], words[1, 3:], mask[1, 3:] = 0, 7.0, False
    both = model(rows, words, mask, clips=torch.tensor([16, 9]))
    alone = model(rows[1:, :9], words[1:, :3], mask[1:, :3])
    fits = model.candidates[:, 1] <= 9
    assert torch.allclose(both.spans[1, fits], alone.spans[0], atol=1e-5)
    assert torch.allclose(both.logits[1, fits], alone.logits[0], atol=1e-4)
    assert torch.equal(both.valid[1, fits], alone.valid[0])
    assert not both.valid[1, ~fits].any()


def test_video_learns_of_the_text_in_connected_blocks_only() -> None:
    model = made(replace(SMALL, layers=2, connect_every=2))
    rows, words, mask = inputs(SMALL)
    video, text = model.encode_video(rows), model.encode_text(words)
    seen = torch.ones(video.shape[:2], dtype=torch.bool)
    before = video
    for block in model.blocks[:2]:  # both asymmetric
        video, text = block(video, text, seen, mask, None)
    assert video is before
    assert not torch.allclose(text, model.encode_text(words))
    assert not torch.allclose(model.blocks[2](video, text, seen, mask, None)[0], before)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_attention_maps_are_probabilities_and_do_not_change_the_answer(
    encoder: EncoderKind,
) -> None:
    config = replace(SMALL, encoder=encoder)
    model = made(config, spread=0.1)
    rows, words, mask = inputs(config)
    maps = model.attention_maps(rows, words, mask, clips=torch.tensor([16, 9]))
    assert maps.shape == (2, 2, 4, 5, 17)
    assert maps[:, 1, :, :, 10:].abs().max() == 0  # beyond the second video's end
    total = maps.sum(4)
    if encoder == "asymmetric":
        assert torch.allclose(total, torch.ones_like(total), atol=1e-5)
    assert (total <= 1 + 1e-5).all()
    # The explicit form of attention, which yields maps, agrees with the fused kernel.
    seen = torch.ones(2, 17, dtype=torch.bool)
    video, text = model.encode_video(rows), model.encode_text(words)
    fused = model.fuse(video, text, seen, mask)[0]
    assert torch.allclose(model.fuse(video, text, seen, mask, [])[0], fused, atol=1e-4)


def test_attention_is_torchs() -> None:
    """Oracle: torch.nn.MultiheadAttention with the same weights."""
    torch.manual_seed(0)
    ours, oracle = Attention(8, 2, 0.0).eval(), nn.MultiheadAttention(8, 2, batch_first=True)
    weights = [part.weight for part in (ours.query, ours.key, ours.value)]
    biases = [part.bias for part in (ours.query, ours.key, ours.value)]
    with torch.no_grad():
        oracle.in_proj_weight.copy_(torch.cat([*weights]))
        oracle.in_proj_bias.copy_(torch.cat([*biases]))
        oracle.out_proj.weight.copy_(ours.output.weight)
        oracle.out_proj.bias.copy_(ours.output.bias)
    states, context = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    found, _ = oracle(states, context, context, key_padding_mask=~mask)
    assert torch.allclose(ours(states, context, mask), ours.norm(states + found), atol=1e-5)


def test_two_streams_share_one_softmax() -> None:
    """By hand, with one head: own and other scores compete in a single softmax."""
    torch.manual_seed(0)
    part = TwoStreamAttention(4, 1, 0.0).eval()
    own, other = torch.randn(1, 2, 4), torch.randn(1, 3, 4)
    (q, k, v), (q2, k2, v2) = part.own, part.other
    scores = torch.cat([q(own)[0] @ k(own)[0].T, q2(own)[0] @ k2(other)[0].T], 1) / 2
    values = torch.cat([v(own)[0], v2(other)[0]])
    expected = part.norm(own[0] + part.output(scores.softmax(1) @ values))
    masks = torch.ones(1, 2, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool)
    assert torch.allclose(part(own, other, *masks)[0], expected, atol=1e-6)


def test_switches_change_what_they_say() -> None:
    rows, words, mask = inputs(SMALL)
    plain = MomentModel(SMALL)
    assert plain.contrast is not None
    assert MomentModel(replace(SMALL, contrast=False)).contrast is None
    assert MomentModel(replace(SMALL, vocabulary=0)).word_head is None
    hidden = torch.zeros_like(mask)
    hidden[0, 1] = hidden[1, 3] = True
    assert plain(rows, words, mask).word_logits is None
    assert plain(rows, words, mask, hidden_words=hidden).word_logits.shape == (2, 9)
    blocks = 3  # two asymmetric and one connected
    ffn = parameters(MomentModel(replace(SMALL, feed_forward=8))) - parameters(plain)
    assert ffn == blocks * (16 * 8 + 8 + 8 * 16 + 16 + 2 * 16)


PRESETS = ("tacos", "activitynet", "msat_tacos", "msat_activitynet")


@pytest.mark.parametrize("preset", PRESETS)
def test_weights_start_as_published(preset: str) -> None:
    """Heads: Xavier's uniform, and torch's default for the stage scorers. The rest: N(0, .02)."""
    torch.manual_seed(0)
    model = MomentModel(load_preset(preset).model)
    heads = {"head.stages", "head.first", "head.last", "word_head.1", "word_head.4"}
    linears = {n: part for n, part in model.named_modules() if isinstance(part, nn.Linear)}
    assert heads < linears.keys()
    for name, linear in linears.items():
        weight, spread = linear.weight, linear.weight.std().item()
        inputs, outputs = linear.in_features, linear.out_features
        if name in heads:
            exact = 0.15 if name == "head.last" else 0.05  # only 3 outputs
            assert spread == pytest.approx((2 / (inputs + outputs)) ** 0.5, rel=exact), name
            assert weight.abs().max() <= (6 / (inputs + outputs)) ** 0.5
        elif name.startswith("head.stage_scores"):
            bound = inputs**-0.5
            assert spread == pytest.approx(bound / 3**0.5, rel=0.15), name
            assert max(weight.abs().max(), linear.bias.abs().max()) <= bound
            assert linear.bias.any()
            continue
        else:
            assert spread == pytest.approx(0.02, rel=0.05), name
        assert not linear.bias.any(), name
    assert model.masked_word.std().item() == pytest.approx(0.02, rel=0.15)


def test_a_narrow_network_can_start_with_a_spread_of_its_own() -> None:
    for head_init in ("published", "normal"):
        torch.manual_seed(0)
        model = MomentModel(replace(SMALL, width=64, spread=0.1, head_init=head_init))
        assert model.text_in.weight.std().item() == pytest.approx(0.1, rel=0.05)
        normal = model.head.first.weight.abs().max() > (6 / (4 * 64)) ** 0.5
        assert normal == (head_init == "normal")
    stage = model.head.stage_scores[0]
    assert isinstance(stage, nn.Sequential)
    assert isinstance(stage[0], nn.Linear)
    assert not stage[0].bias.any()
    assert model.head.first.weight.std().item() == pytest.approx(0.1, rel=0.05)


def test_hidden_words_are_not_read() -> None:
    model = made(SMALL)
    rows, words, mask = inputs(SMALL)
    hidden = torch.zeros_like(mask)
    hidden[:, 2] = True
    other = words.clone()
    other[:, 2] += 5
    a = model(rows, words, mask, hidden_words=hidden)
    b = model(rows, other, mask, hidden_words=hidden)
    assert torch.equal(a.logits, b.logits)
    assert not torch.allclose(model(rows, words, mask).logits, model(rows, other, mask).logits)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, "does not divide"),
        ({"positions": 17}, "must exceed"),
        ({"encoder": "magic"}, "none of"),
        ({"pool": 3}, "1 or even"),
        ({"clips": 0}, "at least 1"),
        ({"layers": 3}, "multiple"),
        ({"spread": 0.0}, "must be positive"),
        ({"head_init": "zeros"}, "published or normal"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)


def test_inputs_that_do_not_fit_are_refused() -> None:
    model = made(SMALL)
    rows, words, _ = inputs(SMALL)
    with pytest.raises(ValueError, match="12"):
        model.encode_video(rows[..., :5])
    with pytest.raises(ValueError, match="word vectors have 2 columns"):
        model.encode_text(words[..., :2])
    with pytest.raises(ValueError, match="reads at most 13"):
        model.encode_text(torch.zeros(1, 14, 6))
    with pytest.raises(ValueError, match="17 clips"):
        model.encode_video(torch.zeros(1, 17, 12))


def test_cost_grows_with_the_encoder_and_counts_linears_exactly() -> None:
    config = replace(SMALL, vocabulary=0)
    plain, wide = measure(config, words=4), measure(replace(config, feed_forward=64), words=4)
    assert wide.parameters > plain.parameters
    assert wide.training_bytes > plain.training_bytes
    tokens = 2 * 4 + (4 + 17)  # two asymmetric blocks on 4 words, one connected on all 21
    assert wide.flops - plain.flops == tokens * 2 * (2 * 16 * 64)
    assert plain.seconds > 0


def test_block_sizes_leave_out_the_feed_forward_part() -> None:
    assert isinstance(BlockSizes(8, 2, 0.0, 0).feed_forward_part(), nn.Identity)
