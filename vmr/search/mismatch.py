"""What was made with other networks, weights or word vectors than those in use.

for mismatch in mismatches(library, model):
    print(mismatch.part, mismatch.finding, mismatch.advice)

None of it ever mixes: a library takes rows of one extractor, an index vectors of one model.
"""

from dataclasses import dataclass

from feature_extract.extract import extractor_fingerprint
from vmr.library.encoders import not_read
from vmr.library.store import Library
from vmr.model.retrieval import RetrievalModel
from vmr.search.index import ClipIndex


@dataclass(frozen=True)
class Mismatch:
    """One part that does not fit the others."""

    part: str
    "features, encoder, index, or word vectors"
    finding: str
    advice: str
    "what to do about it"

    def __str__(self) -> str:
        return f"{self.part}: {self.finding}; {self.advice}"


def mismatches(library: Library, model: RetrievalModel) -> list[Mismatch]:
    """Every part of a library, and the word vectors, that do not fit the model in use."""
    found = []
    if library.fingerprint not in ("", extractor_fingerprint()):
        finding = "the videos were indexed with other networks or settings than those in use"
        found.append(Mismatch("features", finding, "`rescan --reindex` reads them again"))
    unread = not_read(library)
    if unread:
        more = f" (and {len(unread) - 1} more)" if len(unread) > 1 else ""
        finding = f"{unread[0].name}{more} could not be read with it, and is not searched"
        found.append(Mismatch("encoder", finding, "`rescan` tries again"))
    if ClipIndex.stored_model(library) not in ("", model.fingerprint):
        finding = "the index was made with other weights than those in use, and is not used"
        advice = "the next search makes a new one, or `rescan --reindex`"
        found.append(Mismatch("index", finding, advice))
    return found + word_mismatches(model)


def reading_note(model: RetrievalModel) -> str | None:
    """One line where questions are read word by word although the weights read sentences."""
    if model.encoder is not None or not model.reads_sentences:
        return None
    return f"questions are read {model.questions}"


def word_mismatches(model: RetrievalModel) -> list[Mismatch]:
    """Whether the model was trained with other word vectors than those it was loaded with."""
    if model.words.fingerprint == model.word_fingerprint:
        return []
    finding = "not those that the weights were trained with: answers mean little"
    return [Mismatch("word vectors", finding, "drop --words, or train weights for them")]
