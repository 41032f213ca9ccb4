"""python -m feature_extract VIDEO... --out DIR: one feature file a video.

Exit status: 0 when every video was taken, 3 when some were refused (each with its reason on
standard error), 2 for wrong usage, 1 for anything else, such as a folder that cannot be written.
"""

import argparse
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from feature_extract.features import Features
from feature_extract.video import VideoError, shown_name

Extract = Callable[[Path, Callable[[float], None]], Features]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.clips is None) != (options.weights is None):
        parser.error("--clips and --weights go together")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        extract = _seconds(options) if options.clips is None else _clips(options)
        refused = sum(not _extract(extract, video, options.out) for video in options.videos)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 3 if refused else 0


def _seconds(options: argparse.Namespace) -> Extract:
    """One row a second. Imported here: `--help` need not wait for torch."""
    from feature_extract.extract import Extractor

    extractor = Extractor(device=options.device)
    return lambda video, told: extractor.extract(video, on_progress=told).features


def _clips(options: argparse.Namespace) -> Extract:
    """C3D rows by a protocol of the research sets, with the user's weights."""
    from feature_extract.c3d import C3D, SPORTS_1M, load_weights
    from feature_extract.clips import PROTOCOLS, ClipNetwork, extract_clips
    from feature_extract.device import chosen_device

    network = C3D(SPORTS_1M)
    load_weights(network, options.weights)
    ready = ClipNetwork(network, device=chosen_device(options.device))
    protocol = PROTOCOLS[options.clips]
    with open(options.weights, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return lambda video, told: extract_clips(
        video, ready, protocol, f"c3d-{digest}", on_progress=told
    )


def _extract(extract: Extract, video: Path, folder: Path) -> bool:
    """Write the features of one video; False when it was refused."""
    name = shown_name(video)
    with tqdm(total=1.0, desc=name, bar_format="{desc} {percentage:3.0f}% {bar}") as bar:

        def told(done: float) -> None:
            bar.update(max(0.0, done - bar.n))

        try:
            features = extract(video, told)
        except VideoError as error:
            bar.close()
            print(f"refused: {error}", file=sys.stderr)
            return False
        told(1.0)
    features.save(folder / f"{video.name}.safetensors")
    for start, end in features.unreadable:
        print(f"{name}: damaged from {start:.1f} to {end:.1f} s", file=sys.stderr)
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
    parser.add_argument(
        "--clips",
        choices=("tacos", "activitynet"),
        help="C3D rows as these research sets have them, instead of one row a second",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="Sports-1M weights for --clips: c3d.pickle or mmaction2's .pth",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
