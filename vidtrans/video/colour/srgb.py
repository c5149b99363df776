"""The sRGB curve (IEC 61966-2-1): from codes to light, and back."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np


@lru_cache(maxsize=2)
def light_of_codes(dtype: str) -> np.ndarray:
    """Return the light, float32, of each code of the dtype ("uint8", "uint16")."""
    code = np.linspace(0, 1, np.iinfo(dtype).max + 1)
    light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


def code_of_light(light: np.ndarray) -> np.ndarray:
    """Return the codes of light, both float32 in [0, 1]."""
    bright = cv2.pow(np.maximum(light, np.float32(0.0031308)), 1 / 2.4) * np.float32(1.055) - np.float32(0.055)
    return np.where(light <= 0.0031308, light * np.float32(12.92), bright)
