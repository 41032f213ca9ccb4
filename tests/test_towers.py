"""The two encoders: padding changes nothing, order matters, blocks are balanced."""

import pytest
import torch

from vmr.towers import Towers, TowersConfig

CONFIG = TowersConfig(blocks={"appearance": 12, "motion": 4}, word_width=6, width=16, hidden=32)


@pytest.fixture
def towers() -> Towers:
    torch.manual_seed(0)
    return Towers(CONFIG).eval()


@torch.inference_mode()
def test_padding_changes_nothing(towers: Towers) -> None:
    words, mask = torch.randn(1, 4, 6), torch.ones(1, 4, dtype=torch.bool)
    padded = torch.cat([words, torch.randn(1, 3, 6)], dim=1)
    longer = torch.cat([mask, torch.zeros(1, 3, dtype=torch.bool)], dim=1)
    alone, beside = towers.encode_text(words, mask), towers.encode_text(padded, longer)
    torch.testing.assert_close(alone, beside)


@torch.inference_mode()
def test_the_order_of_words_matters(towers: Towers) -> None:
    words, mask = torch.randn(1, 4, 6), torch.ones(1, 4, dtype=torch.bool)
    difference = towers.encode_text(words, mask) - towers.encode_text(words.flip(1), mask)
    assert difference.abs().max() > 1e-3


@torch.inference_mode()
def test_the_scale_of_a_block_does_not_matter(towers: Towers) -> None:
    rows = torch.rand(5, 16)
    louder = rows * torch.tensor([1.0] * 12 + [100.0] * 4)
    torch.testing.assert_close(towers.encode_video(rows), towers.encode_video(louder))


@torch.inference_mode()
def test_rows_are_encoded_one_by_one(towers: Towers) -> None:
    rows = torch.rand(2, 7, 16)
    torch.testing.assert_close(towers.encode_video(rows)[1, 3], towers.encode_video(rows[1, 3]))


@pytest.mark.parametrize("bad", [{"blocks": {}}, {"blocks": {"a": 0}}, {"dropout": 1.0}])
def test_sizes_that_make_no_sense_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        TowersConfig(**{"blocks": {"a": 4}, **bad})  # type: ignore[arg-type]
