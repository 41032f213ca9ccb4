"""Image sets: captioned pictures, and their appearance rows to train on.

    pictures = load_pictures(Path("data"), Path("cache"), views=4)     # rows cached as float16
    pictures["flickr8k"].rows.shape, pictures["flickr8k"].captions[0]  # (N, V, D), ("A child ...",)

Reads the training sets of MODEL_CARD.md as they are published: tar files of pictures, and a table
or JSON of captions. View 0 of a picture is the picture as a video frame would be (all of it, see
feature_extract/networks/squash.py); the others are cropped, mirrored, blurred, recompressed and
made small and large again, so that the space does not depend on what a camera does.
"""

import csv
import io
import json
import math
import random
import tarfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from feature_extract.files import replacing
from feature_extract.networks.appearance import WIDTH, Appearance
from feature_extract.networks.device import memory_kept
from feature_extract.networks.squash import FILTER, squash

_BATCH: Final = 32
_ENDINGS: Final = (".jpg", ".webp")
_NOT_READ: Final = ("model",)  # authors of captions

ACTIONS: Final = {
    "calling": ("talking on the phone", "making a phone call", "holding a phone to the ear"),
    "clapping": ("clapping", "applauding", "clapping hands"),
    "cycling": ("riding a bicycle", "cycling", "riding a bike on the road"),
    "dancing": ("dancing", "dancing on a stage", "doing a dance"),
    "drinking": ("drinking", "drinking from a glass", "having a drink"),
    "eating": ("eating", "eating food", "having a meal"),
    "fighting": ("fighting", "in a fight", "fighting each other"),
    "hugging": ("hugging", "hugging each other", "giving a hug"),
    "laughing": ("laughing", "laughing out loud", "having a good laugh"),
    "listening_to_music": ("listening to music", "wearing headphones", "listening with earphones"),
    "running": ("running", "jogging", "running in a race"),
    "sitting": ("sitting", "sitting on a chair", "sitting down"),
    "sleeping": ("sleeping", "asleep in bed", "taking a nap"),
    "texting": ("texting", "typing on a phone", "looking at a mobile phone"),
    "using_laptop": ("using a laptop", "working on a computer", "typing on a laptop"),
}
"""What a picture of each action shows, in the words of people."""
DUPLICATES: Final = Path(__file__).with_name("duplicates.txt")
"""Training pictures that are held out elsewhere, one `set/name` a line; benchmarks/leaks.py."""
SUBJECTS: Final = ("a person {}", "a man {}", "a woman {}", "people {}", "someone {}", "{}")


class ImageSetError(ValueError):
    """A set of training pictures that cannot be read; one line that names the file."""


