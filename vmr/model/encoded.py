"""The model of a library that is searched with an encoder of its own.

    basis = Basis(background, captions, calibration)
    model = EncodedModel(RetrievalModel.load(), block, width, basis, load_encoder)
    model.encode_query(model.query("ein Hund am Strand"))       # by the encoder's text tower

What is seen and what is asked are vectors of the encoder. All else is as ever: movements, hubs,
standard deviations above unrelated footage, moments off the curve, the second stage for questions
in two parts. That stage was taught another space, so it is shown no looks, only how well rows
match; what that costs has not been measured. Words are whatever the encoder reads, in any language.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray

from feature_extract.text_form import normal_form
from vmr.model.movements import COLUMNS, Movements, names_nothing_else
from vmr.model.retrieval import MOTION, Mix, RetrievalModel
from vmr.model.second_stage import SecondStage
from vmr.model.space import Space, Vector
from vmr.model.strength import Calibration
from vmr.model.text import Query, QueryError, joint_of, says_nothing, tokenize

if TYPE_CHECKING:
    from feature_extract.encoders.encoder import Encoder

HUB_NAMES: Final = 256
"""Names that hubs are known by: a large text tower takes a tenth of a second for each."""
_LONGEST: Final = 64
"""Words of a question; the towers cut off what is longer than they read."""
_REMEMBERED: Final = 256  # questions whose vectors are remembered
_BATCH: Final = 4096  # rows encoded at once


@dataclass(frozen=True, eq=False)
class Basis:
    """What scores of an encoder are measured by."""

    background: NDArray[np.float32]
    "(K, W + 4): unit vectors of unrelated footage, and how it moves"
    captions: NDArray[np.float32]
    "(C, W): unit vectors of what people ask for, to know hubs by"
    calibration: Calibration | None = None
    "None: nothing was fitted yet"
    mix: Mix | None = None
    "of questions in two parts; None: nothing was fitted yet, or nothing can be"

    @property
    def digest(self) -> str:
        """12 characters that tell its vectors from others; the calibration changes no vector."""
        digest = hashlib.sha256(self.background.astype(np.float16).tobytes())
        digest.update(self.captions.astype(np.float16).tobytes())
        return digest.hexdigest()[:12]


class EncodedModel(RetrievalModel):
    """Encodes clips and questions by an encoder, and finds moments. Thread-safe after loading."""

    def __init__(
        self,
        base: RetrievalModel,
        block: str,
        width: int,
        basis: Basis,
        load_encoder: Callable[[bool], "Encoder"],
    ) -> None:
        """Take all but looks and words from the model that comes with the project.

        Args:
            block: what the encoder's columns are called in a features file.
            width: how many they are.
            load_encoder: gives the encoder, told whether it has to see; called when first needed,
                as an index is made without it.
        """
        movements = base.movements
        super().__init__(
            base.words,
            base.towers,
            torch.from_numpy(basis.background),
            torch.from_numpy(basis.captions),
            basis.calibration or base.calibration,
            base.word_fingerprint,
            f"{base.fingerprint}-{block}-{basis.digest}",
            mix=basis.mix or base.mix,
            movements=movements,
            space=Space(width, 0, base.space.movements_width),
        )
        self.reads_own_blocks = False
        self.calibrated = basis.calibration is not None
        self._mixed = basis.mix is not None
        self._block, self._load_encoder = block, load_encoder
        self._encoder: Encoder | None = None
        self._seeing: Encoder | None = None
        self._asked: dict[str, NDArray[np.float32]] = {}
        self._loading = threading.Lock()
        if base.second_stage is not None:
            self.second_stage = _without_looks(base.second_stage, self.space)

    @property
    def english_only(self) -> bool:
        """Whether a question in another language means nothing to it: the encoder's own matter."""
        return False

    @property
    def reads_sentences(self) -> bool:
        """Whether the project's own sentence encoder has a part in it: the encoder reads them."""
        return False

    @property
    def blocks(self) -> dict[str, int]:
        """The feature blocks that the model reads, in order: name -> columns."""
        looks = {self._block: self.space.shared_width}
        return looks if self.movements is None else {**looks, MOTION: self.movements.rows}

    def among(self, clips: NDArray[np.floating]) -> "EncodedModel":  # noqa: ARG002  # is the same
        """Itself: its unrelated footage is drawn of the library already."""
        return self

    def encode_clips(self, rows: NDArray[np.floating]) -> NDArray[np.float32]:
        """(T, D) feature rows -> (T, E): a unit vector, movements, and what is taken off for being
        a hub. Rows of pictures have no motion columns, and nothing moves in them."""
        looks = self.space.shared_width
        if rows.ndim != 2 or rows.shape[1] not in (looks, sum(self.blocks.values())):
            raise ValueError(
                f"rows of shape {rows.shape}; expected (T, {sum(self.blocks.values())})"
            )
        vectors = np.empty((len(rows), self.width), dtype=np.float32)
        for first in range(0, len(rows), _BATCH):
            batch = np.asarray(rows[first : first + _BATCH], dtype=np.float32)
            seen = shown_by(batch, looks, self.movements)
            vectors[first : first + _BATCH] = self._without_hubs(seen)
        return vectors

    def query(self, text: str) -> Query:
        """The words of a question; none is unknown, as the encoder reads the sentence itself.

        Raises:
            QueryError: it has no words, too many, or none that shows anything.
        """
        words = tokenize(text)
        if not words:
            raise QueryError("the query has no words: type what happens in the video")
        if len(words) > _LONGEST:
            raise QueryError(f"the query has {len(words)} words; at most {_LONGEST} are read")
        if says_nothing(words):
            said = " ".join(dict.fromkeys(words))
            raise QueryError(f"type what is to be seen: “{said}” alone shows nothing")
        return Query(normal_form(text).strip(), tuple(words), self.words.lookup(words))

    def is_calibrated(self, question: str) -> bool:
        """Whether strength and verdict of answers to a question were fitted: those to one in two
        parts are a matter of their own."""
        if not self.calibrated:
            return False
        return self._mixed or self.second_stage is None or joint_of(tokenize(question)) is None

    def knows(self, word: str) -> bool:
        """Whether a word may be meant as it is: what the encoder was taught is not known."""
        return bool(word)

    @torch.inference_mode()
    def encode_query(self, query: Query) -> NDArray[np.float32]:
        """(E,): the encoder's unit vector of the sentence, the movements in it, and 1."""
        kept = self._asked.get(query.text)
        if kept is not None:
            return kept
        unit, hub = self._text_tower().read([query.text])[0], 1.0
        moved = np.zeros(self.space.movements_width, np.float32)
        if self.movements:
            moved = self.movements.query_columns(query.words)
            if names_nothing_else(query.words):
                unit, hub = 0 * unit, 0.0
        vector = self.space.join(unit, np.zeros(0, np.float32), moved, hub)
        if len(self._asked) >= _REMEMBERED:
            self._asked.clear()
        self._asked[query.text] = vector
        return vector

    def see_picture(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The row (W,) of a picture (H, W, 3) RGB."""
        with self._loading:
            self._seeing = self._seeing or self._load_encoder(True)
        return self._seeing.see_picture(picture)

    def _text_tower(self) -> "Encoder":
        with self._loading:
            self._encoder = self._encoder or self._load_encoder(False)
            return self._encoder


def shown_by(
    rows: NDArray[np.float32], looks: int, movements: Movements | None
) -> NDArray[np.float32]:
    """(T, looks + M) feature rows -> (T, looks + 4): unit vectors and movements."""
    seen = rows[:, :looks]
    unit = seen / np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-6)
    if movements is None:
        return np.asarray(unit, np.float32)
    moving = rows[:, looks:]
    still = np.zeros((len(rows), len(COLUMNS)), np.float32)
    moved = movements.clip_columns(moving) if moving.shape[1] else still
    return np.concatenate([unit, moved], axis=1, dtype=np.float32)


def hub_names(model: RetrievalModel) -> Sequence[str]:
    """What people ask for, as far as this project knows without captions: names of things."""
    names = model.names.words if model.names else ()
    step = max(1, len(names) // HUB_NAMES)
    return names[::step][:HUB_NAMES]


class _NoLooks(Space):
    """The columns of an encoder, read by a second stage that was taught other looks."""

    def looks(self, vectors: Vector) -> Vector:
        """(..., E) -> (..., the width it was taught): nothing."""
        return np.zeros((*vectors.shape[:-1], self.names_width), np.float32)

    def movements(self, vectors: Vector) -> Vector:
        """(..., E) -> (..., movements)."""
        return vectors[..., self.shared_width : -1]


def _without_looks(taught: SecondStage, space: Space) -> SecondStage:
    """The same networks, put in front of clips of another space."""
    width = taught.space.shared_width + taught.space.names_width
    stage = SecondStage(taught.network, _NoLooks(space.shared_width, width, space.movements_width))
    stage.prior_scale, stage.prior_bias = taught.prior_scale, taught.prior_bias
    return stage.eval()
