"""Filmed people as captioned pictures: what is held out, what is said of them."""

import tarfile
from pathlib import Path

import numpy as np
import pytest

from feature_extract.networks.appearance import WIDTH
from tests.support.media import counter_video
from vmr.training.people import LOOKS, TARS, held_out, members, people_pictures


@pytest.mark.parametrize(
    ("name", "is_held_out"),
    [
        ("hand shake/14_13_1.mp4", False),
        ("push/8_12_5.mp4", True),
        ("fight/fi100.mp4", True),
        ("no_fight/nofi101.mp4", False),
    ],
)
def test_whole_sequences_and_the_first_places_are_held_out(name: str, is_held_out: bool) -> None:
    assert held_out(name) is is_held_out


def test_every_clip_is_some_captioned_pictures(tmp_path: Path) -> None:
    counter_video(tmp_path / "clip.mp4", 0.5)
    listing = {TARS[0]: ("push/8_12_5.mp4", "hugging/1_3_1.mp4"), TARS[1]: ("fight/fi120.mp4",)}
    for tar, names in listing.items():
        with tarfile.open(tmp_path / tar, "w") as file:
            for name in names:
                file.add(tmp_path / "clip.mp4", name)
    assert members(tmp_path / TARS[0]) == sorted(listing[TARS[0]])
    pictures = people_pictures(tmp_path, tmp_path)
    assert pictures.rows.shape == (3 * len(LOOKS), 1, WIDTH)
    assert np.ptp(pictures.rows.astype(np.float32), axis=0).max() > 0  # other moments, other rows
    assert pictures.groups == ("hugging",) * 3 + ("push",) * 3 + ("fighting",) * 3
    assert pictures.of("train").tolist() == [0, 1, 2, 6, 7, 8]
    assert "two people hugging" in pictures.captions[0]
    assert "people fighting in the street" in pictures.captions[6]


def test_without_clips_there_are_no_pictures(tmp_path: Path) -> None:
    assert not people_pictures(tmp_path, tmp_path).names
