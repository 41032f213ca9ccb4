"""What doctor says is what the extractor does."""

import pytest
import torch

from feature_extract.networks.device import fast_dtype
from vmr.cli.doctor import Check, examine
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
