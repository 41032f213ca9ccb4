"""What the motion network knows that pictures do not: on held-out stills that move, and on people.

    python -m experiments.motion moved --data DIR --cache DIR      # ways, speeds, order queries
    python -m experiments.motion people --data DIR                 # UT-Interaction, street fights

Each table has rows of the appearance network alone, of C3D alone, and of both side by side.
`moved`: Flickr8k's training pictures, moved by vmr/training/moving.py, train linear probes, and a
small shared space of rows and sentences ("a dog on a beach moves left"); its test pictures are
moved alike and asked. An order query is right when the true sentence is nearer than the one that
says the opposite; chance is 50 %. `people`: real clips through the real extractor; nothing of the
networks was trained on either set. UT-Interaction leaves one of its two sets of sequences out in
turn; of the fights, numbers above 100 are held out.
"""

import argparse
import re
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn import functional as F

from feature_extract.clips import ClipNetwork
from feature_extract.extract import Extractor
from feature_extract.motion import SIDE, load_motion, motion_frames
from feature_extract.networks.appearance import BLOCKS, SIZE, Appearance
from vmr.model.text import Words
from vmr.model.towers import Towers, TowersConfig
from vmr.training.c3d import STORED, stored_pixels
from vmr.training.captioned import pad
from vmr.training.moving import WAYS, Motions, draw_motions, render
from vmr.training.pictures import Pictures, load_pictures

SEEN: Final = sum(BLOCKS.values())
PARTS: Final = {"appearance": slice(0, SEEN), "C3D": slice(SEEN, None), "both": slice(0, None)}
APPEARANCE_PICTURE: Final = 8
"""Of the 16 of a clip: the one in the middle of its second."""
OPPOSITES: Final = {
    "left or right": (("moves left", "goes to the left"), ("moves right", "goes to the right")),
    "up or down": (("moves up", "goes up"), ("moves down", "goes down")),
    "zooms in or out": (("zooms in", "is zoomed in"), ("zooms out", "is zoomed out")),
    "comes or leaves": (("approaches", "comes nearer"), ("leaves", "goes away")),
}
_STEPS: Final = 600
_BATCH: Final = 128
_REVERSED: Final = 3
"""Every third test clip is also asked when played backwards."""


def main() -> None:
    """Print the tables of one part."""
    parser = argparse.ArgumentParser(prog="python -m experiments.motion", description=__doc__)
    parser.add_argument("part", choices=("moved", "people"))
    parser.add_argument("--data", type=Path, required=True, help="folder of the training sets")
    parser.add_argument("--cache", type=Path, help="folder for features (moved)")
    parser.add_argument("--train", type=int, default=1500, help="moved clips to train probes on")
    parser.add_argument("--test", type=int, default=500, help="moved clips to ask")
    options = parser.parse_args()
    if options.part == "people":
        _people(options.data)
    elif options.cache is None:
        parser.error("moved needs --cache")
    else:
        _moved(options.data, options.cache, options.train, options.test)


def _moved(data: Path, cache: Path, train: int, test: int) -> None:
    pictures = load_pictures(data, cache, views=1)["flickr8k"]
    sets = {}
    for split, count in (("train", train), ("test", test)):
        sets[split] = _moved_rows(data, cache, pictures, split, count)
    _print_probes(sets)
    _print_order(pictures, sets)


@dataclass(frozen=True)
class _Moved:
    """Moved pictures of one split."""

    rows: NDArray[np.float32]
    "(N, D)"
    motions: Motions
    places: list[int]
    "of each, the picture"
    forward: int
    "so many are played forwards; the others are some of these, played backwards"


def _moved_rows(data: Path, cache: Path, pictures: Pictures, split: str, count: int) -> _Moved:
    """Rows (count, D) of the pictures of a split, each moved in a way of its own; of the test
    split, every third once more, played backwards."""
    pixels = stored_pixels(data, cache, "flickr8k", pictures)
    chosen = pictures.of(split)
    draw = torch.Generator().manual_seed(17 if split == "train" else 18)
    motions = draw_motions(count, draw)
    places = [int(chosen[i % len(chosen)]) for i in range(count)]
    others = [int(chosen[(i + 7) % len(chosen)]) for i in range(count)]
    clip_network, appearance = ClipNetwork(load_motion()), Appearance()
    rows, turned = [], []
    for i in range(0, count, 4):
        part = slice(i, min(i + 4, count))
        shown, behind = (torch.from_numpy(pixels[p[part]]) for p in (places, others))
        clips = render(shown, behind, motions[part], side=STORED)  # (4, 3, 16, 192, 192)
        rows.append(_rows(clips, clip_network, appearance))
        if split == "test" and i // 4 % _REVERSED == 0:
            turned.append((part, _rows(clips.flip(2), clip_network, appearance)))
        print(f"\r{split}: {min(i + 4, count)}/{count}", end="", flush=True)
    print()
    for part, backwards in turned:
        rows.append(backwards)
        motions = _joined(motions, motions[part].backwards())
        places += places[part]
    return _Moved(np.concatenate(rows), motions, places, count)


