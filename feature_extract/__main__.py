"""python -m feature_extract VIDEO... --out DIR: one feature file a video.

Exit status: 0 when every video was taken, 3 when some were refused (each with its reason on
standard error), 2 for wrong usage, 1 when the folder cannot be written.
"""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from feature_extract.extract import Extractor
from feature_extract.video import VideoError, shown_name


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        extractor = Extractor(device=options.device)
        refused = sum(not _extract(extractor, video, options.out) for video in options.videos)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 3 if refused else 0


def _extract(extractor: Extractor, video: Path, folder: Path) -> bool:
    """Write the features of one video; False when it was refused."""
    with tqdm(
        total=1.0, desc=shown_name(video), bar_format="{desc} {percentage:3.0f}% {bar}"
    ) as bar:
        try:
            extraction = extractor.extract(
                video, on_progress=lambda done: bar.update(max(0.0, done - bar.n)) and None
            )
        except VideoError as error:
            bar.close()
            print(f"refused: {error}", file=sys.stderr)
            return False
        bar.update(1.0 - bar.n)
    features = extraction.features
    features.save(folder / f"{video.name}.safetensors")
    for start, end in features.unreadable:
        print(f"{shown_name(video)}: damaged from {start:.1f} to {end:.1f} s", file=sys.stderr)
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m feature_extract",
        description="Extract one row of features a second from each video.",
        epilog="Writes DIR/NAME.safetensors for each video NAME; see feature_extract/features.py.",
    )
    parser.add_argument("videos", nargs="+", type=Path, metavar="VIDEO")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    return parser


if __name__ == "__main__":
    sys.exit(main())
