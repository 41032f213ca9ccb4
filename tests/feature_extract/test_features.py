import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from feature_extract.features import Features, FeaturesError
from feature_extract.files import PREFIX, sweep


def make(seconds: int = 5, **changes: object) -> Features:
    rng = np.random.default_rng(0)
    starts = np.arange(seconds, dtype=np.float64)
    fields: dict[str, object] = {
        "rows": rng.normal(size=(seconds, 12)).astype(np.float16),
        "starts": starts,
        "ends": np.minimum(starts + 1, seconds - 0.25),
        "blocks": {"appearance": 8, "motion": 4},
        "cuts": np.array([1.5, 3.25]),
        "duration": seconds - 0.25,
        "unreadable": ((1.0, 1.5),),
        "fingerprint": "abc",
    }
    return Features(**(fields | changes))  # type: ignore[arg-type]


def test_loaded_is_what_was_saved(tmp_path: Path) -> None:
    features = make()
    features.save(tmp_path / "a.safetensors")
    loaded = Features.load(tmp_path / "a.safetensors")
    for field in dataclasses.fields(Features):
        before, after = getattr(features, field.name), getattr(loaded, field.name)
        if isinstance(before, np.ndarray):
            assert before.dtype == after.dtype
            np.testing.assert_array_equal(before, after)
        else:
            assert before == after
    assert list(loaded.blocks) == ["appearance", "motion"]  # the order of the columns


def test_same_features_make_the_same_bytes(tmp_path: Path) -> None:
    make().save(tmp_path / "a")
    make().save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]  # nothing left beside


def test_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    make(5).save(path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        make(6).save(path)
    assert len(Features.load(path).rows) == 5
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_every_flipped_bit_and_every_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    make(2).save(path)
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    for place in rng.choice(len(content), 150, replace=False):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(FeaturesError, match="index the video again"):
            Features.load(path)
    for length in (0, 1, 7, 8, 100, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(FeaturesError):
            Features.load(path)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FeaturesError, match=r"missing\.safetensors"):
        Features.load(tmp_path / "missing.safetensors")
    save_file({"rows": np.zeros((2, 2), np.float16)}, tmp_path / "other")
    with pytest.raises(FeaturesError, match="not a feature file"):
        Features.load(tmp_path / "other")
    (tmp_path / "pickle").write_bytes(
        b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94."
    )
    with pytest.raises(FeaturesError):
        Features.load(tmp_path / "pickle")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rows": np.full((5, 12), np.nan, np.float16)}, "NaN"),
        ({"rows": np.zeros((5, 12), np.float32)}, "float16"),
        ({"rows": np.zeros((0, 12), np.float16)}, "rows"),
        ({"rows": np.zeros((4, 12), np.float16)}, "4 rows, but 5 starts"),
        ({"blocks": {"appearance": 11}}, "add up"),
        ({"starts": np.array([0.0, 2, 1, 3, 4])}, "ascending"),
        ({"starts": np.arange(5.0) - 1}, "0 s or later"),
        ({"ends": np.arange(5.0)}, "end after it starts"),
        ({"cuts": np.array([2.0, 1.0])}, "cuts"),
        ({"duration": float("nan")}, "duration"),
        ({"unreadable": ((2.0, 1.0),)}, "unreadable"),
        ({"fingerprint": ""}, "fingerprint"),
    ],
)
def test_impossible_features_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(FeaturesError, match=words):
        make(**changes)


HALF = (
    "import os, sys, time; from pathlib import Path\n"
    "from feature_extract.features import Features\n"
    "def stuck(file): print('half', flush=True); time.sleep(600)\n"
    "os.fsync = stuck\n"
    "Features.load(Path(sys.argv[1])).save(Path(sys.argv[2]))\n"
)


def test_what_a_killed_run_left_goes_at_the_next_start(tmp_path: Path) -> None:
    """`python -m feature_extract` was killed while it wrote, and nothing ever looked again."""
    out = tmp_path / "out"
    out.mkdir()
    make().save(tmp_path / "a.safetensors")
    files = [str(tmp_path / "a.safetensors"), str(out / "b.mp4.safetensors")]
    command = [sys.executable, "-c", HALF, *files]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"half\n"
        (half,) = out.glob(f"{PREFIX}*/draft.safetensors")
        sweep(out)
        assert half.stat().st_size > 100  # it is being written, and stays
        child.kill()
    assert half.exists()
    (out / ".mine.tmp").touch()
    again = [sys.executable, "-m", "feature_extract", "none.mp4", "--out", str(out)]
    assert subprocess.run(again, capture_output=True).returncode == 3
    assert sorted(file.name for file in out.iterdir()) == [".mine.tmp"]
