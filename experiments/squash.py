"""What it costs that pictures become the network's square by another filter than video does.

    OMP_NUM_THREADS=1 python -m experiments.squash --data DIR --cache DIR [--train EPOCHS]

Three ways from a picture to 260 x 260: Pillow's bilinear filter, Pillow's bicubic one, and the way
of video (libav's bicubic: the pictures are written as a film without loss and read as any video).
Printed are how near the rows of the same picture are (cosine, block by block), for Flickr8k's
development pictures, which have to grow, and for a few large photographs of scikit-image and
scikit-learn, which have to shrink; and, with the shipped weights, how often captions find the
development pictures when their rows are made each way. `--train` also trains the shared space on
rows made by each of Pillow's filters, and asks for the rows of video.
"""

import argparse
import io
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.accuracy import text_to_picture
from feature_extract.files import replacing
from feature_extract.networks.appearance import BLOCKS, SIZE, Appearance
from feature_extract.video.frames import read_frames
from vmr.media.ffmpeg import run
from vmr.model.retrieval import RetrievalModel
from vmr.model.text import Words
from vmr.training import base, matching
from vmr.training.assemble import MAIN, training_captions
from vmr.training.captioned import Captions
from vmr.training.pictures import Pictures, load_pictures

Pixels = NDArray[np.uint8]
LARGE: Final = ("astronaut", "chelsea", "coffee", "rocket")
"""Photographs of scikit-image, beside the two of scikit-learn."""
FILM_FPS: Final = 4


