"""Encoders that have a short name: where they lie, what they cost, under which licence.

    KNOWN["siglip2-base"].repository        # "google/siglip2-base-patch16-224"
    known_or_none("siglip2-bas")            # EncoderError that suggests siglip2-base

Any other repository of the hub, or a folder, is named by itself. Revisions are those of the main
branch at first use, whose digest the library keeps: it takes no other one afterwards.
"""

from dataclasses import dataclass
from typing import Final

from rapidfuzz import process

from feature_extract.encoders.errors import EncoderError

MAIN: Final = "main"
"""The revision where none was verified: what it was at first use is kept with the library."""


@dataclass(frozen=True)
class Known:
    """An encoder with a short name; what it says of itself on the hub counts where they differ."""

    repository: str
    layout: str
    "transformers or open_clip"
    licence: str
    languages: str
    megabytes: int
    "to download, about: four bytes a parameter"
    width: int
    "columns of a vector"
    side: int
    "pixels across the square that it looks at"
    revision: str = MAIN
    prompt: str = "{}"
    "what a question becomes before it is read"


KNOWN: Final = {
    "clip-b32": Known(
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "transformers", "mit", "English", 605, 512, 224
    ),
    "clip-l14": Known(
        "laion/CLIP-ViT-L-14-laion2B-s32B-b82K", "transformers", "mit", "English", 1710, 768, 224
    ),
    "siglip2-base": Known(
        "google/siglip2-base-patch16-224", "transformers", "apache-2.0", "many", 1500, 768, 224
    ),
    "siglip2-so400m": Known(
        "google/siglip2-so400m-patch14-384", "transformers", "apache-2.0", "many", 4540, 1152, 384
    ),
    "siglip-multilingual": Known(
        "google/siglip-base-patch16-256-multilingual",
        "transformers",
        "apache-2.0",
        "many",
        1480,
        768,
        256,
    ),
    "mobileclip2-s0": Known(
        "timm/MobileCLIP2-S0-OpenCLIP", "open_clip", "apple-amlr", "English", 300, 512, 256
    ),
    "mobileclip2-s2": Known(
        "timm/MobileCLIP2-S2-OpenCLIP", "open_clip", "apple-amlr", "English", 400, 512, 256
    ),
    "pe-core-base": Known(
        "timm/PE-Core-B-16", "open_clip", "apache-2.0", "English", 1790, 1024, 224
    ),
}


def known_or_none(name: str) -> Known | None:
    """The encoder of a short name; None for the name of a repository, which has a slash.

    Raises:
        EncoderError: a short name that there is not.
    """
    if name in KNOWN or "/" in name:
        return KNOWN.get(name)
    near = process.extractOne(name, list(KNOWN), score_cutoff=60)
    advice = f"did you mean {near[0]}?" if near else f"known are {', '.join(KNOWN)}"
    raise EncoderError(
        f"{name}: no encoder of that name; {advice} (or name a folder, or a repository OWNER/NAME)"
    )