def _rows(
    clips: torch.Tensor, clip_network: ClipNetwork, appearance: Appearance
) -> NDArray[np.float32]:
    """(B, D) rows of clips (B, 3, 16, 192, 192), prepared as the extractor prepares video."""
    count = len(clips)
    pictures = clips.permute(0, 2, 3, 4, 1).flatten(0, 1).byte().numpy()  # (B 16, 192, 192, 3)
    seen = motion_frames(pictures).reshape(count, 16, SIDE, SIDE, 3)
    windows = np.pad(seen, ((0, 0),) * 4 + ((0, 1),), constant_values=1)
    middle = clips[:, :, APPEARANCE_PICTURE]  # (B, 3, 192, 192)
    large = F.interpolate(middle, (SIZE, SIZE), mode="bilinear").byte()
    looks = appearance(np.ascontiguousarray(large.permute(0, 2, 3, 1).numpy()))
    return np.concatenate([looks, clip_network(windows)], axis=1, dtype=np.float32)


def _joined(first: Motions, second: Motions) -> Motions:
    names = Motions.__dataclass_fields__
    return Motions(**{n: torch.cat([getattr(first, n), getattr(second, n)]) for n in names})


def _print_probes(sets: dict[str, _Moved]) -> None:
    """Linear probes: labels of motion among the clips that have one."""
    print(
        "\n| linear probe | clips | " + " | ".join(PARTS) + " |\n|---|---:|" + "---:|" * len(PARTS)
    )
    for name, what in (
        ("shift", "way, of eight"),
        ("speed", "speed, of three"),
        ("growth", "nearer or farther"),
        ("turn", "turning which way"),
    ):
        labels = {split: moved.motions.labels()[name].numpy() for split, moved in sets.items()}
        kept = {split: label > 0 for split, label in labels.items()}
        shares = []
        for part in PARTS.values():
            x, y = sets["train"].rows[kept["train"]][:, part], labels["train"][kept["train"]]
            probe = _probe().fit(x, y)
            asked = sets["test"].rows[kept["test"]][:, part]
            shares.append(100 * probe.score(asked, labels["test"][kept["test"]]))
        figures = " | ".join(f"{share:.1f}" for share in shares)
        print(f"| {what} | {kept['test'].sum()} | {figures} |")


def _probe() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))


def _told(motions: Motions, i: int) -> tuple[str, int] | None:
    """What an order query says of a clip: which pair, and which of its two sides."""
    way = WAYS[int(motions.way[i])] if motions.way[i] >= 0 else ""
    grows = float(motions.growth[i])
    if way in ("left", "right"):
        return "left or right", int(way == "right")
    if way in ("up", "down"):
        return "up or down", int(way == "down")
    if grows:
        return "comes or leaves" if motions.oval[i] else "zooms in or out", int(grows < 0)
    return None


def _print_order(pictures: Pictures, sets: dict[str, _Moved]) -> None:
    """Order queries, through a shared space trained on moved training pictures."""
    words = Words.load()
    print(
        "\n| order query | asked | " + " | ".join(PARTS) + " |\n|---|---:|" + "---:|" * len(PARTS)
    )
    found: dict[str, list[list[bool]]] = {}
    for part in PARTS.values():
        towers = _taught(words, pictures, sets["train"], part)
        for name, right in _asked(towers, words, pictures, sets["test"], part).items():
            found.setdefault(name, []).append(right)
    for name, columns in found.items():
        figures = " | ".join(f"{100 * np.mean(right):.1f}" for right in columns)
        print(f"| {name} | {len(columns[0])} | {figures} |")


def _sentences(pictures: Pictures, moved: _Moved, i: int, seed: int) -> tuple[str, str, str] | None:
    """The pair, the true sentence and its opposite."""
    told = _told(moved.motions, i)
    if told is None:
        return None
    pair, side = told
    captions = pictures.captions[moved.places[i]]
    caption = captions[seed % len(captions)].rstrip(" .")
    true, false = (OPPOSITES[pair][s][seed % 2] for s in (side, 1 - side))
    return pair, f"{caption} {true}", f"{caption} {false}"


