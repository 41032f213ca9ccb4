"""The trained model in use: what search, index and page see of the networks.

    model = RetrievalModel.load()                   # assets/weights/base and the packaged words
    clips = model.encode_clips(features.rows)       # (T, E), kept in the index
    query = model.query("a dog jumps")
    model.localise(windows, query)                  # moments of each window, best first

Scores are standard deviations above unrelated footage: the similarity of a clip to the query, minus
that of the best hundredth of a background of clips that have nothing to do with it, over their
spread. That takes off what a query gives to everything ("a man" is like every picture a little) and
what it finds by chance anywhere (long sentences find more), and makes queries comparable.

What a clip gives to everything is taken off too: some clips are near to whatever is asked (hubs),
so most of a clip's similarity to the nearest of a thousand captions and as many bare names ("a
penguin") is subtracted, as in CSLS (Conneau et al., ICLR 2018). It is a column of a clip's
vector, against a 1 in the query's, so that one inner product is the whole score (space.py).
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from feature_extract.files import assets_folder
from feature_extract.motion import motion_fingerprint
from vmr.model.localise import Proposal
from vmr.model.looking import shown
from vmr.model.movements import COLUMNS, EVEN, ODDS, Movements
from vmr.model.movements import WEIGHT as MOVEMENT_WEIGHT
from vmr.model.names import Names
from vmr.model.network import ModelConfig, MomentModel
from vmr.model.reading import QuestionReader, encoder_of
from vmr.model.second_stage import Matches, SecondStage
from vmr.model.sentence import SentenceEncoder
from vmr.model.space import Space
from vmr.model.strength import Calibration
from vmr.model.text import Query, Words
from vmr.model.towers import Towers, TowersConfig
from vmr.model.weights import ModelError, read_weights, write_weights
from vmr.model.windows import Window, along

BASE: Final = assets_folder() / "weights" / "base"
"""The weights of a fresh install."""
BEST_SHARE: Final = 0.01
"""Share of the background that a query may take for an answer by chance: a score of 0. Measured
against the mean (docs/EXPERIMENTS.md, "scores against the best of unrelated footage")."""
HUB_WEIGHT: Final = 0.7
"""Share of a clip's similarity to what is nearest of all that people ask for, that is taken off.
.5 to .8 and 1 were measured (docs/EXPERIMENTS.md, "the classifier's judgement and words' own
vectors" and "hubs are known by bare names, too")."""
HUB_NEIGHBOURS: Final = 10
"""So many of all that people ask for count as the nearest of a clip, as CSLS has it; not tuned."""
MOST_USUAL: Final = 0.7
"""Standard deviations that scores are lowered by at most, for being usual where they are searched;
what a library is about is usual there, too, and is to be found. Measured without a limit, too
(docs/EXPERIMENTS.md, "how sure to be on files that nobody trained on")."""
_FEW: Final = 60  # rows whose mean counts half: a moment of a short film is much of it; not tuned
_BATCH: Final = 4096  # rows encoded at once: some 50 MB
_REMEMBERED: Final = 256  # questions whose similarity to unrelated footage is remembered

_SECOND_STAGE: Final = "second_stage."  # its tensors' names begin so
MOTION: Final = "motion"
"""The block of features that movements are read from."""


@dataclass(frozen=True)
class Mix:
    """The second stage's logits as scores, in the unit of the curve's: slope * logit + offset."""

    slope: float = 1.0
    offset: float = 0.0


class RetrievalModel:
    """Encodes clips and queries, and finds moments. Thread-safe after loading."""

    def __init__(
        self,
        words: Words,
        towers: Towers,
        background: torch.Tensor,
        captions: torch.Tensor,
        calibration: Calibration,
        word_fingerprint: str,
        fingerprint: str = "unsaved",
        *,
        second_stage: SecondStage | None = None,
        mix: Mix = Mix(),
        names: Names | None = None,
        movements: Movements | None = None,
        encoder: SentenceEncoder | None = None,
        unread: str = "",
        space: Space | None = None,
    ) -> None:
        self.words = words
        """What a query's words look like, as vectors."""
        self.encoder = encoder
        """What a query means as a whole; None: it is read word by word."""
        self._unread = unread  # why there is no encoder
        self.towers = towers.eval()
        self.names = names
        self.movements = movements
        self.space = space or space_of(towers, names, movements)
        self._captions = np.asarray(captions.float().numpy())  # (C, E - 1)
        self._unrelated = np.asarray(background.float().numpy())  # (K, E - 1)
        self.background = self._without_hubs(self._unrelated)
        """(K, E) clip vectors of unrelated footage, which scores are measured against."""
        self.calibration = calibration
        self.second_stage = second_stage
        """The second stage; without one, moments are read off the similarity curve."""
        self.mix = mix
        self.calibrated = self.reads_own_blocks = True  # of its strength; they are in every video
        self.word_fingerprint = word_fingerprint
        self.fingerprint = fingerprint
        self._reader = QuestionReader(
            words, self.towers, self.space, names=names, movements=movements, encoder=encoder
        )
        self._measured: dict[bytes, tuple[float, float]] = {}
        self._usual: tuple[NDArray[np.float32], float] | None = None

    @property
    def english_only(self) -> bool:
        """Whether a question in another language means nothing to it."""
        return True

    @property
    def width(self) -> int:
        """E: columns of a clip vector and of a query vector."""
        return self.space.width

    @property
    def reads_sentences(self) -> bool:
        """Whether it was trained to read what a question means as a whole."""
        return bool(self.towers.config.sentence_width)

    @property
    def questions(self) -> str:
        """How questions are read, and why: what a person is told."""
        if self.encoder is not None or not self.reads_sentences:
            return "as sentences" if self.encoder else "word by word"
        return f"word by word: {self._unread or 'as was asked for'}"

    def query(self, text: str) -> Query:
        """The words of a question, with their vectors.

        Raises:
            QueryError: no word of it is known, or none shows anything; or it is no question.
        """
        return self._reader.query(text)

    def sentences(self, count: int) -> NDArray[np.float32]:
        """(at most `count`, E) query vectors of captions that come with the weights."""
        places = np.unique(np.linspace(0, len(self._captions) - 1, count).round().astype(int))
        vectors = np.zeros((len(places), self.width), np.float32)
        self.space.shared(vectors)[:] = self._captions[places]
        self.space.hub(vectors)[:] = 1
        return vectors

    @property
    def blocks(self) -> dict[str, int]:
        """The feature blocks that the model reads, in order: name -> columns."""
        pictures = self.towers.config.blocks
        return pictures if self.movements is None else pictures | {MOTION: self.movements.rows}

    @classmethod
    def load(
        cls,
        folder: Path | None = None,
        *,
        words: Words | None = None,
        moving: bool = True,
        sentences: bool = True,
    ) -> "RetrievalModel":
        """The model in `folder` (config.json, weights.safetensors); default: the shipped one.

        Args:
            words: word vectors to read questions with; default: the packaged ones.
            moving: False leaves out what it knows of movements, which other motion weights than
                those it was made for would tell wrongly.
            sentences: False reads questions word by word, as where the sentence encoder is not
                installed.

        Raises:
            ModelError: files are missing, damaged or of another format.
        """
        stored = read_weights(folder or BASE)
        config, state = stored.config, stored.tensors
        towers = Towers(TowersConfig(**config["towers"]))
        background, captions = state.pop("background"), state.pop("captions")
        names, movements = None, None
        if config["motion"]:
            if moving and config["motion"] != motion_fingerprint()["weights"]:
                raise ModelError(
                    f"{folder or BASE}: made for motion weights other than those of this "
                    "installation; restore both"
                )
            weight, bias = state.pop("movements.weight"), state.pop("movements.bias")
            movements = Movements(weight.numpy(), bias.numpy()) if moving else None
        if config["names"]:
            codes, table = state.pop("names.codes"), state.pop("names.query_columns")
            names = Names(codes.numpy(), config["names"].split(", "), table.numpy())
        space = space_of(towers, names, movements)
        if movements is None:
            background = background[:, : space.width - 1]
        second_stage = None
        if config["second_stage"] is not None:
            network = MomentModel(ModelConfig(**config["second_stage"]))
            second_stage = SecondStage(network, space).eval()
            own = [name for name in state if name.startswith(_SECOND_STAGE)]
            second_stage.load_state_dict(
                {name.removeprefix(_SECOND_STAGE): state.pop(name) for name in own}
            )
        towers.load_state_dict(state)
        encoder, unread = encoder_of(config["sentences"] if sentences else None)
        return cls(
            Words.load() if words is None else words,
            towers,
            background,
            captions,
            Calibration(**config["calibration"]),
            config["words"],
            stored.digest[:12],
            second_stage=second_stage,
            mix=Mix(**config["mix"]),
            names=names,
            movements=movements,
            encoder=encoder,
            unread=unread,
        )

    def save(self, folder: Path, training: Mapping[str, Any] | None = None) -> None:
        """Write config.json and weights.safetensors (float16) into `folder`.

        Args:
            training: how the weights were made (vmr/training/trainer.py: run_record). It is kept in
                config.json for people to read; nothing depends on it, the fingerprint neither.
        """
        state = dict(self.towers.state_dict())
        state["background"] = torch.from_numpy(self._unrelated)
        state["captions"] = torch.from_numpy(self._captions)
        if self.names is not None:
            state["names.codes"] = torch.from_numpy(self.names.codes)
            state["names.query_columns"] = torch.from_numpy(self.names.table)
        if self.movements is not None:
            state["movements.weight"] = torch.from_numpy(self.movements.weight)
            state["movements.bias"] = torch.from_numpy(self.movements.bias)
        reads = None
        if self.second_stage is not None:
            own = self.second_stage.state_dict()
            state |= {_SECOND_STAGE + name: tensor for name, tensor in own.items()}
            reads = asdict(self.second_stage.network.config)
        config = {
            "towers": asdict(self.towers.config),
            "second_stage": reads,
            "mix": asdict(self.mix),
            "calibration": asdict(self.calibration),
            "words": self.word_fingerprint,
            "sentences": SentenceEncoder.fingerprint if self.reads_sentences else None,
            "names": None if self.names is None else ", ".join(self.names.words),
            "motion": None if self.movements is None else motion_fingerprint()["weights"],
        }
        if training is not None:
            config["training"] = dict(training)
        write_weights(folder, config, state)

    @torch.inference_mode()
    def encode_clips(self, rows: NDArray[np.floating]) -> NDArray[np.float32]:
        """(T, D) feature rows -> (T, E): a unit vector, names, movements, and what is taken off for
        being a hub. Rows of pictures have no motion columns, and nothing moves in them."""
        pictures = sum(self.towers.config.blocks.values())
        if rows.ndim != 2 or rows.shape[1] not in (pictures, sum(self.blocks.values())):
            raise ValueError(
                f"rows of shape {rows.shape}; expected (T, {sum(self.blocks.values())})"
            )
        vectors = np.empty((len(rows), self.width), dtype=np.float32)
        for first in range(0, len(rows), _BATCH):
            batch = np.asarray(rows[first : first + _BATCH], dtype=np.float32)
            seen = shown(self.towers, self.names, self.movements, batch)
            vectors[first : first + _BATCH] = self._without_hubs(seen)
        return vectors

    def _without_hubs(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """(T, E - 1) of `shown` -> (T, E) clip vectors."""
        similar = self.space.shared(seen) @ self._captions.T  # (T, C)
        count = min(HUB_NEIGHBOURS, len(self._captions))
        nearest = np.partition(similar, -count, axis=1)[:, -count:]
        hub = -HUB_WEIGHT * nearest.mean(1, keepdims=True)  # (T, 1)
        return np.concatenate([seen, hub], axis=1, dtype=np.float32)

    def as_query(self, clip: NDArray[np.float32]) -> NDArray[np.float32]:
        """(E,) clip vector -> (E,) query vector: what is like this clip."""
        query = clip.astype(np.float32, copy=True)
        self.space.hub(query)[...] = 1
        self.space.movements(query)[:] *= MOVEMENT_WEIGHT
        return query

    def is_calibrated(self, question: str) -> bool:  # noqa: ARG002  # of an encoder it depends
        """Whether strength and verdict of answers to a question were fitted."""
        return self.calibrated

    def knows(self, word: str) -> bool:
        """Whether the model was taught a word, by captions or as a name that it sees."""
        return word in self._reader.taught

    def encode_query(self, query: Query) -> NDArray[np.float32]:
        """(E,): a unit vector, the names and movements in it, and 1; of a movement alone only that.

        Raises:
            ModelError: the word vectors are not of the width that the model was trained on.
        """
        return self._reader.vector(query)

    def curve(
        self, clips: NDArray[np.floating], query_vector: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(T, E), (E,) -> (T,) standard deviations above the best of unrelated footage, or of what
        is usual in what is searched (`among`)."""
        return self._above_unrelated(clips, query_vector) - self._usual_of(query_vector)

    def among(self, clips: NDArray[np.floating]) -> "RetrievalModel":
        """The same model where these clips (T, E), some hundred drawn of all, are what is searched.

        All rows of some libraries are nearer to whatever is asked than unrelated footage is, and
        the best of them is no answer for that: what a question has in common with them in the mean
        is taken off its scores.
        """
        other = copy.copy(self)
        middle = clips.mean(axis=0, dtype=np.float32) - self.background.mean(axis=0)
        other._usual = middle, len(clips) / (len(clips) + _FEW)
        return other

    def _usual_of(self, query_vector: NDArray[np.float32]) -> float:
        """What a question's scores are lowered by, for what is searched."""
        if self._usual is None or self.space.is_movement_alone(query_vector):
            return 0.0
        middle, share = self._usual
        above = float(middle @ query_vector) / self._unrelated_to(query_vector)[1]
        return min(max(share * above, 0.0), MOST_USUAL)

    def _above_unrelated(
        self, clips: NDArray[np.floating], query_vector: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(T,) standard deviations above the best of unrelated footage, wherever it is searched."""
        best, spread = self._unrelated_to(query_vector)
        return np.asarray((clips @ query_vector - best) / spread)

    def _unrelated_to(self, query_vector: NDArray[np.float32]) -> tuple[float, float]:
        """The similarity of the best of unrelated footage, and its spread; remembered, because the
        curves of all windows of a search ask for the same. Of a movement alone: what is noticed."""
        if self.space.is_movement_alone(query_vector):  # footage that moves so is no chance find
            slope, offset = self.calibration.slope, self.calibration.offset
            return MOVEMENT_WEIGHT * (EVEN + offset / ODDS), MOVEMENT_WEIGHT * slope / ODDS
        key = query_vector.tobytes()
        found = self._measured.get(key)
        if found is None:
            unrelated = np.sort(self.background @ query_vector)  # (K,)
            best = unrelated[-max(1, round(BEST_SHARE * len(unrelated))) :].mean()
            if len(self._measured) >= _REMEMBERED:
                self._measured.clear()
            # Kept in a local name: another thread may clear the dictionary at any time.
            found = self._measured[key] = float(best), float(unrelated.std())
        return found

    def localise(self, windows: Sequence[Window], query: Query) -> list[list[Proposal]]:
        """Moments of each window, best first.

        Those that stand out of the similarity curve; of a query in two parts ("a dog runs, then it
        jumps"), which one curve cannot follow, those of the second stage.
        """
        if self.second_stage is None or query.parts is None:
            vector = self.encode_query(query)
            return along(windows, [self.curve(window.clips, vector) for window in windows])
        matches = [self.matches(window.clips, query) for window in windows]
        return [
            [replace(m, score=self.mix.slope * m.score + self.mix.offset) for m in own]
            for own in self.second_stage.propose(windows, matches, query.vectors)
        ]

    def matches(self, clips: NDArray[np.floating], query: Query) -> Matches:
        """(3, T): the curves of the query, and of its two parts or twice of itself again."""
        vectors = [self.encode_query(part) for part in (query, *(query.parts or (query, query)))]
        return np.stack([self._above_unrelated(clips, vector) for vector in vectors])


def space_of(towers: Towers, names: Names | None, movements: Movements | None) -> Space:
    """The columns of a model that is made of these."""
    return Space(
        towers.config.width,
        0 if names is None else names.width,
        0 if movements is None else len(COLUMNS),
    )
