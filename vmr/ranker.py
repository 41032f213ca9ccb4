"""The trained model in use: what search, index and page see of the networks.

    ranker = Ranker.load()                                  # assets/weights/base
    clips = ranker.clip_vectors(features.rows)              # (T, E), kept in the index
    query = words.query("a dog jumps")
    ranker.propose(clips, starts, ends, cuts, query)        # moments, best first

Scores are standard deviations above unrelated footage: the similarity of a clip to the query, minus
the mean over a background of clips that have nothing to do with it, over their spread. That takes
off what a query gives to everything ("a man" is like every picture a little), and makes queries
comparable. What a clip gives to everything is taken off too: some clips are near to whatever is
asked (hubs), so half of a clip's similarity to its nearest captions of a thousand is subtracted,
as in CSLS (Conneau et al., ICLR 2018). It is the last column of a clip's vector, against a 1 in the
query's, so that one inner product is the whole score.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from vmr.localise import Proposal, propose
from vmr.text import Query
from vmr.towers import Towers, TowersConfig

BASE: Final = Path(__file__).parent.parent / "assets" / "weights" / "base"
"""The weights of a fresh install."""
FORMAT: Final = 2
HUB_WEIGHT: Final = 0.5
"""Share of a clip's similarity to its nearest captions that is taken off."""
HUB_NEIGHBOURS: Final = 10
"""Captions that count as its nearest."""
_BATCH: Final = 4096  # rows encoded at once: some 50 MB
# Query vectors: a page asks the same words for results, strips and windows.
_REMEMBERED: Final = 256

Verdict = Literal["strong", "possible", "none"]


class RankerError(ValueError):
    """Weights that cannot be used; the message names the file and what to do."""


@dataclass(frozen=True)
class Calibration:
    """Score -> strength: the share of such answers that were right on the development set."""

    slope: float
    offset: float
    possible: float
    "strength below which the answer is called none"
    strong: float
    "strength from which the answer is called strong"

    def __post_init__(self) -> None:
        if not (self.slope > 0 and 0 < self.possible < self.strong < 1):
            raise ValueError(f"{self}: needs slope > 0 and 0 < possible < strong < 1")


