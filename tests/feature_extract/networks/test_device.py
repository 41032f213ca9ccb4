"""The number format that networks compute in is asked in one place, and told as it is."""

import re
from pathlib import Path

import pytest
import torch

from feature_extract.networks.device import chosen_device, fast_dtype
from vmr.cli.doctor import _device

ROOT = Path(__file__).resolve().parents[3]


def test_only_device_asks_the_processor_for_its_number_formats() -> None:
    asking = {
        path.relative_to(ROOT).as_posix()
        for room in ("feature_extract", "vmr")
        for path in (ROOT / room).rglob("*.py")
        if re.search(r"_is_(amx|avx512|mkldnn)\w*_supported", path.read_text("utf-8"))
    }
    assert asking == {"feature_extract/networks/device.py"}


@pytest.mark.parametrize("amx", [False, True])
@pytest.mark.parametrize("avx", [False, True])
def test_doctor_tells_the_format_that_the_extractor_uses(
    amx: bool, avx: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AVX-512 without bfloat16 units emulates them: the extractor takes float32 there."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: avx)
    expected = torch.bfloat16 if amx or avx else torch.float32
    assert fast_dtype(chosen_device("auto")) is expected
    format_told = _device().finding.split(", ")[2].split(" ")[0]
    assert f"torch.{format_told}" == str(expected)
