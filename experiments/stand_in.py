"""Does search by way of an encoder lose anything? A stand-in with weights says so.

    python -m experiments.stand_in [--minutes 5] [--work DIR]

Hubs cannot be reached where this is developed, so a CLIP of toy size, in the real layout, is taught
to give what the project's own space gives: for pictures of the sample films (those at other moments
than the index looks at), and for the questions of benchmarks/sample_questions.tsv and single names.
It has learnt these by heart and says nothing of encoders in general. What it tells is whether rows,
index, hubs, scores and moments come through the encoder's path as they do through the usual one.
"""

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel

from benchmarks.sample_questions import QUESTIONS, WORDS, read_questions, report, sample_library
from feature_extract.encoders.open import open_encoder
from feature_extract.extract import RATE, SIZE
from feature_extract.networks.appearance import Appearance
from feature_extract.networks.squash import squash_pixels
from feature_extract.video.frames import read_frames
from tests.support.tiny_encoders import word_tokenizer, write_preparation
from vmr.cli.choosing import take_encoder
from vmr.cli.encoders import fit_for
from vmr.cli.samples import build_samples
from vmr.model.retrieval import RetrievalModel
from vmr.model.text import QueryError, tokenize
from vmr.search.model import model_of
from vmr.search.searcher import Searcher

SIDE = 64
BATCH = 64


def main() -> None:
    """Teach the stand-in, index with it, and print both tables."""
    parser = argparse.ArgumentParser(prog="python -m experiments.stand_in")
    parser.add_argument("--minutes", type=float, default=5.0, help="of teaching")
    parser.add_argument("--work", type=Path, help="keep library and stand-in here")
    options = parser.parse_args()
    with ExitStack() as stack:
        work = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        films = build_samples(work / "videos")
        teach(films, work / "stand-in", 60 * options.minutes)
        library = sample_library(work)
        asked = read_questions(QUESTIONS)
        for name in ("default", str(work / "stand-in")):
            take_encoder(library, name)
            model = model_of(library)
            searcher = Searcher(library, model, use_feedback=False)
            print(f"\n## {Path(name).name}\n")
            report([(question, searcher.search(question.text)) for question in asked])
            fitted = fit_for(library, model)
            print(f"\npackaged photographs among the films: {fitted.right:.0%} right")


def teach(films: list[Path], folder: Path, seconds: float) -> None:
    """Write a CLIP that gives what the project's space gives for these films and questions."""
    torch.manual_seed(0)
    model = RetrievalModel.load()
    pixels, seen = pictures(films, model)
    texts, meant = sentences(model)
    words = sorted({word for text in texts for word in tokenize(text)})
    tokenizer = word_tokenizer(words)
    width = seen.shape[1]
    towers = {"hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 4}
    config = CLIPConfig(
        text_config={
            **towers,
            "num_hidden_layers": 1,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 32,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**towers, "num_hidden_layers": 3, "image_size": SIDE, "patch_size": 8},
        projection_dim=width,
    )
    student = CLIPModel(config)
    optimiser = torch.optim.AdamW(student.parameters(), lr=1e-3, weight_decay=0.01)
    tokens = tokenizer(texts, padding=True, return_tensors="pt")
    end, step = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        some = torch.randint(len(pixels), (BATCH,))
        said = torch.randint(len(texts), (BATCH,))
        rate = 1e-3 * min(1.0, max(0.02, (end - time.monotonic()) / (0.7 * seconds)))
        for group in optimiser.param_groups:
            group["lr"] = rate
        eyes = student.get_image_features(prepared(pixels[some.numpy()])).pooler_output
        ears = student.get_text_features(
            input_ids=tokens["input_ids"][said], attention_mask=tokens["attention_mask"][said]
        ).pooler_output
        losses = (
            1 - F.cosine_similarity(eyes, seen[some]).mean(),
            1 - F.cosine_similarity(ears, meant[said]).mean(),
        )
        optimiser.zero_grad()
        sum(losses).backward()  # type: ignore[union-attr]
        optimiser.step()
        step += 1
        if step % 100 == 0:
            print(f"step {step}: {losses[0]:.4f} pictures, {losses[1]:.4f} sentences", flush=True)
    student.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_preparation(folder, SIDE)
    encoder = open_encoder(str(folder))
    assert encoder.width == width


def prepared(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """Pictures as `write_preparation` has them prepared."""
    pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return (pictures - 0.5) / 0.5


def pictures(films: list[Path], model: RetrievalModel) -> tuple[NDArray[np.uint8], torch.Tensor]:
    """Small pictures (N, SIDE, SIDE, 3) of films, and what the space has for them (N, W)."""
    network, small, rows = Appearance(), [], []
    for film in films:
        with read_frames(film, rate=2 * RATE, size=(SIZE, SIZE)) as frames:
            for batch in frames:
                small.append(squash_pixels(batch.pixels, SIDE))
                rows.append(network(batch.pixels))
    looks = model.space.looks(model.encode_clips(np.concatenate(rows)))
    return np.concatenate(small), F.normalize(torch.from_numpy(looks.copy()), dim=1)


def sentences(model: RetrievalModel) -> tuple[list[str], torch.Tensor]:
    """Questions and names, and what the space has for them (N, W)."""
    texts = [question.text for file in (QUESTIONS, WORDS) for question in read_questions(file)]
    texts += list(model.names.words) if model.names else []
    kept, vectors = [], []
    for text in texts:
        try:
            vector = model.space.looks(model.encode_query(model.query(text)))
        except QueryError:
            continue
        kept.append(text)
        vectors.append(vector.copy())
    return kept, F.normalize(torch.from_numpy(np.stack(vectors)), dim=1)


if __name__ == "__main__":
    main()
