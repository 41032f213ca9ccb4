"""Nothing large comes into the repository by accident."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 1_000_000  # bytes of a file
WEIGHTS = 40_000_000
LINES = 400  # of code that one sits down to read; a test file is a list, read a test at a time


def files() -> list[str]:
    """What git holds or would take in, by its path from the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.splitlines() if (ROOT / name).exists()]


def test_no_file_is_large_but_weights() -> None:
    sizes = {name: (ROOT / name).stat().st_size for name in files()}
    assert len(sizes) > 100
    limits = {name: WEIGHTS if name.endswith(".safetensors") else LIMIT for name in sizes}
    assert [name for name, size in sizes.items() if size > limits[name]] == []


def test_no_file_of_code_is_long() -> None:
    code = [name for name in files() if name.endswith((".py", ".js", ".css"))]
    lines = {
        name: len((ROOT / name).read_text(encoding="utf-8").splitlines())
        for name in code
        if not name.startswith("tests/")
    }
    assert len(lines) > 100
    assert [name for name, count in lines.items() if count > LINES] == []
