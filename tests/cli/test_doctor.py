"""What doctor says is what the extractor does."""

from pathlib import Path

import pytest
import torch

from feature_extract.networks.device import fast_dtype
from feature_extract.transcript import TextSpan, Transcript
from tests.support.planted import plant, random_rows
from vmr.cli.doctor import Check, _words, examine
from vmr.library.store import Library
from vmr.model.sentence import SentenceEncoder


def found(name: str) -> Check:
    return next(check for check in examine() if check.name == name)


@pytest.mark.parametrize("native", [True, False])
def test_the_numbers_are_those_that_the_extractor_computes_with(
    monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    """oneDNN says that it can bfloat16 wherever there is AVX-512, where it only emulates it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    assert (fast_dtype("cpu") is torch.bfloat16) == native
    said = found("device").finding
    assert said.startswith("CPU, ")
    assert ("float32" in said) == (not native)
    assert said.endswith("bfloat16") == native


def test_how_to_get_logs_is_said() -> None:
    check = found("log")
    assert check.good
    assert "--verbose" in check.finding


def test_a_cache_that_cannot_be_written_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load() -> SentenceEncoder:
        raise NotADirectoryError(20, "Not a directory", "/dev/null/vmr")

    monkeypatch.setattr(SentenceEncoder, "load", load)
    check = found("model")
    assert not check.good
    assert check.finding == "/dev/null/vmr: not a directory"
    assert "VMR_CACHE" in check.advice


def test_the_words_of_a_library_are_counted(tmp_path: Path) -> None:
    library = Library(tmp_path / "library")
    for number in range(3):
        plant(library, tmp_path / f"{number}.mp4", random_rows(3, number))
    assert _words(library).finding == "said in 0 videos, written in 0; does not listen"
    library.words.want(speech="tiny.en", text=True)
    said = Transcript("said", "whisper tiny.en", "en", (TextSpan(0, 1, "hello"),))
    library.words.record(1, "said", said, "", model="tiny.en")
    library.words.record(1, "written", None, "no picture", model="rapidocr")
    library.words.record(2, "said", Transcript("said", "whisper tiny.en", None, ()), "")
    finding = _words(library).finding
    assert finding.startswith("said in 1 videos, written in 0; listens by tiny.en, reads text in ")
    assert finding.endswith("pictures; 2 videos left")
    library.close()
