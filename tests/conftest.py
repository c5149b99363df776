from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from clips import moving_frames, write_clip

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs in an empty folder, without variables of the user's."""
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith("VIDTRANS_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """40 frames of 64×48 with sound, in two shots (the second begins at frame 25)."""
    return write_clip(tmp_path / "clip.mp4", moving_frames(40, shots=(0, 25)), sound=True)


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """A path in the folder of real clips; the test skips where the data is absent."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"the real clips are not here ({name})")
        return path

    return find
