"""Feature rows -> clip vectors: the one place where what is seen becomes a vector of the space.

shown(towers, names, movements, rows)       # (T, E - 1): all but what is taken off for hubs
"""

import numpy as np
import torch
from numpy.typing import NDArray

from vmr.model.movements import COLUMNS, Movements
from vmr.model.names import Names
from vmr.model.towers import Towers


@torch.inference_mode()
def shown(
    towers: Towers, names: Names | None, movements: Movements | None, rows: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(T, D) feature rows -> (T, E - 1): unit vectors, the names of what is seen, and movements."""
    looks = sum(towers.config.blocks.values())
    seen = torch.from_numpy(rows[:, :looks])
    if names is None:
        columns = [towers.encode_video(seen).numpy()]
    else:
        classifier = towers.video.classifier
        assert classifier is not None  # names are of what it sees
        probs = classifier.probs(seen)
        columns = [towers.video(seen, probs).numpy(), names.clip_columns(probs.numpy())]
    if movements is not None:
        moving = rows[:, looks:]
        still = np.zeros((len(rows), len(COLUMNS)), np.float32)
        columns.append(movements.clip_columns(moving) if moving.shape[1] else still)
    return np.concatenate(columns, axis=1)
