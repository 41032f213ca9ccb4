"""`python -m vmr` as another process, as a person runs it."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def vmr(*arguments: str | Path, status: int | None = 0, stream: str = "stdout") -> str:
    """What it prints on a stream; it must end with this status (None: any)."""
    done = subprocess.run(
        [sys.executable, "-m", "vmr", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=timedelta(minutes=5).total_seconds(),
    )
    assert status is None or done.returncode == status, done.stderr
    return str(getattr(done, stream))
