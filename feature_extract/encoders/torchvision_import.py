"""A torchvision that was built for another torch, made importable.

    make_importable()           # before transformers or open_clip, which import it where it is

The registry's torchvision is built for CUDA. Beside a torch for processors its own operators do not
load, and its import fails although nothing here needs one of them. Their names are enough for it.
"""

import importlib.util
import sys
from typing import Final

import torch

from feature_extract.encoders.errors import EncoderError

_OPERATORS: Final = ("nms", "qnms")
_library: list[torch.library.Library] = []  # what is defined lives as long as the library object


def make_importable() -> None:
    """Have `import torchvision` succeed, where it is installed.

    Raises:
        EncoderError: it fails for another reason.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise EncoderError(f"torchvision cannot be imported ({error})") from error
        for module in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
            del sys.modules[module]
        library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for name in _OPERATORS:
            kinds = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            library.define(f"{name}{kinds}")  # type: ignore[no-untyped-call]
        _library.append(library)
        importlib.import_module("torchvision")
