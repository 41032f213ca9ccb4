"""Filmed people, seen from afar, as captioned pictures: interactions of two, and street fights.

    people = people_pictures(Path("data"), Path("cache"))      # one set more, as of pictures.py

Photographs of people are taken from near; cameras on buildings see them small, and blurred. Whole
sequences of the one set, and the first hundred places of the other, are held out (`held_out`).
"""

import re
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from feature_extract.files import replacing
from feature_extract.networks.appearance import WIDTH, Appearance
from feature_extract.networks.squash import FILTER, squash
from vmr.training.film import Clip
from vmr.training.pictures import DUPLICATES, Pictures

TARS: Final = ("ut_interaction_clips.tar", "street_fights_clips.tar")
DOING: Final = {
    "hand shake": ("shaking hands", "greeting each other with a handshake"),
    "hugging": ("hugging", "embracing each other", "giving each other a hug"),
    "kick": ("kicking another person", "giving a kick"),
    "pointting": ("pointing with an arm", "pointing at something far away"),  # as the set spells it
    "punching": ("punching another person", "hitting someone with a fist"),
    "push": ("pushing another person", "shoving another away"),
    "fight": ("fighting in the street", "in a street fight", "fighting each other outside"),
    "no_fight": ("walking in a street", "standing around outside", "seen by a street camera"),
}
"""Folder of a clip -> what is done in it."""
SUBJECTS: Final = ("two people {}", "people {}", "two men {}", "a person {}", "{}")
SAME_AS: Final = {"fight": "fighting"}
"""Folder of a clip -> the group of pictures.py that shows the same."""
LOOKS: Final = (0.3, 0.5, 0.7)
"""Where in a clip its pictures are taken: 0 is its start, 1 its end."""
_HELD_OUT_STREETS: Final = 100


def held_out(name: str) -> bool:
    """Whether a clip is for development and tests only: `hand shake/14_13_1.mp4` is of sequence 13;
    even ones are held out, for all clips of a sequence show the same people in the same place."""
    numbers = [int(number) for number in re.findall(r"\d+", Path(name).stem)]
    if len(numbers) > 1:
        return sequence(name) % 2 == 0
    return numbers[0] <= _HELD_OUT_STREETS


def sequence(name: str) -> int:
    """The number of the sequence that an interaction clip was cut from."""
    return int(Path(name).stem.split("_")[1])


def members(tar: Path) -> list[str]:
    """Names of the clips in a tar."""
    with tarfile.open(tar) as file:
        return sorted(member.name for member in file if member.name.endswith(".mp4"))


def read_clips(tar: Path, names: list[str]) -> Iterator[Clip]:
    """Some clips of a tar, decoded."""
    with tarfile.open(tar) as file, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        for name in names:
            part = file.extractfile(name)
            assert part is not None
            path.write_bytes(part.read())
            yield Clip.read(path)


def people_pictures(data: Path, cache: Path) -> Pictures:
    """Pictures of every clip, of the sets that are there; what is held out is of the split "held".

    Their rows are cached.
    """
    clips = [(tar, name) for tar in TARS if (data / tar).is_file() for name in members(data / tar)]
    listed = {line.split("#")[0] for line in DUPLICATES.read_text("utf-8").splitlines()}
    repeated = {(tar, name) for tar, name in clips if f"{Path(tar).stem}/{name}" in listed}
    rows = (
        _rows(data, cache / f"people-{FILTER.name.lower()}.npy", clips)
        if clips
        else np.zeros((0, WIDTH), np.float16)
    )
    folders = [Path(name).parent.name for _, name in clips]
    said = {
        folder: tuple(subject.format(done) for done in doing for subject in SUBJECTS)
        for folder, doing in DOING.items()
    }
    every = [place for place in range(len(clips)) for _ in LOOKS]
    return Pictures(
        tuple(f"{clips[i][1]} {k % len(LOOKS)}" for k, i in enumerate(every)),
        rows[:, None],
        tuple(said[folders[i]] for i in every),
        tuple(SAME_AS.get(folders[i], folders[i]) for i in every),
        tuple(
            "held" if held_out(clips[i][1]) else "duplicate" if clips[i] in repeated else "train"
            for i in every
        ),
    )


def _rows(data: Path, cached: Path, clips: list[tuple[str, str]]) -> NDArray[np.float16]:
    """Rows (3 C, D) of the pictures of C clips, those of a clip one after the other; cached."""
    if not cached.is_file():
        network, rows = Appearance(), []
        for tar in dict.fromkeys(tar for tar, _ in clips):
            names = [name for of, name in clips if of == tar]
            for clip in read_clips(data / tar, names):
                places = [round(look * (len(clip.frames) - 1)) for look in LOOKS]
                squashed = [squash(Image.fromarray(clip.frames[place])) for place in places]
                rows.append(network(np.stack([np.asarray(p) for p in squashed])))
        with replacing(cached, sync=False) as draft:
            np.save(draft, np.concatenate(rows).astype(np.float16))
    return np.asarray(np.load(cached))
