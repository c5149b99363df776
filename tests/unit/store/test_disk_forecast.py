"""That the disk will be full is said early."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from clips import moving_frames
from directed_clip import lossless

import vidtrans as api
from vidtrans.core.events import Event, Note
from vidtrans.rendering import chain as filling

Usage = namedtuple("Usage", "total used free")


@pytest.mark.usefixtures("in_turns")  # what is written at a frame is known
@pytest.mark.parametrize(("free", "warns"), [(1000, True), (10**9, False)])
def test_a_render_warns_while_there_is_time(
    free: int, warns: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lossless(tmp_path / "clip.mov", moving_frames(40))
    monkeypatch.setattr(filling, "FORECAST_FRAMES", 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free))
    events: list[Event] = []
    settings = {"rendering": {"chunk_frames": 5}}
    api.stylize(tmp_path / "clip.mov", "identity", tmp_path / "out.mp4", settings=settings, report=events.append)
    warned = [e.text for e in events if isinstance(e, Note) and "the disk will be full" in e.text]
    assert len(warned) == warns
