"""A strip of a film, rendered and learned from on a processor whose bf16 is wrong for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chain import said, said_json
from clips import decode, moving_frames, write_clip
from faulty_processor import FaultyProcessor

from vidtrans.inference import operator_checks
from vidtrans.inference.user_cache import use_cache_folder

Capsys = pytest.CaptureFixture[str]

BF16 = ("--device", "cpu", "--set", "rendering.precision=bf16")
EXACT = ("--set", "rendering.precision=fp32", "--device", "cpu")
WARNED = "computed in fp32 instead"


@pytest.fixture(autouse=True)
def _faulty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(operator_checks, "_correct_operators", {})
    with use_cache_folder(tmp_path / "user"):
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
    with FaultyProcessor(), use_cache_folder(Path("faulty").resolve()):
        operator_checks._correct_operators.clear()
        found = said_json(capsys, *command, *BF16, "-o", "faulty.mkv", "--overwrite")
        again = said(capsys, 0, *command, *BF16, "-o", "again.mkv")
    assert found["exact"]
    assert WARNED in again
    exact, faulty = (np.stack(decode(Path(f"{name}.mkv"))[2]).astype(float) for name in ("exact", "faulty"))
    assert np.mean((exact - faulty) ** 2) < 255**2 / 1e4  # 40 dB
    assert Path("faulty.mkv").read_bytes() == Path("again.mkv").read_bytes()
    assert len({path.name for path in Path(".vidtrans/infer").iterdir()} - keys) == 1  # both have the same
