"""`python -m vmr weights info | add`: which weights there are, and a user's own C3D weights.

Nothing is downloaded. Heavy modules are imported inside the commands, so that `--help` is fast.
"""

import argparse
import json
from pathlib import Path

from vmr.cli.console import DONE, one_line


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register `weights` with its two commands."""
    text = "Say which weights there are; add your own Sports-1M weights of C3D."
    commands = subparsers.add_parser("weights", help=text, description=text).add_subparsers(
        metavar="info | add", required=True
    )
    info = commands.add_parser("info", help="path, size, sha256 and what it is, of all or of FILE")
    info.add_argument("files", nargs="*", type=Path, metavar="FILE")
    info.add_argument("--json", action="store_true")
    info.set_defaults(run=_info)
    add = commands.add_parser(
        "add", help="check FILE and keep a copy for `feature_extract --clips`"
    )
    add.add_argument("file", type=Path, metavar="FILE")
    add.set_defaults(run=_add)


def _info(options: argparse.Namespace) -> int:
    from feature_extract.networks.weights import Weights, describe, known

    found: list[Weights] = [describe(file) for file in options.files] or known()
    if options.json:
        records = [
            {"path": str(w.path), "what": w.what, "size_bytes": w.size_bytes, "sha256": w.sha256}
            for w in found
        ]
        print(json.dumps({"weights": records}))
        return DONE
    for weights in found:
        print(one_line(str(weights.path)))
        print(f"    {weights.what}, {weights.size_bytes / 1e6:.1f} MB, sha256 {weights.sha256}")
    if not options.files:
        print(
            "The original C3D weights are not shipped: get c3d.pickle (DavideA, c3d-pytorch) or\n"
            "c3d_sports1m_pretrain_20201016-dcc47ddc.pth (mmaction2), then `weights add FILE`."
        )
    return DONE


def _add(options: argparse.Namespace) -> int:
    from feature_extract.networks.weights import add

    weights = add(options.file)
    print(one_line(f"added: {weights.path}"))
    print(f"    {weights.what}, {weights.size_bytes / 1e6:.1f} MB, sha256 {weights.sha256}")
    return DONE
