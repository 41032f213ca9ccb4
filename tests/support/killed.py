"""What a process leaves that is killed while it holds a scratch folder.

folder = killed_in(tmp_path)       # the folder, with half a file in it
assert left(folder) == ["half.mp4", "lock"]
"""

import subprocess
import sys
from pathlib import Path

from feature_extract.files import sweep, sweep_noted

ROOT = Path(__file__).resolve().parents[2]
HOLD = (
    "import sys, time; from pathlib import Path; from feature_extract.files import scratch_folder\n"
    "with scratch_folder(Path(sys.argv[1])) as folder:\n"
    "    (folder / 'half.mp4').write_bytes(b'half'); print(folder, flush=True); time.sleep(60)\n"
)


def left(folder: Path) -> list[str]:
    """The names in a folder, in order."""
    return sorted(path.name for path in folder.iterdir())


def killed_in(place: Path) -> Path:
    """The scratch folder of a process that was killed."""
    command = [sys.executable, "-c", HOLD, str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None  # it was asked for
        folder = Path(process.stdout.readline().strip())
        sweep(place)
        sweep_noted()
        assert left(folder)[0] == "half.mp4"  # while it lives, its folder stays
        process.kill()
        process.wait()
    assert left(folder)[0] == "half.mp4"
    return folder
