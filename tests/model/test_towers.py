"""The two encoders: padding changes nothing, order matters, blocks are balanced."""

import pytest
import torch

from vmr.model.towers import Towers, TowersConfig

CONFIG = TowersConfig(
    blocks={"appearance": 12, "motion": 4}, word_width=6, width=16, hidden=32, learned="dog man"
)


@pytest.fixture
def towers() -> Towers:
    torch.manual_seed(0)
    return Towers(CONFIG).eval()


@torch.inference_mode()
def test_padding_changes_nothing(towers: Towers) -> None:
    words, mask = torch.randn(1, 4, 6), torch.ones(1, 4, dtype=torch.bool)
    own = towers.own([["a", "dog", "bites", "man"]])
    padded = torch.cat([words, torch.randn(1, 3, 6)], dim=1)
    longer = torch.cat([mask, torch.zeros(1, 3, dtype=torch.bool)], dim=1)
    alone = towers.encode_text(words, mask, own)
    beside = towers.encode_text(padded, longer, torch.cat([own, torch.ones_like(own[:, :3])], 1))
    torch.testing.assert_close(alone, beside)


@torch.inference_mode()
def test_the_order_of_words_matters(towers: Towers) -> None:
    words, mask = torch.randn(1, 4, 6), torch.ones(1, 4, dtype=torch.bool)
    none = towers.own([["a"] * 4])
    difference = towers.encode_text(words, mask, none) - towers.encode_text(
        words.flip(1), mask, none
    )
    assert difference.abs().max() > 1e-3


@torch.inference_mode()
def test_a_word_of_its_own_vector_is_read_by_it(towers: Towers) -> None:
    words, mask = torch.randn(1, 2, 6), torch.ones(1, 2, dtype=torch.bool)
    own = towers.own([["a", "dog"], ["man", "a"]])
    assert own.tolist() == [[0, 1], [2, 0]]
    torch.testing.assert_close(  # as long as it has learned nothing
        towers.encode_text(words, mask, own[:1]), towers.encode_text(words, mask, own[1:])
    )
    towers.text.own_content.weight[1] = torch.randn(16)
    moved = towers.encode_text(words, mask, own[:1]) - towers.encode_text(words, mask, own[1:])
    assert moved.abs().max() > 1e-3


@torch.inference_mode()
def test_the_classifier_judges_its_block_and_nothing_else() -> None:
    torch.manual_seed(0)
    towers = Towers(
        TowersConfig(blocks={"motion": 4, "appearance": 3}, width=16, hidden=32, classes=2)
    ).eval()
    classifier = towers.video.classifier
    assert classifier is not None
    classifier.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 1, 0]]))
    classifier.bias.copy_(torch.tensor([0.0, 1.0]))
    rows = torch.tensor([[9.0, 9, 9, 9, 3, 2, 5], [0, 0, 0, 0, 3, 2, 7]])
    torch.testing.assert_close(classifier.probs(rows), torch.full((2, 2), 0.5))
    # A class that is all there is to see lies where its own column points.
    first, second = towers.video.of_classes(torch.tensor([0, 1]))
    column = classifier.place.weight[:, 0] - classifier.place.weight[:, 1]
    assert first @ column > second @ column


@torch.inference_mode()
def test_the_scale_of_a_block_does_not_matter(towers: Towers) -> None:
    rows = torch.rand(5, 16)
    louder = rows * torch.tensor([1.0] * 12 + [100.0] * 4)
    torch.testing.assert_close(towers.encode_video(rows), towers.encode_video(louder))


@torch.inference_mode()
def test_rows_are_encoded_one_by_one(towers: Towers) -> None:
    rows = torch.rand(2, 7, 16)
    torch.testing.assert_close(towers.encode_video(rows)[1, 3], towers.encode_video(rows[1, 3]))


@pytest.mark.parametrize(
    "bad", [{"blocks": {}}, {"blocks": {"a": 0}}, {"dropout": 1.0}, {"classes": 2}]
)
def test_sizes_that_make_no_sense_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        TowersConfig(**{"blocks": {"a": 4}, **bad})  # type: ignore[arg-type]


@torch.inference_mode()
def test_a_sentence_vector_is_read_beside_the_words_and_may_be_missing() -> None:
    torch.manual_seed(0)
    towers = Towers(TowersConfig(**{**vars(CONFIG), "sentence_width": 8})).eval()
    words, mask = torch.randn(2, 3, 6), torch.ones(2, 3, dtype=torch.bool)
    own = towers.own([["a", "dog", "runs"]] * 2)
    sentences = torch.nn.functional.normalize(torch.randn(2, 8), dim=1)
    sentences[1] = 0
    alone = towers.encode_text(words, mask, own)
    beside = towers.encode_text(words, mask, own, sentences)
    assert (alone - beside)[0].abs().max() > 1e-3
    torch.testing.assert_close(alone[1], beside[1])
