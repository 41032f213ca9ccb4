"""How often the second stage is right on composed examples, by what is asked for.

checked = check(second_stage, examples)       # {"thing": 75.0, "order": 89.0, "all": 78.8, ...} in
%
"""

from collections.abc import Sequence

import numpy as np
import torch

from vmr.model.localise import propose
from vmr.model.second_stage import EXTRA_COLUMNS, MATCH_SCALE, SecondStage
from vmr.model.spans import iou
from vmr.research.loss import overlaps
from vmr.training.questions import KINDS
from vmr.training.second_stage_loss import SPANS, Example, put_to

Shares = dict[str, float]
"""By kind of question, and for "all", the share that was answered rightly, in %."""


@torch.inference_mode()
def check(second_stage: SecondStage, examples: Sequence[Example]) -> Shares:
    """How often the best moment is right (IoU .5 with an answer), in %, of the questions that have
    an answer, by kind; and, as "answers", how often a question that has an answer scores higher
    than one that has none."""
    found, scores, present = [], [], []
    for first in range(0, len(examples), 64):
        output, _, spans, real = put_to(second_stage.eval(), examples[first : first + 64])
        logits = output.logits.masked_fill(~output.valid, -torch.inf)
        best = logits.argmax(1)
        span = output.spans[torch.arange(len(best)), best][:, None]  # (B, 1, 2)
        hit = torch.stack([overlaps(span, spans[:, k])[:, 0] * real[:, k] for k in range(SPANS)])
        found += (hit.amax(0) >= 0.5).tolist()
        scores += logits.amax(1).tolist()
        present += (real.sum(1) > 0).tolist()
    there, score = np.array(present), np.array(scores)
    above = score[there][:, None] > score[~there][None]
    return _by_kind(examples, found) | {"answers": 100 * float(above.mean())}


def check_curve(examples: Sequence[Example]) -> Shares:
    """As `check`, when moments are read off the similarity curve alone, and no cut is known."""
    right = []
    for example in examples:
        starts = np.arange(len(example.rows), dtype=np.float64)
        curve = np.asarray(example.rows, np.float32)[:, -EXTRA_COLUMNS] / MATCH_SCALE
        best = propose(curve, starts, starts + 1, np.zeros(0))[0]
        overlap = [iou([(best.start, best.end)], [span]).max() for span in example.spans]
        right.append(max([*overlap, 0.0]) >= 0.5)
    return _by_kind(examples, right)


def _by_kind(examples: Sequence[Example], right: Sequence[bool]) -> Shares:
    """Shares of right answers among the answered questions of each kind, and of all."""
    answered = [(one.kind, hit) for one, hit in zip(examples, right, strict=True) if one.spans]
    hits = {kind: [hit for of, hit in answered if of == kind] for kind in KINDS}
    shares: Shares = {kind: 100 * float(np.mean(hit)) for kind, hit in hits.items() if hit}
    return shares | {"all": 100 * float(np.mean([hit for _, hit in answered]))}


def rounded(shares: Shares) -> str:
    """Shares as one line of text, to a tenth of a percent."""
    return ", ".join(f"{what} {share:.1f} %" for what, share in shares.items())
