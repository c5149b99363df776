"""Short tests of an installation: a lossless round trip through the encoder, and the rate of a model."""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import numpy as np

from vidtrans.inference.device import resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.models.model_file import find_model, load_generator
from vidtrans.video.io.encoder import SegmentWriter, read_lossless
from vidtrans.video.io.encoding import EncodingSettings, PictureFormat


def lossless_round_trip_is_exact() -> bool:
    """Return whether pictures that are written losslessly come back as they were."""
    frames = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)
    form = PictureFormat(64, 48, Fraction(1), Fraction(1, 25), Fraction(25))
    with tempfile.TemporaryDirectory(prefix="vidtrans-") as folder:
        path = Path(folder) / "a.nut"
        with closing(SegmentWriter(path, form, EncodingSettings(codec="ffv1"))) as writer:
            for number, frame in enumerate(frames):
                writer.write(frame, number)
        return all(np.array_equal(a, b) for a, b in zip(frames, read_lossless(path), strict=True))


def model_rate(name: str, width: int, height: int, device: str) -> float:
    """Return how many frames a second a model that ships renders here. Raises ModelError, DeviceError."""
    path = find_model(name)
    assert path is not None
    generator, record = load_generator(path)
    engine = TorchEngine(generator, resolve_device(device))
    inputs = np.zeros((engine.batch, height, width, record.in_channels), np.uint8)
    engine(inputs)
    began = time.perf_counter()
    engine(inputs)
    return engine.batch / (time.perf_counter() - began)
