"""requirements.lock: exact versions of all that requirements bring along, from reports of pip.

    pip --isolated install --dry-run --ignore-installed --report linux-311.json \\
        -r requirements-dev.txt -c requirements.lock      # without -c for the newest of everything
    python -m tests.support.lock linux-311.json ...       # adds to the lock, or changes it

`--isolated` leaves out what this computer adds to pip, such as an index with other builds. A report
for each Python and system that the lock shall hold for; two that disagree are refused. For one more
package its own report is enough. Delete the lock to begin anew.
tests/project/test_lock.py holds the lock against requirements and against what is installed.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name
from packaging.version import Version

LOCK: Final = Path(__file__).resolve().parents[2] / "requirements.lock"
HEAD: Final = """\
# Exact versions of all that requirements*.txt and the extras bring along, for pip's -c: `make demo`
# and `make test` install by it. Made by tests/support/lock.py, which says how.
# Resolved for Linux x86-64 with Python 3.11, 3.12 and 3.13 against PyPI; packages that come along
# on macOS or Windows alone are not in it, and pip takes their newest. nvidia-*, cuda-* and triton
# come with PyPI's torch for Linux, and with no CPU build of it.
# Without hashes: they would tie torch to the build of one index, and pip, once it sees a hash,
# refuses all that has none, on every system that this file does not cover.
"""


def read() -> dict[str, str]:
    """The lock as it is: version by name; empty where there is none."""
    if not LOCK.exists():
        return {}
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def resolved(reports: Iterable[Path]) -> dict[str, str]:
    """Version by name of everything that pip would install, by its reports.

    Raises:
        ValueError: two reports name different versions of one package.
    """
    found: dict[str, str] = {}
    for report in reports:
        for item in json.loads(report.read_text(encoding="utf-8"))["install"]:
            name = canonicalize_name(item["metadata"]["name"])
            version = Version(item["metadata"]["version"]).public
            if found.setdefault(name, version) != version:
                raise ValueError(f"{report}: {name} {version}, elsewhere {found[name]}")
    return found


if __name__ == "__main__":
    pins = read() | resolved(map(Path, sys.argv[1:]))
    lines = [f"{name}=={pins[name]}\n" for name in sorted(pins)]
    LOCK.write_text(HEAD + "".join(lines), encoding="utf-8")
