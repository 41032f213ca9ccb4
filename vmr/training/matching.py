"""Pairs of clips and sentences in the shared space: what tells them apart, and whether they are.

contrast(clips, texts, groups, scale).mean().backward()
print(text_to_picture(towers, captions, pictures, "dev"))    # R@1/5/10 27.6/56.8/69.5
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vmr.model.towers import Towers
from vmr.training.captioned import Captions
from vmr.training.pictures import Pictures


@dataclass(frozen=True)
class Recall:
    """Text -> picture retrieval: share of captions whose picture is among the first n, in %."""

    at_1: float
    at_5: float
    at_10: float

    def __str__(self) -> str:
        return f"R@1/5/10 {self.at_1:.1f}/{self.at_5:.1f}/{self.at_10:.1f}"


def contrast(clips: Tensor, texts: Tensor, groups: Sequence[str], scale: Tensor) -> Tensor:
    """Symmetric InfoNCE loss (B,) of pairs of unit vectors, clips (B, E) and texts (B, E).

    Args:
        groups: of each pair; all pairs of one group are positives of each other.
        scale: what cosines are multiplied by, a scalar.
    """
    number = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    group = torch.tensor([number[name] for name in groups])
    target = (group[:, None] == group[None]).float()
    target = target / target.sum(1, keepdim=True)  # (B, B), symmetric
    logits = scale * texts @ clips.T  # (B, B)
    to_clips = F.cross_entropy(logits, target, reduction="none")  # (B,)
    to_texts = F.cross_entropy(logits.T, target, reduction="none")  # (B,)
    return (to_clips + to_texts) / 2


def text_to_picture(towers: Towers, captions: Captions, pictures: Pictures, split: str) -> Recall:
    """Recall of every caption of a split over the pictures of that split (view 0)."""
    towers.eval()
    chosen = pictures.of(split)
    texts = [(place, text) for place, i in enumerate(chosen) for text in pictures.captions[i]]
    with torch.inference_mode():
        clips = towers.encode_video(torch.from_numpy(pictures.rows[chosen, 0]).float())
        queries = [captions[text] for _, text in texts]
        vectors = torch.cat(
            [captions.encoded(towers, queries[i : i + 512]) for i in range(0, len(queries), 512)]
        )
        similarity = vectors @ clips.T  # (captions, pictures)
        truth = torch.tensor([place for place, _ in texts])[:, None]
        rank = (similarity > similarity.gather(1, truth)).sum(1)
    return Recall(*[100 * float((rank < n).double().mean()) for n in (1, 5, 10)])
