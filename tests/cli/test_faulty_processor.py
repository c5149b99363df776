"""A strip of a film, rendered and learned from on a processor whose bf16 is wrong for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import said, said_json, tiny_flags
from clips import decode, moving_frames, write_clip
from dreams import make_dreamer
from faulty_processor import FaultyProcessor
from safetensors import safe_open

from vidtrans.inference import product_checks
from vidtrans.inference.user_cache import caches_in
from vidtrans.networks import matmul_convolution

Capsys = pytest.CaptureFixture[str]

BF16 = ("--device", "cpu", "--set", "rendering.precision=bf16")
EXACT = ("--set", "rendering.precision=fp32", "--device", "cpu")
WARNED = "computed in fp32 instead"


@pytest.fixture(autouse=True)
def _faulty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(product_checks, "_known", {})
    with caches_in(tmp_path / "user"):
        yield


@pytest.fixture
def strip(tmp_path: Path) -> Path:
    """A clip so narrow that inner layers of the model are one pixel wide."""
    return write_clip(tmp_path / "strip.mp4", [frame[:, :16] for frame in moving_frames(6)])


def test_a_strip_is_rendered_right_under_a_key_of_its_own(strip: Path, tiny_model: Path, capsys: Capsys) -> None:
    command = ["stylize", strip, "--model", tiny_model, "--size", "source", "--temporal", "off", "--codec", "ffv1"]
    said(capsys, 0, *command, *EXACT, "-o", "exact.mkv")
    healthy = said(capsys, 0, *command, *BF16, "-o", "healthy.mkv")
    assert WARNED not in healthy
    keys = {path.name for path in Path(".vidtrans/infer").iterdir()}
    with FaultyProcessor(), caches_in(Path("faulty").resolve()):
        product_checks._known.clear()
        found = said_json(capsys, *command, *BF16, "-o", "faulty.mkv", "--overwrite")
        again = said(capsys, 0, *command, *BF16, "-o", "again.mkv")
    assert found["exact"]
    assert WARNED in again
    exact, faulty = (np.stack(decode(Path(f"{name}.mkv"))[2]).astype(float) for name in ("exact", "faulty"))
    assert np.mean((exact - faulty) ** 2) < 255**2 / 1e4  # 40 dB
    assert Path("faulty.mkv").read_bytes() == Path("again.mkv").read_bytes()
    assert len({path.name for path in Path(".vidtrans/infer").iterdir()} - keys) == 1  # both have the same


@pytest.mark.thorough
def test_a_dream_of_a_strip_says_what_is_in_fp32(strip: Path, tmp_path: Path, capsys: Capsys) -> None:
    dreamer = make_dreamer(tmp_path / "dreamer.safetensors", context_frames=1)
    command = ["dream", strip, "--model", dreamer, "--frames", "3", "--size", "source", *BF16]
    with FaultyProcessor():
        found = said_json(capsys, *command, "-o", "faulty.mkv")
    assert found["exact"]
    product_checks._known.clear()
    with caches_in(Path("healthy").resolve()):
        assert "exact" not in said_json(capsys, *command, "-o", "healthy.mkv")


def test_a_training_on_a_strip_says_what_is_in_fp32(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matmul_convolution, "MOST_POSITIONS", 0)  # otherwise the smallest layers are no convolutions
    tall = [np.concatenate([frame, frame, frame], axis=0)[:128] for frame in moving_frames(6)]
    clip = write_clip(Path("tall.mp4"), tall)
    said(capsys, 0, "make-dataset", clip, "-o", "tall.dataset", *tiny_flags("dataset"), "--size", "source")
    network = ["--set=generator.name=unet-64", "--set=generator.channels=4"]  # its inmost layer is one pixel wide
    training = [*tiny_flags("discriminator"), "--set=training.batch_size=1", "--set=training.precision=bf16"]
    command = ["train", "tall.dataset", *network, *training, "--steps", "1", "--device", "cpu"]
    with FaultyProcessor():
        output = said(capsys, 0, *command, "-o", "faulty.safetensors")
    assert WARNED in output
    with safe_open("faulty.safetensors", "pt") as file:
        assert all(torch.isfinite(file.get_tensor(name)).all() for name in file.keys())  # noqa: SIM118
        (record,) = file.metadata().values()
    assert '"exact":["aten.' in record
    product_checks._known.clear()
    with caches_in(Path("healthy").resolve()):
        assert WARNED not in said(capsys, 0, *command, "-o", "healthy.safetensors")