@dataclass(frozen=True)
class Pictures:
    """One set of captioned pictures."""

    names: tuple[str, ...]
    "The name of every picture in its tar file."
    rows: NDArray[np.float16]
    "(N, V, D): appearance rows of V views of each picture."
    captions: tuple[tuple[str, ...], ...]
    "The captions of every picture; there may be none."
    groups: tuple[str, ...]
    "The group of every picture. Those of one group share their captions."
    splits: tuple[str, ...]
    "The split of every picture: train, dev or test; another word where nothing may use it."

    def of(self, split: str) -> NDArray[np.intp]:
        """The indices of the pictures of one split, ascending."""
        return np.flatnonzero(np.asarray(self.splits) == split)

    @property
    def counts(self) -> dict[str, int]:
        """How many pictures there are of each split."""
        return dict(sorted(Counter(self.splits).items()))

    def and_some(self, others: "Pictures", split: str, count: int) -> "Pictures":
        """These pictures, and up to `count` of a split of another set, evenly spread over it. Of
        the latter the first view stands for all."""
        places = others.of(split)
        places = places[:: max(1, len(places) // count)][:count]
        views = self.rows.shape[1]
        return Pictures(
            self.names + tuple(others.names[i] for i in places),
            np.concatenate([self.rows, others.rows[places, :1].repeat(views, axis=1)]),
            self.captions + tuple(others.captions[i] for i in places),
            self.groups + tuple(others.groups[i] for i in places),
            self.splits + (split,) * len(places),
        )


def load_pictures(data: Path, cache: Path, *, views: int, others: int = 1) -> dict[str, Pictures]:
    """Every set that `data` holds: flickr8k (needed), coco, ade, har15 and gym (when there).

    Args:
        views: of captioned pictures; 0: no network looks at any picture.
        others: views of the other sets; for many pictures with few words one is enough.

    Raises:
        ImageSetError: a file is missing or is not as published.
    """
    if not (data / "flickr8k_images.tar").is_file():
        raise ImageSetError(
            f"{data}: no flickr8k_images.tar; --data is the folder of training sets"
        )
    sets = {"flickr8k": _flickr8k(data, cache, views)}
    readers = {
        "coco": (_coco, views),
        "ade": (_ade, views),
        "har15": (_har15, others),
        "gym": (_gym, others),
    }
    for name, (read, number) in readers.items():
        if (data / f"{name}_images.tar").is_file():
            sets[name] = read(data, cache, number)
    duplicates = frozenset(DUPLICATES.read_text("utf-8").splitlines())
    return {name: held_apart(name, pictures, duplicates) for name, pictures in sets.items()}


def held_apart(name: str, pictures: Pictures, duplicates: frozenset[str]) -> Pictures:
    """Training pictures that are also among those held out belong to no split."""
    splits = tuple(
        "duplicate" if split == "train" and f"{name}/{picture}" in duplicates else split
        for split, picture in zip(pictures.splits, pictures.names, strict=True)
    )
    return replace(pictures, splits=splits)


def augment(picture: Image.Image, seed: int) -> Image.Image:
    """A random view: mirrored, cropped, stretched, small and large again, blurred, recompressed."""
    rng = random.Random(seed)
    width, height = picture.size
    if rng.random() < 0.5:
        picture = ImageOps.mirror(picture)
    area, aspect = rng.uniform(0.5, 1.0), math.exp(rng.uniform(-0.3, 0.3))
    across = min(width, width * math.sqrt(area * aspect))
    down = min(height, height * math.sqrt(area / aspect))
    left, top = rng.uniform(0, width - across), rng.uniform(0, height - down)
    picture = picture.crop((int(left), int(top), int(left + across), int(top + down)))
    if rng.random() < 0.3:
        small = rng.randint(96, 160)
        picture = picture.resize((small, small), Image.Resampling.BILINEAR)
    picture = squash(picture)
    if rng.random() < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))
    if rng.random() < 0.5:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=rng.randint(30, 90))
        picture = Image.open(buffer).convert("RGB")
    light = rng.uniform(0.75, 1.25)
    return picture.point(lambda value: min(255, int(value * light)))


def _flickr8k(data: Path, cache: Path, views: int) -> Pictures:
    return _captioned(data, cache, views, "flickr8k", ("flickr8k",))


def _coco(data: Path, cache: Path, views: int) -> Pictures:
    """COCO photographs, of two tars. Captions that a model edited are left out."""
    return _captioned(data, cache, views, "coco", ("coco", "coco_more"))


def _ade(data: Path, cache: Path, views: int) -> Pictures:
    """ADE20K scenes. Of five sentences that go from the whole to details only the first is read."""
    ade = _captioned(data, cache, views, "ade", ("ade",))
    return replace(ade, captions=tuple(said[:1] for said in ade.captions))


def _captioned(data: Path, cache: Path, views: int, name: str, tars: tuple[str, ...]) -> Pictures:
    """A set whose table has the columns image, split and caption, and perhaps who wrote it."""
    captions: dict[str, list[str]] = defaultdict(list)
    split: dict[str, str] = {}
    with (data / f"{name}_captions.csv").open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            if line.get("by") not in _NOT_READ:
                captions[line["image"]].append(line["caption"])
                split[line["image"]] = line["split"]
    listed = list[str]()
    rows = list[NDArray[np.float16]]()
    for tar in tars:
        if (data / f"{tar}_images.tar").is_file():
            names, read = _rows(data / f"{tar}_images.tar", cache / tar, views)
            kept = [place for place, file in enumerate(names) if Path(file).name in captions]
            listed += [names[place] for place in kept]
            rows.append(read[kept])
    files = [Path(name).name for name in listed]
    return Pictures(
        tuple(listed),
        np.concatenate(rows),
        tuple(tuple(captions[file]) for file in files),
        tuple(files),
        tuple(split[file] for file in files),
    )


