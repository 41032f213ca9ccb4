"""Nothing large comes into the repository by accident."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 1_000_000
WEIGHTS = 25_000_000


def test_no_file_is_large_but_weights() -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    sizes = {name: (ROOT / name).stat().st_size for name in done.stdout.splitlines()}
    assert len(sizes) > 100
    limits = {name: WEIGHTS if name.endswith(".safetensors") else LIMIT for name in sizes}
    assert [name for name, size in sizes.items() if size > limits[name]] == []
