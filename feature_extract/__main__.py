"""python -m feature_extract VIDEO... --out DIR: one feature file a video.

Exit status: 0 when every video was taken, 3 when some were refused (each with its reason on
standard error), 2 for wrong usage, 1 for anything else, such as a folder that cannot be written.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from feature_extract.features import Features
from feature_extract.files import sweep, sweep_noted
from feature_extract.logs import HELP, shown
from feature_extract.video.frames import VideoError, shown_name

Extract = Callable[[Path, Callable[[float], None]], Features]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.clips is None and (options.weights or options.backbone != "c3d"):
        parser.error("--weights and --backbone need --clips")
    names = Counter(video.name for video in options.videos)
    if twice := [name for name, times in names.items() if times > 1]:
        parser.error(f"several videos are called {twice[0]}; give each a --out of its own")
    try:
        with shown(options.verbose):
            options.out.mkdir(parents=True, exist_ok=True)
            sweep(options.out)
            sweep_noted()
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
    """Rows by a protocol of the research sets, with the user's weights."""
    from feature_extract.clips import PROTOCOLS, extract_clips
    from feature_extract.networks.device import chosen_device
    from feature_extract.row_networks import network_of

    device, protocol = chosen_device(options.device), PROTOCOLS[options.clips]
    network, fingerprint = network_of(options.backbone, options.weights, device=device)
    return lambda video, told: extract_clips(
        video, network, protocol, fingerprint, on_progress=told
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
        help="weights for --clips, such as c3d.pickle; default: what `vmr weights add` was given, "
        "or torch hub's cache",
    )
    parser.add_argument(
        "--backbone",
        default="c3d",
        metavar="NAME",
        help="for --clips: another network, of torchvision (r2plus1d_18, mvit_v2_s, swin3d_t), or "
        "a folder or OWNER/NAME of the hub with VideoMAE or V-JEPA 2 (default: c3d)",
    )
    parser.add_argument("--verbose", action="store_true", help=HELP)
    return parser


if __name__ == "__main__":
    sys.exit(main())
