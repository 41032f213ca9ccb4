"""What indexing a long file holds in memory and leaves on the disk: `python -m benchmarks.memory`.

    python -m benchmarks.memory                     # three hours of 1080p H.264
    python -m benchmarks.memory --hours 0.1         # minutes

Two minutes of the sample library are scaled to 1920 x 1080 and repeated without encoding.
`python -m vmr index` then reads the file; the resident memory of it and of all its children, the
decoder included, is summed ten times a second. What two of them share counts twice. Linux only.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.table import ffmpeg
from vmr.cli.samples import build_samples
from vmr.library.store import Library

LIMIT_BYTES = 1.5e9
DISK_LIMIT_BYTES = 40e6
EVERY_SECONDS = 0.1


def main() -> None:
    """Make the file, index it, print both figures; the exit status says whether both are kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--hours", type=float, default=3.0)
    hours = parser.parse_args().hours
    with tempfile.TemporaryDirectory() as folder:
        film, library = Path(folder, "long.mp4"), Path(folder, "library")
        make_film(film, hours)
        print(f"{hours:g} h of 1080p H.264, {film.stat().st_size / 1e6:.0f} MB", flush=True)
        began = time.monotonic()
        peak = watched("index", str(film), "--library", str(library))
        print(f"indexed in {(time.monotonic() - began) / 60:.1f} minutes")
        print(f"resident memory, all processes: {peak.all_bytes / 1e6:.0f} MB at most")
        for name, size in peak.by_name.items():
            print(f"  {name}: {size / 1e6:.0f} MB at most")
        disk = disk_an_hour(library)
        print(f"disk an hour of video: {sum(disk.values()) / 1e6:.1f} MB")
        for name, kept in disk.items():
            print(f"  {name}: {kept / 1e6:.1f} MB")
    sys.exit(peak.all_bytes > LIMIT_BYTES or sum(disk.values()) > DISK_LIMIT_BYTES)


def make_film(path: Path, hours: float) -> None:
    """The sample videos, once in 1080p, then over and over."""
    films = build_samples(path.parent / "samples")
    shown = "".join(f"[{i}:v]scale=1920:1080:flags=bicubic[v{i}];" for i in range(len(films)))
    joined = "".join(f"[v{i}]" for i in range(len(films))) + f"concat=n={len(films)}[out]"
    once = path.with_name("once.mp4")
    inputs = [argument for film in films for argument in ("-i", str(film))]
    coding = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "26"]
    ffmpeg(*inputs, "-filter_complex", shown + joined, "-map", "[out]", *coding, str(once))
    loop = ["-stream_loop", "-1", "-i", str(once), "-t", f"{hours * 3600:.0f}"]
    ffmpeg(*loop, "-c", "copy", str(path))


@dataclass
class Peak:
    """The most that was seen, in bytes."""

    all_bytes: int = 0
    by_name: dict[str, int] = field(default_factory=dict)

    def note(self, sizes: dict[str, int]) -> None:
        """Take in what the processes hold at one moment."""
        self.all_bytes = max(self.all_bytes, sum(sizes.values()))
        for name, size in sizes.items():
            self.by_name[name] = max(size, self.by_name.get(name, 0))


def watched(*arguments: str) -> Peak:
    """Run a command as a user does, and watch its processes while it lasts."""
    command = [sys.executable, "-m", "vmr", *arguments]
    peak = Peak()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
        while running.poll() is None:
            peak.note(resident(running.pid))
            time.sleep(EVERY_SECONDS)
        said = running.stderr.read().decode() if running.stderr else ""
    if running.returncode:
        sys.exit(f"{' '.join(command)} failed with {running.returncode}: {said}")
    return peak


def resident(root: int) -> dict[str, int]:
    """Resident bytes of a process and everything it started, by what they do."""
    sizes = {"indexing": 0, "decoding": 0}
    waiting = [(root, "indexing")]
    while waiting:
        pid, name = waiting.pop()
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            children = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children")]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        held = [line.split() for line in status.splitlines() if line.startswith("VmRSS:")]
        sizes[name] += sum(int(kilobytes) * 1024 for _, kilobytes, _ in held)
        waiting += [(int(child), "decoding") for text in children for child in text.split()]
    return sizes


def disk_an_hour(folder: Path) -> dict[str, float]:
    """Bytes for an hour of video: what is kept of it, and the index that is made from that."""
    library = Library(folder, read_only=True)
    hours = sum(video.duration for video in library.videos()) / 3600
    library.close()
    kinds = {"features": "features/*", "thumbnails": "thumbnails/*", "index": "index.*"}
    return {
        name: sum(file.stat().st_size for file in folder.glob(pattern)) / hours
        for name, pattern in kinds.items()
    }


if __name__ == "__main__":
    main()
