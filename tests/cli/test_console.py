"""What the commands share: which video a name means."""

import unicodedata
from pathlib import Path

from tests.support.planted import plant, random_rows
from vmr.cli.console import video_named
from vmr.library.store import Library


def test_a_video_is_named_with_its_accents_composed_or_apart(tmp_path: Path) -> None:
    apart = tmp_path / unicodedata.normalize("NFD", "f\u00eate.mp4")
    library = Library(tmp_path / "library")
    video = plant(library, apart, random_rows(3, 1))
    typed = tmp_path / unicodedata.normalize("NFC", apart.name)
    assert typed != apart
    assert video_named(library, str(typed)).id == video
    library.close()
