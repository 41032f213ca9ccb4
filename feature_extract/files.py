"""Where the files lie that come with the program: weights, presets, the page's scripts.

    assets_folder() / "weights" / "base"

The lowest file of all: every room may import it.
"""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]


def assets_folder() -> Path:
    """The folder that holds `weights`, `presets` and `ui`.

    A wheel carries it inside `vmr`; in a checkout it lies beside the packages.
    """
    inside = ROOT / "vmr" / "assets"
    return inside if inside.is_dir() else ROOT / "assets"
