"""What the columns of a clip vector and of a query vector mean.

    space = Space(shared=512, names=64, movements=4)
    clips[:, :] = space.join(shared, names, movements, hub)     # (T, E), E = space.width
    space.movements(clips)                                      # (T, 4), a view
    clips @ query                                               # one inner product is the score

    [ shared | names | movements | hub ]

`shared`: a unit vector of the space that clips and sentences share (towers.py). `names`: codes of
what the classifier sees and of what a query names (names.py). `movements`: which way things go
(movements.py). `hub`: of a clip, what is taken off because it is near to whatever is asked; of a
query 1, or 0 where only a movement is asked for, since what is shown does not matter then.

Only this file knows where a column is. Every function takes one vector (E,) or many (..., E).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""(E,) of a query or a clip, or many of them (..., E)."""
_SMALLEST: Final = 1e-6  # lengths below it are taken for it, so that nothing is divided by zero


@dataclass(frozen=True)
class Space:
    """How many columns of a vector belong to what; the hub's single column is always the last."""

    shared_width: int
    "columns of the space that clips and sentences share"
    names_width: int = 0
    "columns of the names of classes; 0 for a model without them"
    movements_width: int = 0
    "columns of movements; 0 for a model without them"

    @property
    def width(self) -> int:
        """E: all columns together."""
        return self.shared_width + self.names_width + self.movements_width + 1

    def shared(self, vectors: Vector) -> Vector:
        """(..., E) -> (..., shared): a view of what clips and sentences share."""
        return vectors[..., : self.shared_width]

    def names(self, vectors: Vector) -> Vector:
        """(..., E) -> (..., names): a view of the codes of names."""
        return vectors[..., self.shared_width : self.shared_width + self.names_width]

    def looks(self, vectors: Vector) -> Vector:
        """(..., E) -> (..., shared + names): a view of what a still picture tells."""
        return vectors[..., : self.shared_width + self.names_width]

    def movements(self, vectors: Vector) -> Vector:
        """(..., E) -> (..., movements): a view of which way things go."""
        return vectors[..., self.shared_width + self.names_width : -1]

    def content(self, vectors: Vector) -> Vector:
        """(..., E) -> (..., E - 1): a view of everything but the hub."""
        return vectors[..., :-1]

    def hub(self, vectors: Vector) -> Vector:
        """(..., E) -> (...): a view of what is taken off a clip, or of how much of it a query
        wants taken off."""
        return np.asarray(vectors[..., -1])

    def join(self, shared: Vector, names: Vector, movements: Vector, hub: Vector | float) -> Vector:
        """The four parts, each (..., its width), and the hub (...) or one number -> (..., E)."""
        last = np.broadcast_to(np.asarray(hub, np.float32)[..., None], (*shared.shape[:-1], 1))
        return np.concatenate([shared, names, movements, last], axis=-1, dtype=np.float32)

    def is_movement_alone(self, query: Vector) -> bool:
        """Whether a query (E,) asks for a movement, whatever it is that moves."""
        return not query[-1]

    def unit(self, vector: Vector) -> Vector:
        """The vector (E,) scaled so that all but its hub has length 1."""
        length = float(np.linalg.norm(vector[:-1]))
        return np.asarray(vector / max(length, _SMALLEST), dtype=np.float32)

    def cosine(self, a: Vector, b: Vector) -> float:
        """How similar two queries (E,) are, -1..1; their hubs do not count."""
        return float(self.unit(a)[:-1] @ self.unit(b)[:-1])
