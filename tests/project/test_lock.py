"""requirements.lock holds what requirements ask for, and everything that comes along here."""

import json
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support import lock

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MEND = "make the lock anew, as tests/support/lock.py says"


def listed(*files: str) -> list[Requirement]:
    """What requirements files ask for."""
    lines = [line for file in files for line in (ROOT / file).read_text().splitlines()]
    return [Requirement(line.split(" #")[0]) for line in lines if line and line[0] not in "#-"]


def test_the_lock_satisfies_all_that_is_asked_for() -> None:
    pins = lock.read()
    extras = PROJECT["project"]["optional-dependencies"].values()
    lines = [*PROJECT["build-system"]["requires"], *(line for extra in extras for line in extra)]
    files = [path.name for path in ROOT.glob("requirements*.txt")]
    for requirement in [*map(Requirement, lines), *listed(*files)]:
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name}: {MEND}"
        assert requirement.specifier.contains(pins[name]), f"{requirement}: {MEND}"


def test_all_that_comes_along_here_is_locked_as_it_is_installed() -> None:
    pins = lock.read()
    queue = [(request, "") for request in listed("requirements.txt", "requirements-dev.txt")]
    seen = set()
    while queue:
        requirement, asked_by = queue.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": asked_by}):
            continue
        name = canonicalize_name(requirement.name)
        found = distribution(name)
        assert pins.get(name) == Version(found.version).public, f"{name} {found.version}: {MEND}"
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                queue += [(Requirement(line), extra) for line in found.requires or ()]
    assert len(seen) > 100


def test_reports_that_disagree_are_refused(tmp_path: Path) -> None:
    reports = []
    for i, version in enumerate(("1.0", "1.0+cpu", "1.1")):
        reports.append(tmp_path / f"{i}.json")
        item = {"metadata": {"name": "A_package", "version": version}}
        reports[-1].write_text(json.dumps({"install": [item]}))
    assert lock.resolved(reports[:2]) == {"a-package": "1.0"}
    with pytest.raises(ValueError, match=r"a-package 1\.1, elsewhere 1\.0"):
        lock.resolved(reports)


def test_make_installs_by_the_lock() -> None:
    makefile = (ROOT / "Makefile").read_text()
    installs = [line for line in makefile.splitlines() if "pip install" in line]
    assert len(installs) == 5
    *locked, servers = sorted(installs, key=lambda line: "servers.txt" in line)
    assert all("-c requirements.lock" in line for line in locked)
    assert "--no-deps" in servers  # every one of them is named with its version
    assert all(str(each.specifier).startswith("==") for each in listed("tests/support/servers.txt"))