def _har15(data: Path, cache: Path, views: int) -> Pictures:
    names, rows = _rows(data / "har15_images.tar", cache / "har15", views, lambda _: True)
    actions = [Path(name).parent.name for name in names]
    captions = {
        action: tuple(subject.format(phrase) for phrase in phrases for subject in SUBJECTS)
        for action, phrases in ACTIONS.items()
    }
    listed = tuple(captions[action] for action in actions)
    return Pictures(names, rows, listed, tuple(actions), splits_of_har15(len(names)))


def splits_of_har15(count: int) -> tuple[str, ...]:
    """The split of every picture, in the order of their names.

    The published test labels are not to be trusted: every tenth picture is held out instead, and
    every tenth more to choose by.
    """
    held_out = {0: "test", 5: "dev"}
    return tuple(held_out.get(i % 10, "train") for i in range(count))


def _gym(data: Path, cache: Path, views: int) -> Pictures:
    listing = json.loads((data / "gym_images.json").read_text())
    facts = {entry["image"]: entry for entry in listing}
    names, rows = _rows(
        data / "gym_images.tar", cache / "gym", views, lambda name: _tail(name) in facts
    )
    exercises = [facts[_tail(name)]["name"].lower() for name in names]
    captions = tuple(
        tuple(subject.format(f"doing {exercise}") for subject in SUBJECTS) for exercise in exercises
    )
    return Pictures(names, rows, captions, tuple(exercises), ("train",) * len(names))


def _tail(name: str) -> str:
    """The last two parts of a name in the tar: the folder of an exercise and its file."""
    return "/".join(Path(name).parts[-2:])


def _rows(
    tar: Path, cache: Path, views: int, wanted: Callable[[str], bool] = lambda _: True
) -> tuple[tuple[str, ...], NDArray[np.float16]]:
    """Names and (N, V, D) rows of the pictures in a tar; one cached file a view."""
    cache.mkdir(parents=True, exist_ok=True)
    with tarfile.open(tar) as file:
        names = tuple(
            sorted(m.name for m in file if m.name.lower().endswith(_ENDINGS) and wanted(m.name))
        )
    stacked = []
    for view in range(views):
        cached = cache / f"view{view}-{FILTER.name.lower()}.npy"
        if not cached.is_file():
            with replacing(cached, sync=False) as draft:
                np.save(draft, _extract(tar, names, view))
        rows = np.load(cached)
        if rows.shape != (len(names), WIDTH):
            raise ImageSetError(
                f"{cached}: rows of shape {rows.shape}, not {(len(names), WIDTH)}; delete it"
            )
        stacked.append(rows)
    if not stacked:
        return names, np.empty((len(names), 0, WIDTH), np.float16)
    return names, np.stack(stacked, axis=1)


def _extract(tar: Path, names: tuple[str, ...], view: int) -> NDArray[np.float16]:
    network = Appearance()
    batches: list[NDArray[np.float16]] = []
    pixels: list[NDArray[np.uint8]] = []
    with memory_kept():
        for picture in squashed_pictures(tar, names, view):
            pixels.append(picture)
            if len(pixels) == _BATCH:
                batches.append(network(np.stack(pixels)).astype(np.float16))
                pixels.clear()
                print(f"\r{tar.name} view {view}: {len(batches) * _BATCH}/{len(names)}", end="")
        if pixels:
            batches.append(network(np.stack(pixels)).astype(np.float16))
    print()
    return np.concatenate(batches)


def squashed_pictures(
    tar: Path, names: tuple[str, ...], view: int = 0
) -> Iterator[NDArray[np.uint8]]:
    """A view of each of the named pictures in a tar, (SIZE, SIZE, 3)."""
    with tarfile.open(tar) as file, ThreadPoolExecutor(2) as pool:

        def prepared(numbered: tuple[int, bytes]) -> NDArray[np.uint8]:
            number, content = numbered
            picture = Image.open(io.BytesIO(content)).convert("RGB")
            if view:
                return np.asarray(augment(picture, seed=view * 1_000_003 + number))
            return np.asarray(squash(picture))

        for first in range(0, len(names), _BATCH):  # a tar is read by one thread, in small bites
            bite = [file.extractfile(name) for name in names[first : first + _BATCH]]
            contents = [part.read() for part in bite if part is not None]
            yield from pool.map(prepared, enumerate(contents, first))
