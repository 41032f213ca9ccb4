"""Which picture is shown at a sample time: the one rule that reader and extractor share."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

TOLERANCE: Final = 1e-3
"""Seconds. Matroska rounds times to 1 ms, decord to float32."""
HELD: Final = 0.05
"""Seconds for which a picture that began before a span must still be shown in it to count: half of
the tenth in which moments are told. A shorter rest would flash up in a clip."""
CUT_SECONDS: Final = 1.0
"""Content that ends this much before the header says is a cut file, not rounding."""


def slot(seconds: Any, rate: float) -> NDArray[np.float64]:
    """The number k of the first sample time k/`rate` that is at `seconds` or later.

    A picture is shown at the samples from its own slot up to that of the next picture.
    """
    return np.ceil((np.asarray(seconds, np.float64) - TOLERANCE) * rate)
