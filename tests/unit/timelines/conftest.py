from __future__ import annotations

from pathlib import Path

import pytest
from copied_renders import fake_batch
from made_timelines import make_media

from vidtrans.stylizing import timeline_render


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the media of all timelines."""
    folder = tmp_path_factory.mktemp("timelines")
    make_media(folder)
    return folder


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy frames in the place of rendering them."""
    monkeypatch.setattr(timeline_render, "stylize_batch", fake_batch)
