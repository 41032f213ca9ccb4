"""Scores of moments -> how often such answers are right, and what to tell people about them.

    calibration.strength(2.5, rows=40_000)      # 0..1
    calibration.verdict(2.5, rows=40_000)       # "strong", "possible" or "none"

The best of many rows is better by chance alone, so a score says less the more was searched: the log
odds that it is right fall with the logarithm of how many rows that were, and the score below which
nothing has been found rises with it, more slowly: the right answer has rivals that show nearly
the same, and is there nevertheless. What is usual where one searches is taken off scores before
(retrieval.py).
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["strong", "possible", "none"]

FEWEST_ROWS: Final = 20
"""Rows that count as searched at least: below it nothing was measured."""
SUREST: Final = 0.99
"""What strength comes near to and never reaches: however many answers were right, the next one may
not be, and nobody is to read 100 %. Verdicts are those of before it is taken off."""


@dataclass(frozen=True)
class Calibration:
    """Score -> strength: the share of such answers that were right on the development set."""

    slope: float
    offset: float
    possible: float
    "strength below which the answer is called none, where `rows` were searched"
    strong: float
    "strength from which the answer is called strong"
    rows: int = 0
    "searched rows that slope and offset are for; 0: whatever was searched"
    right_by_rows: float = 0.0
    "what the log odds of being right fall by, when e times as many rows are searched"
    found_by_rows: float = 0.0
    "what the score below which nothing was found rises by then"

    def __post_init__(self) -> None:
        if not (self.slope > 0 and 0 < self.possible < self.strong < 1):
            raise ValueError(f"{self}: needs slope > 0 and 0 < possible < strong < 1")
        if self.rows < 0 or min(self.right_by_rows, self.found_by_rows) < 0:
            raise ValueError(f"{self}: needs rows >= 0, and no gain by more of them")

    def strength(
        self, scores: NDArray[np.floating] | float, rows: int | None = None
    ) -> NDArray[np.float64]:
        """Scores of any shape, found among so many rows (None: as many as it was made on) ->
        0..1: how often an answer of such a score is right."""
        logit = self.slope * np.asarray(scores, dtype=np.float64) + self.offset
        return np.asarray(SUREST / (1 + np.exp(self.right_by_rows * self._more(rows) - logit)))

    def presence(
        self, scores: NDArray[np.floating] | float, rows: int | None = None
    ) -> NDArray[np.float64]:
        """As `strength`, where it need not be the best that is right: whether what was asked for is
        there at all falls with the number of rows, too, but more slowly."""
        return self.strength(np.asarray(scores) - self.found_by_rows * self._more(rows))

    def score(self, strength: float, rows: int | None = None) -> float:
        """The score that would have this strength, found among so many rows: what another sense
        has found, on the scale of this one."""
        held = min(max(strength / SUREST, 1e-6), 1 - 1e-6)
        logit = float(np.log(held / (1 - held))) + self.right_by_rows * self._more(rows)
        return (logit - self.offset) / self.slope

    def verdict(self, score: float, rows: int | None = None) -> Verdict:
        """What to tell a person about an answer of this score, found among so many rows."""
        return self.verdicts(np.array([score]), rows)[0]

    def verdicts(self, scores: NDArray[np.float64], rows: int | None = None) -> list[Verdict]:
        """The same of many scores (N,)."""
        strong = self.strength(scores, rows) >= SUREST * self.strong
        possible = self.presence(scores, rows) >= SUREST * self.possible
        return [
            "strong" if sure else "possible" if maybe else "none"
            for sure, maybe in zip(strong.tolist(), possible.tolist(), strict=True)
        ]

    def _more(self, rows: int | None) -> float:
        """The logarithm of how many times as many rows were searched as it was made on."""
        if rows is None or not self.rows:
            return 0.0
        return float(np.log(max(rows, FEWEST_ROWS) / self.rows))
