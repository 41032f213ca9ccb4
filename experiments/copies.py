"""How alike moments look that are the same footage, and moments that are not.

    OMP_NUM_THREADS=1 python -m experiments.copies VIDEO ... --out DIR

Every video is copied as people copy them: recompressed hard, made small, cut a little later, set
between black bars, mirrored. Each is read by the extractor, and the mean look of every four seconds
of a copy is compared with the same seconds of its original. What is not the same: every four
seconds of one video beside the nearest of the others. Printed are hundredths of cosines, for the
line above which a moment is named as a copy (vmr/search/copies.py).
"""

import argparse
import subprocess
from pathlib import Path
from typing import Final

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from feature_extract.extract import Extractor
from vmr.model.retrieval import RetrievalModel

SECONDS: Final = 4
KINDS: Final = {
    "recompressed (crf 36)": ("-crf", "36"),
    "240 lines high (crf 30)": ("-vf", "scale=-2:240", "-crf", "30"),
    "begun .4 s later": ("-ss", "0.4", "-crf", "26"),
    "between black bars": ("-vf", "scale=480:270,pad=480:360:0:45", "-crf", "26"),
    "mirrored": ("-vf", "hflip", "-crf", "26"),
}


def main() -> None:
    """Copy, read, and print."""
    parser = argparse.ArgumentParser(prog="python -m experiments.copies", description=__doc__)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True, help="folder for the copies")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    model, extractor = RetrievalModel.load(), Extractor()
    looks = {video: looks_of(video, model, extractor) for video in options.videos}
    for kind, how in KINDS.items():
        cosines = []
        for video, own in looks.items():
            copy = options.out / f"{video.stem} {kind}.mp4"
            if not copy.is_file():
                copied(video, copy, how)
            again = looks_of(copy, model, extractor)
            both = min(len(own), len(again))
            cosines.append((own[:both] * again[:both]).sum(axis=1))
        told(kind, np.concatenate(cosines))
    nearest = [
        max(float((look @ other.T).max()) for name, other in looks.items() if name != video)
        for video, own in looks.items()
        for look in own
    ]
    told("the nearest of the other videos", np.array(nearest))


def looks_of(video: Path, model: RetrievalModel, extractor: Extractor) -> NDArray[np.float32]:
    """The mean look (N, S) of every SECONDS of a video, of unit length."""
    rows = extractor.extract(video).features.rows.astype(np.float32)
    clips = model.space.shared(model.encode_clips(rows))
    groups = [clips[i : i + SECONDS].mean(axis=0) for i in range(0, len(clips), SECONDS)]
    means = np.stack(groups)
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


def copied(video: Path, copy: Path, how: tuple[str, ...]) -> None:
    """Write a copy of a video without its sound."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", str(video), *how]
    subprocess.run([*command, "-an", str(copy)], check=True)


def told(kind: str, cosines: NDArray[np.floating]) -> None:
    """One line of figures."""
    at = ", ".join(f"{np.percentile(cosines, n):.3f}" for n in (1, 10, 50, 90, 99))
    print(f"{kind}: {len(cosines)} moments, 1/10/50/90/99 of 100 below {at}", flush=True)


if __name__ == "__main__":
    main()
