"""The main job, on real video, as the README tells it: index the samples, ask, get the moment."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vmr.__main__ import main
from vmr.cli.samples import SAMPLES, build_samples, spans
from vmr.model.spans import iou

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| `(?P<query>[^`]+)` \| (?P<video>\w+) \| (?P<start>\d+) - (?P<end>\d+) s \|")


def readme_queries() -> list[dict[str, str]]:
    lines = (ROOT / "README.md").read_text().splitlines()
    return [match.groupdict() for line in lines if (match := ROW.match(line))]


def vmr(*arguments: str, code: int = 0) -> str:
    command = [sys.executable, "-m", "vmr", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == code, done.stderr
    return done.stdout


def search(library: Path, query: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["search", query, "--library", str(library), "--json"]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    build_samples(folder / "videos")
    vmr("index", str(folder / "videos"), "--library", str(folder / "library"))
    return folder / "library"


def test_the_samples_are_two_minutes_of_three_videos(library: Path) -> None:
    videos = json.loads(vmr("list", "--library", str(library), "--json"))["videos"]
    assert {Path(video["path"]).stem for video in videos} == set(SAMPLES)
    assert all(video["state"] == "ready" for video in videos)
    for video in videos:
        truth = spans(Path(video["path"]).stem)[-1][1]
        assert video["duration"] == pytest.approx(truth, abs=0.1)
    assert sum(video["duration"] for video in videos) >= 120
    assert sum(len(shots) for shots in SAMPLES.values()) >= 12


def test_the_readme_names_five_queries_with_their_truth() -> None:
    queries = readme_queries()
    assert len(queries) == 5
    for row in queries:
        assert (float(row["start"]), float(row["end"])) in spans(row["video"])


@pytest.mark.parametrize("row", readme_queries(), ids=lambda row: row["query"])
def test_the_right_moment_is_first(
    library: Path, row: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    answer = search(library, row["query"], capsys)
    first = answer["moments"][0]
    assert Path(first["path"]).stem == row["video"]
    assert iou([(first["start"], first["end"])], [(row["start"], row["end"])])[0, 0] >= 0.7
    assert answer["verdict"] in ("strong", "possible")
    assert answer["unknown_words"] == []


def test_what_is_not_there_is_not_found(library: Path) -> None:
    answer = json.loads(
        vmr("search", "people swimming in a pool", "--library", str(library), "--json")
    )
    assert answer["verdict"] == "none"
