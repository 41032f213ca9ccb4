"""The wheel: what lies in it, and that it works in an empty environment, from another folder."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import vmr
from tests.support.media import cup_video

ROOT = Path(__file__).resolve().parents[2]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # Without isolation the build uses the pinned tools that lie here, and asks no registry.
    command = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*command, folder, ROOT], check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def commands(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands of an environment that holds the wheel and its requirements."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    place = folder / ("Scripts" if os.name == "nt" else "bin")
    python = place / Path(sys.executable).name
    subprocess.run(
        [*PIP, "--python", python, "install", "--no-deps", "--no-index", wheel], check=True
    )
    # The requirements are this environment's, instead of some gigabytes once more.
    found = next(folder.rglob("site-packages"))
    places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (found / "requirements.pth").write_text("\n".join(places))
    return place


def run(commands: Path, *arguments: str, at: Path, code: int = 0) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command: list[str | Path] = [commands / "vmr", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=at, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == code, done.stdout + done.stderr
    return str(done.stdout)


def test_the_wheel_holds_what_runs_and_nothing_else(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    shipped = subprocess.run(
        ["git", "ls-files", "vmr", "feature_extract", "assets"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    expected = {
        name.replace("assets/", "vmr/assets/", 1) if name.startswith("assets/") else name
        for name in shipped
        if name and not re.match(r"assets/(screenshots/|weights/[^/]+\.(jpg|png)$)", name)
    }
    assert {name for name in held if ".dist-info/" not in name} == expected


def test_the_wheel_asks_for_what_requirements_ask_for(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(archive.read(name).decode())
    assert metadata["Version"] == vmr.__version__
    asked = {line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line}
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert asked == {line.split(" ")[0] for line in lines if not line.startswith("#")}


def test_the_command_says_its_version_and_what_it_can(commands: Path, tmp_path: Path) -> None:
    assert run(commands, "--version", at=tmp_path) == f"vmr {vmr.__version__}\n"
    assert run(commands, "--help", at=tmp_path).startswith("usage: vmr ")
    assert "--kiosk" in run(commands, "page", "--help", at=tmp_path)


def test_an_installation_indexes_and_searches_from_another_folder(
    commands: Path, tmp_path: Path
) -> None:
    cup_video(tmp_path / "cup.mp4")
    run(commands, "index", "cup.mp4", "--library", "library", at=tmp_path)
    doctor = run(commands, "doctor", "--library", "library", at=tmp_path)
    assert "LACK" not in doctor
    query = ("search", "a cup of coffee", "--library", "library", "--json")
    answer = json.loads(run(commands, *query, at=tmp_path))
    assert Path(answer["moments"][0]["path"]) == tmp_path / "cup.mp4"
    assert answer["verdict"] != "none"