def _taught(words: Words, pictures: Pictures, moved: _Moved, part: slice) -> Towers:
    """Towers that tell true sentences of moved clips from their opposites and from others'."""
    torch.manual_seed(0)
    rows = torch.from_numpy(moved.rows[:, part])
    towers = Towers(TowersConfig(blocks={"row": rows.shape[1]}, width=128, hidden=256)).train()
    towers.video.mean.copy_(F.normalize(rows, dim=1).mean(0))
    usable = [i for i in range(len(rows)) if _told(moved.motions, i) is not None]
    optimizer = torch.optim.AdamW(towers.parameters(), 1e-3, weight_decay=0.05)
    draw = np.random.default_rng(0)
    for step in range(_STEPS):
        batch = draw.choice(usable, _BATCH)
        told = [_sentences(pictures, moved, int(i), int(draw.integers(1000))) for i in batch]
        texts = [one[k] for k in (1, 2) for one in told if one is not None]
        vectors = _encoded(towers, words, texts)
        clips = towers.encode_video(rows[batch])
        logits = towers.log_scale.exp() * clips @ vectors.T  # (B, 2 B): the true ones first
        loss = F.cross_entropy(logits, torch.arange(len(batch)))
        mine = logits.diagonal() - logits.diagonal(_BATCH)
        loss = loss + F.softplus(-mine).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if (step + 1) % 100 == 0:
            print(f"\rshared space: {step + 1}/{_STEPS}", end="", flush=True)
    print("\r", end="")
    return towers.eval()


def _encoded(towers: Towers, words: Words, texts: list[str]) -> torch.Tensor:
    """(B, E) vectors of sentences."""
    queries = [words.query(text) for text in texts]
    own = towers.own([query.words for query in queries])
    return towers.encode_text(*pad([query.vectors for query in queries]), own)


@torch.inference_mode()
def _asked(
    towers: Towers, words: Words, pictures: Pictures, moved: _Moved, part: slice
) -> dict[str, list[bool]]:
    """For each pair, whether each query was right; backwards ones apart."""
    clips = towers.encode_video(torch.from_numpy(moved.rows[:, part]))
    right: dict[str, list[bool]] = {name: [] for name in (*OPPOSITES, "played backwards")}
    for i in range(len(clips)):
        told = _sentences(pictures, moved, i, i)
        if told is None:
            continue
        pair, *texts = told
        vectors = _encoded(towers, words, texts)
        near = vectors @ clips[i]
        name = pair if i < moved.forward else "played backwards"
        right[name].append(bool(near[0] > near[1]))
    return right


def _people(data: Path) -> None:
    print("| probe | clips | " + " | ".join(PARTS) + " |\n|---|---:|" + "---:|" * len(PARTS))
    names, rows = _clip_rows(data / "ut_interaction_clips.tar")
    classes = np.array([name.split("/")[-2] for name in names])
    sequence = np.array([int(re.findall(r"\d+", Path(name).stem)[1]) for name in names])
    _print_people("UT-Interaction, six actions", rows, classes, [sequence <= 10, sequence > 10])
    names, rows = _clip_rows(data / "street_fights_clips.tar")
    classes = np.array([name.split("/")[-2] for name in names])
    number = np.array([int(re.findall(r"\d+", Path(name).stem)[0]) for name in names])
    _print_people("street fight or none", rows, classes, [number <= 100])


def _print_people(
    what: str, rows: NDArray[np.float32], classes: NDArray[np.str_], folds: list[NDArray[np.bool_]]
) -> None:
    shares = []
    for part in PARTS.values():
        right: list[bool] = []
        for train in folds:
            probe = _probe().fit(rows[train][:, part], classes[train])
            right.extend(probe.predict(rows[~train][:, part]) == classes[~train])
        shares.append(100 * float(np.mean(right)))
    asked = sum(int((~train).sum()) for train in folds)
    print(f"| {what} | {asked} | " + " | ".join(f"{share:.1f}" for share in shares) + " |")


def _clip_rows(tar: Path) -> tuple[list[str], NDArray[np.float32]]:
    """Names and (N, D) mean rows of the clips of a tar, through the real extractor."""
    extractor = Extractor(motion=True)
    names, rows = [], []
    with tempfile.TemporaryDirectory() as folder, tarfile.open(tar) as file:
        for member in file:
            if not member.name.endswith(".mp4"):
                continue
            content = file.extractfile(member)
            assert content is not None
            path = Path(folder) / "clip.mp4"
            path.write_bytes(content.read())
            names.append(member.name)
            rows.append(extractor.extract(path).features.rows.astype(np.float32).mean(0))
            print(f"\r{tar.name}: {len(names)}", end="", flush=True)
    print("\r", end="")
    return names, np.stack(rows)


if __name__ == "__main__":
    main()