class Ranker:
    """Encodes clips and queries, and finds moments. Thread-safe after loading."""

    def __init__(
        self,
        towers: Towers,
        background: torch.Tensor,
        captions: torch.Tensor,
        calibration: Calibration,
        word_fingerprint: str,
        fingerprint: str = "unsaved",
    ) -> None:
        self.towers = towers.eval()
        self._captions = np.asarray(captions.float().numpy())  # (C, E - 1)
        self._unrelated = np.asarray(background.float().numpy())  # (K, E - 1)
        self._background = self._without_hubs(self._unrelated)  # (K, E)
        self.calibration = calibration
        self.word_fingerprint = word_fingerprint
        self.fingerprint = fingerprint
        self._remembered: dict[tuple[str, ...], NDArray[np.float32]] = {}

    @property
    def width(self) -> int:
        """E: the width of the shared space, and one column for hubs."""
        return self.towers.config.width + 1

    @property
    def blocks(self) -> dict[str, int]:
        """The feature blocks that the model reads, in order: name -> columns."""
        return self.towers.config.blocks

    @classmethod
    def load(cls, folder: Path | None = None) -> "Ranker":
        """The model in `folder` (config.json, weights.safetensors); default: the shipped one.

        Raises:
            RankerError: files are missing, damaged or of another format.
        """
        folder = folder or BASE
        try:
            config = json.loads((folder / "config.json").read_text())
            weights = folder / "weights.safetensors"
            digest = hashlib.sha256(weights.read_bytes()).hexdigest()
            state = {name: tensor.float() for name, tensor in load_file(weights).items()}
        except FileNotFoundError as error:
            raise RankerError(
                f"{error.filename}: no weights there; train them or restore"
            ) from error
        except Exception as error:  # a damaged header can raise anything
            raise RankerError(f"{folder}: damaged weights ({error})") from error
        if config.get("format") != FORMAT:
            raise RankerError(
                f"{folder}: format {config.get('format')}, this version reads {FORMAT}"
            )
        if digest != config["sha256"]:
            raise RankerError(f"{weights}: does not match the checksum in config.json; restore it")
        towers = Towers(TowersConfig(**config["towers"]))
        background, captions = state.pop("background"), state.pop("captions")
        towers.load_state_dict(state)
        calibration = Calibration(**config["calibration"])
        return cls(towers, background, captions, calibration, config["words"], digest[:12])

    def save(self, folder: Path) -> None:
        """Write config.json and weights.safetensors (float16) into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: tensor.half() for name, tensor in self.towers.state_dict().items()}
        state["background"] = torch.from_numpy(self._unrelated).half()
        state["captions"] = torch.from_numpy(self._captions).half()
        weights = folder / "weights.safetensors"
        save_file(state, weights)
        config = {
            "format": FORMAT,
            "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "towers": asdict(self.towers.config),
            "calibration": asdict(self.calibration),
            "words": self.word_fingerprint,
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")

    @torch.inference_mode()
    def clip_vectors(self, rows: NDArray[np.floating]) -> NDArray[np.float32]:
        """(T, D) feature rows -> (T, E): a unit vector, and what is taken off for being a hub."""
        if rows.ndim != 2 or rows.shape[1] != sum(self.blocks.values()):
            raise ValueError(
                f"rows of shape {rows.shape}; expected (T, {sum(self.blocks.values())})"
            )
        vectors = np.empty((len(rows), self.width), dtype=np.float32)
        for first in range(0, len(rows), _BATCH):
            batch = torch.from_numpy(np.asarray(rows[first : first + _BATCH], dtype=np.float32))
            unit = self.towers.encode_video(batch).numpy()
            vectors[first : first + _BATCH] = self._without_hubs(unit)
        return vectors

    def _without_hubs(self, unit: NDArray[np.float32]) -> NDArray[np.float32]:
        """(T, E - 1) unit vectors -> (T, E) clip vectors."""
        similar = unit @ self._captions.T  # (T, C)
        count = min(HUB_NEIGHBOURS, len(self._captions))
        nearest = np.partition(similar, -count, axis=1)[:, -count:]
        hub = -HUB_WEIGHT * nearest.mean(1, keepdims=True)  # (T, 1)
        return np.concatenate([unit, hub], axis=1, dtype=np.float32)

    def as_query(self, clip: NDArray[np.float32]) -> NDArray[np.float32]:
        """(E,) clip vector -> (E,) query vector: what is like this clip."""
        return np.append(clip[:-1], np.float32(1))

    @torch.inference_mode()
    def query_vector(self, query: Query) -> NDArray[np.float32]:
        """(E,): a unit vector, and 1.

        Raises:
            RankerError: the word vectors are not of the width that the model was trained on.
        """
        trained = self.towers.config.word_width
        if query.vectors.shape[1] != trained:
            raise RankerError(
                f"word vectors of width {query.vectors.shape[1]}, but the weights were trained "
                f"with width {trained}: drop --words, or train weights for them"
            )
        if query.words not in self._remembered:
            words = torch.from_numpy(query.vectors)[None]  # (1, L, W)
            mask = torch.ones(words.shape[:2], dtype=torch.bool)  # (1, L)
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            unit = self.towers.encode_text(words, mask)[0].numpy()
            self._remembered[query.words] = np.append(unit, np.float32(1))
        return self._remembered[query.words]

    def curve(
        self, clips: NDArray[np.float32], query_vector: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(T, E), (E,) -> (T,) standard deviations above unrelated footage."""
        unrelated = self._background @ query_vector  # (K,)
        return np.asarray((clips @ query_vector - unrelated.mean()) / unrelated.std())

    def propose(
        self,
        clips: NDArray[np.float32],
        starts: NDArray[np.float64],
        ends: NDArray[np.float64],
        cuts: NDArray[np.float64],
        query: Query,
    ) -> list[Proposal]:
        """Moments of one window of clips (T, E), best first; seconds as in `starts` and `ends`."""
        return propose(self.curve(clips, self.query_vector(query)), starts, ends, cuts)

    def strength(self, scores: NDArray[np.floating] | float) -> NDArray[np.float64]:
        """Scores of any shape -> 0..1: how often an answer of such a score is right."""
        logit = self.calibration.slope * np.asarray(scores, dtype=np.float64)
        return np.asarray(1 / (1 + np.exp(-(logit + self.calibration.offset))))

    def verdict(self, strength: float) -> Verdict:
        """What to tell a person about an answer of this strength."""
        if strength >= self.calibration.strong:
            return "strong"
        return "possible" if strength >= self.calibration.possible else "none"
