"""What the documents say of rooms, names and files is so."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.project.test_layers import FILES, FLOORS, imports, room_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
PATH = re.compile(r"(?<![\w/.:-])(?!\./|/)[\w./-]*\w\.(?:py|js|css|md|sh|tsv)\b(?![\w/(])")
TEXT = (".py", ".md", ".txt")
SPEAKING = {"vmr", "feature_extract", "benchmarks", "experiments"}
TRACKED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
).stdout.split()
MADE = {"table.md"}
# Dated pages: they name what was there then.
ELSEWHERE = {"CHANGELOG.md", "docs/EXPERIMENTS.md"}


def table(heading: str) -> list[list[set[str]]]:
    """Rows of the table under a heading: what stands in backticks in each cell."""
    part = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in part.splitlines() if line.startswith("|")]
    return [[set(re.findall(r"`([^`]+)`", cell)) for cell in row] for row in rows[2:]]


CONTRACTS = {room: (gives, never) for (room,), _, gives, never in table("Contracts")}


def defined(file: str) -> set[str]:
    """Classes, functions and constants at the top of a file."""
    body = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
    kinds = (ast.ClassDef, ast.FunctionDef)
    return {node.name for node in body if isinstance(node, kinds)}


def test_the_floors_are_those_that_hold() -> None:
    assert [rooms for _, rooms in table("Rooms")] == [set(floor) for floor in reversed(FLOORS)]
    assert CONTRACTS.keys() == {room for floor in FLOORS for room in floor} - {"app.py", "vmr"}


@pytest.mark.parametrize("room", sorted(CONTRACTS))
def test_rooms_give_and_leave_out_what_the_page_says(room: str) -> None:
    gives, never = CONTRACTS[room]
    files = [file for file in FILES if room_of(file) == room]
    assert gives
    assert never
    assert gives - set().union(*map(defined, files)) == set()
    used = {(file, module) for file in files for _, module, _ in imports(file)}
    wrong = {pair for pair in used for name in never if f"{pair[1]}.".startswith(f"{name}.")}
    assert wrong == set()


def mentions() -> set[tuple[str, str]]:
    """Every name of a source file that a document or our own code mentions, and where."""
    found = set()
    for file in TRACKED:
        if file.endswith(".md") or file.partition("/")[0] in SPEAKING:
            text = (ROOT / file).read_text(encoding="utf-8") if file.endswith(TEXT) else ""
            found |= {(file, name.replace("../", "")) for name in PATH.findall(text)}
    return {(file, name) for file, name in found if file not in ELSEWHERE and name not in MADE}


def test_files_that_are_mentioned_are_there() -> None:
    there = {"/" + name for name in TRACKED}
    gone = {
        (file, name)
        for file, name in mentions()
        if not any(path.endswith("/" + name) for path in there)
    }
    assert gone == set()
