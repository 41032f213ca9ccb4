"""High dynamic range pictures as standard ones (ITU-R BT.2100 to sRGB).

    to_sdr(pixels, "pq")         # (H, W, 3) uint16 full-range BT.2020 -> (H, W, 3) uint8 sRGB

Without it an HDR video looks dark grey to networks trained on photographs. What is as bright as
white paper (203 cd/m2, BT.2408) comes out nearly white; what is brighter is rolled off, the colour
kept. Good enough to recognise things by, not a colourist's grade.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

WHITE_NITS: Final = 203.0
"""BT.2408 reference white."""
KNEE: Final = 0.75
"""Up to here, of reference white, brightness is kept; above it approaches 1."""
TO_BT709: Final = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)
"""Linear BT.2020 to linear BT.709 primaries (BT.2087, inverse)."""


def to_sdr(pixels: NDArray[np.uint16], transfer: str) -> NDArray[np.uint8]:
    """Map (H, W, 3) RGB code values with BT.2020 primaries; `transfer` is "pq" or "hlg"."""
    light = _linear(transfer)[pixels >> 6]  # 10 of 16 bits: what such videos carry
    if transfer == "hlg":
        luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light = light * np.maximum(luminance, 1e-6)[..., None] ** 0.2 * (1000 / WHITE_NITS)
    light = np.maximum(light @ TO_BT709.T, 0)
    peak = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
    over = np.maximum(peak - KNEE, 0) / (1 - KNEE)
    rolled = np.where(peak > KNEE, KNEE + (1 - KNEE) * over / (1 + over), peak)
    codes = _srgb_codes()
    sdr: NDArray[np.uint8] = codes[(light * (rolled / peak) * (len(codes) - 1)).astype(np.int64)]
    return sdr


@cache
def _linear(transfer: str) -> NDArray[np.float32]:
    """(1024,) light for each 10-bit code: PQ in units of reference white, HLG scene light 0..1."""
    code = np.arange(1024) / 1023
    if transfer == "pq":  # SMPTE ST 2084
        power = code ** (1 / 78.84375)
        ratio = np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
        return (10_000 / WHITE_NITS * ratio ** (1 / 0.1593017578125)).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073  # ARIB STD-B67
    light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return light.astype(np.float32)


@cache
def _srgb_codes() -> NDArray[np.uint8]:
    """(4096,) 8-bit sRGB code of linear light 0..1."""
    light = np.linspace(0, 1, 4096)
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(255 * code).astype(np.uint8)