def main() -> None:
    """Print cosines, recall, and, when asked to, recall of spaces trained each way."""
    parser = argparse.ArgumentParser(prog="python -m experiments.squash", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of captioned pictures")
    parser.add_argument("--cache", type=Path, required=True, help="folder for their features")
    parser.add_argument("--train", type=int, default=0, metavar="EPOCHS")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pictures = load_pictures(options.data, options.cache, views=0, others=0)[MAIN]
    tar, cache = options.data / "flickr8k_images.tar", options.cache / "squash"
    splits = ("dev", "train") if options.train else ("dev",)
    rows = {
        split: {
            way: _rows(cache / f"{split}-{way}.npy", way, tar, pictures, split)
            for way in WAYS
            if split == "dev" or way != "video"
        }
        for split in splits
    }
    _cosines("Flickr8k dev, 192 x 192", rows["dev"])
    large = {way: _seen(way, _large()) for way in WAYS}
    _cosines("photographs of 400 x 400 to 640 x 480", large)
    model, words = RetrievalModel.load(), Words.load()
    for way in WAYS:
        asked = _with_rows(pictures, {"dev": rows["dev"][way]})
        print(f"shipped weights, dev rows by {way}: {text_to_picture(model, asked, 'dev')}")
    _own_video(model, rows["dev"])
    for way in WAYS:
        if options.train and way != "video":
            trained = {"train": rows["train"][way], "dev": rows["dev"]["video"]}
            found = _trained(words, _with_rows(pictures, trained), options.train, options.seed)
            print(f"trained on rows by {way}, dev rows by video: {found}", flush=True)


def _pillow(filter: Image.Resampling) -> Callable[[Sequence[Pixels]], Iterator[Pixels]]:
    def squashed(pictures: Sequence[Pixels]) -> Iterator[Pixels]:
        for pixels in pictures:
            yield np.asarray(Image.fromarray(pixels).resize((SIZE, SIZE), filter))

    return squashed


def _as_video(pictures: Sequence[Pixels]) -> Iterator[Pixels]:
    """The pictures, which are of one shape, as they come out of a film of them."""
    height, width = pictures[0].shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        raw, film = Path(folder) / "raw", Path(folder) / "film.mp4"
        raw.write_bytes(b"".join(pixels.tobytes() for pixels in pictures))
        given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
        given += ["-r", str(FILM_FPS), "-i", str(raw)]
        kept = ["-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv420p", "-preset", "ultrafast"]
        run(given, kept, film, name=film.name)
        seen = [frames.pixels for frames in read_frames(film, rate=FILM_FPS, size=(SIZE, SIZE))]
    frames = np.concatenate(seen)
    if len(frames) != len(pictures):
        raise RuntimeError(f"{len(frames)} frames of {len(pictures)} pictures")
    yield from frames


WAYS: Final[dict[str, Callable[[Sequence[Pixels]], Iterator[Pixels]]]] = {
    "bilinear": _pillow(Image.Resampling.BILINEAR),
    "bicubic": _pillow(Image.Resampling.BICUBIC),
    "video": _as_video,
}


def _rows(cached: Path, way: str, tar: Path, of: Pictures, split: str) -> NDArray[np.float32]:
    """(N, D) rows of the pictures of a split; computed once."""
    if not cached.is_file():
        cached.parent.mkdir(parents=True, exist_ok=True)
        rows = _seen(way, _pixels(tar, [of.names[i] for i in of.of(split)]))
        with replacing(cached, sync=False) as draft:
            np.save(draft, rows)
    return np.asarray(np.load(cached))


def _pixels(tar: Path, names: Sequence[str]) -> list[Pixels]:
    with tarfile.open(tar) as file:
        parts = [file.extractfile(name) for name in names]
        contents = [part.read() for part in parts if part is not None]
    return [np.asarray(Image.open(io.BytesIO(part)).convert("RGB")) for part in contents]


def _large() -> list[Pixels]:
    """Photographs of even height and width, as video has them."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    photographs: list[Any] = [getattr(data, name)() for name in LARGE]
    photographs += load_sample_images().images
    return [
        np.ascontiguousarray(photograph[: len(photograph) // 2 * 2, : photograph.shape[1] // 2 * 2])
        for photograph in photographs
    ]


def _seen(way: str, pictures: list[Pixels]) -> NDArray[np.float32]:
    """(N, D) rows of pictures, by one of WAYS."""
    network = Appearance()
    if len({pixels.shape for pixels in pictures}) == 1:
        squashed = list(WAYS[way](pictures))
    else:  # a film has one shape
        squashed = [square for pixels in pictures for square in WAYS[way]([pixels])]
    batches = [squashed[first : first + 16] for first in range(0, len(squashed), 16)]
    return np.concatenate([network(np.stack(batch)) for batch in batches])


def _cosines(title: str, rows: dict[str, NDArray[np.float32]]) -> None:
    """A table: how near each way's rows are to those of video, block by block; mean and least."""
    print(f"\n| {title}: cosine with video's row, mean (least) | " + " | ".join(BLOCKS) + " |")
    print("|---|" + "---:|" * len(BLOCKS))
    ends = np.cumsum(list(BLOCKS.values()))[:-1]
    wanted = np.split(rows["video"], ends, axis=1)
    for way in ("bilinear", "bicubic"):
        cells = []
        for mine, theirs in zip(np.split(rows[way], ends, axis=1), wanted, strict=True):
            cosine = _unit(mine) * _unit(theirs)
            each = cosine.sum(1)
            cells.append(f"{each.mean():.4f} ({each.min():.4f})")
        print(f"| {way} | " + " | ".join(cells) + " |", flush=True)
    print()


def _own_video(model: RetrievalModel, rows: dict[str, NDArray[np.float32]]) -> None:
    """How often a picture, as a query, has its own second of video as its first answer."""
    clips = model.encode_clips(rows["video"])
    for way in ("bilinear", "bicubic"):
        asked = np.stack([model.as_query(clip) for clip in model.encode_clips(rows[way])])
        similar = asked @ clips.T
        first = similar.argmax(1) == np.arange(len(clips))
        width = model.towers.config.width
        cosine = (asked[:, :width] * clips[:, :width]).sum(1)
        print(f"a picture by {way} as a query: its own video first for {100 * first.mean():.1f} %, "
              f"cosine of vectors {cosine.mean():.4f} (least {cosine.min():.4f})")  # fmt: skip


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _with_rows(pictures: Pictures, rows: dict[str, NDArray[np.float32]]) -> Pictures:
    """The pictures with one view, in which those of the splits have the rows given."""
    views = np.zeros((len(pictures.names), 1, sum(BLOCKS.values())), np.float16)
    for split, values in rows.items():
        views[pictures.of(split), 0] = values
    return replace(pictures, rows=views)


def _trained(words: Words, pictures: Pictures, epochs: int, seed: int) -> matching.Recall:
    """Development recall of a space that was trained on captioned pictures alone."""
    torch.manual_seed(seed)
    config = base.BaseConfig(epochs=epochs, extra={}, views=1, seed=seed)
    captions = Captions(words)
    times = captions.counts(training_captions(pictures))
    run = base.Run(config, base.new_towers(config, times, [pictures]), [pictures])
    for _ in range(epochs):
        base.train_epoch(run, captions, {})
    return matching.text_to_picture(run.averaged, captions, pictures, "dev")


if __name__ == "__main__":
    main()
