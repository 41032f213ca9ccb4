"""The files that tell people and hosts about the project are whole, and say what is so."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import vmr

ROOT = Path(__file__).resolve().parents[2]


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_the_citation_names_what_this_builds_on() -> None:
    citation = read("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert all(name in text for name in ("arXiv:2312.07435", "MSAT", "C3D", "GloVe"))
    for work in citation["references"]:
        assert {"type", "title", "authors", "year"} <= work.keys()
        assert all({"family-names", "given-names"} == person.keys() for person in work["authors"])


@pytest.mark.parametrize("form", ["bug", "idea"])
def test_issue_forms_ask_something(form: str) -> None:
    asked = read(f".github/ISSUE_TEMPLATE/{form}.yml")
    assert asked["name"]
    assert asked["description"]
    assert any(part.get("validations", {}).get("required") for part in asked["body"])


def test_hosted_and_local_checks_are_those_of_make() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    steps = {step.get("run") for step in read(".github/workflows/ci.yml")["jobs"]["check"]["steps"]}
    hosted = " && ".join(filter(None, steps))
    hooks = read(".pre-commit-config.yaml")["repos"][0]["hooks"]
    local = " ".join(hook["entry"] for hook in hooks)
    for check in re.findall(r"\$\(BIN\)/((?:ruff|mypy)[^\n]*)", makefile):
        assert check in hosted
        assert check.removesuffix(" .") in local
    for path in re.findall(r"tests/[\w/]+\.py", local):
        assert (ROOT / path).is_file()


def test_the_version_is_said_once_and_has_its_changes() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", vmr.__version__)
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{vmr.__version__}]" in changes
    assert (
        vmr.__version__
        not in (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("[tool")[0]
    )
