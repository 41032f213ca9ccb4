"""What do questions in two parts lose with an encoder of others, of whose looks nobody taught us?

    python -m experiments.two_parts --data DIR --cache DIR [--timelines 120]

The second stage was taught the looks of the project's own space. In front of another encoder it is
shown none (vmr/model/encoded.py), only how well rows match, how things move, and where shots end.
Here that is tried where the answer is known: in the project's own space, on composed timelines of
development pictures, asked for orders ("a dog on a beach, then a red car"), with its looks, without
them, without the network at all, and by the similarity curve of the whole question.
"""

import argparse
import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from vmr.model.network import Output
from vmr.model.retrieval import RetrievalModel
from vmr.model.second_stage import SecondStage
from vmr.model.space import Space, Vector
from vmr.training.calibration import trials
from vmr.training.movements import moved_rows
from vmr.training.pictures import load_pictures


class NoLooks(Space):
    """The project's own columns, without what a still picture tells."""

    def looks(self, vectors: Vector) -> Vector:
        """(..., E) -> (..., shared + names): nothing."""
        return 0 * super().looks(vectors)


class NoNetwork(SecondStage):
    """Candidates as they are laid out, by how much better they match than what is around them."""

    def forward(self, rows: Tensor, words: Tensor, mask: Tensor, clips: Tensor) -> Output:
        """As of `SecondStage`, without what the network says."""
        said = super().forward(rows, words, mask, clips)
        own: Output = self.network(rows, words, mask, clips=clips)
        cells = self.network.candidates
        cells = cells[cells[:, 1] <= rows.shape[1]].to(own.spans.dtype).expand_as(own.spans)
        return replace(said, logits=said.logits - own.logits, spans=cells)


def arms(model: RetrievalModel) -> dict[str, RetrievalModel]:
    """The shipped model, with less and less of its second stage."""
    stage = model.second_stage
    assert stage is not None
    space = model.space
    blind = SecondStage(
        stage.network, NoLooks(space.shared_width, space.names_width, space.movements_width)
    )
    alone = NoNetwork(stage.network, space)
    for other in (blind, alone):
        other.prior_scale, other.prior_bias = stage.prior_scale, stage.prior_bias
    stages = {
        "second stage": stage,
        "shown no looks": blind.eval(),
        "no network": alone.eval(),
        "curve": None,
    }
    found = {}
    for name, own in stages.items():
        found[name] = copy.copy(model)
        found[name].second_stage = own
    return found


def main() -> None:
    """Print a line an arm."""
    parser = argparse.ArgumentParser(prog="python -m experiments.two_parts")
    parser.add_argument("--data", type=Path, required=True, help="folder of captioned pictures")
    parser.add_argument("--cache", type=Path, required=True, help="folder for their features")
    parser.add_argument("--timelines", type=int, default=120)
    options = parser.parse_args()
    pictures = load_pictures(options.data, options.cache, views=1)["flickr8k"]
    bank = moved_rows(options.data, options.cache, pictures, "dev").bank
    print("| orders, development | questions | R@1 at IoU .5, % | IoU .7, % |")
    print("|---|---:|---:|---:|", flush=True)
    for name, model in arms(RetrievalModel.load()).items():
        asked = trials(
            model, pictures, "dev", bank, seed=3, timelines=options.timelines, kind="order"
        )
        overlaps = np.array([trial.overlap for trial in asked if trial.present])
        shares = " | ".join(f"{100 * (overlaps >= least).mean():.1f}" for least in (0.5, 0.7))
        print(f"| {name} | {len(overlaps)} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
