"""Vectors are kept in half precision and compared in single.

single(clips[rows])         # (N, E) float16 -> float32
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def single(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """A copy in single precision. numpy converts halves one by one, torch many at once, which is
    several times as fast."""
    if vectors.dtype != np.float16:
        return vectors.astype(np.float32)
    # torch warns of a map of a file that may only be read.
    own = vectors if vectors.flags.writeable else np.array(vectors)
    return torch.from_numpy(own).float().numpy()
