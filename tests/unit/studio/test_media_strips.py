"""Moving thumbnails, which several parts of a page ask for at once."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from clips import moving_frames

from vidtrans.studio import media_readers
from vidtrans.studio.media_readers import Media
from vidtrans.video.images.picture import write_picture


def test_a_thumbnail_that_many_ask_for_at_once_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_picture(tmp_path / "red.png", moving_frames(1)[0])
    asked: list[str] = []

    def ask(self: object, **request: str) -> tuple[dict[str, int], bytes]:
        asked.append(request["do"])
        time.sleep(0.05)  # as decoding takes a moment
        return {"frames": 1}, b"a picture"

    monkeypatch.setattr(media_readers.MediaReader, "ask", ask)
    media = Media(tmp_path / "kept", tmp_path / "cache")
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: media.strip(tmp_path / "red.png"), range(32)))
    assert asked == ["strip"]
    assert {(json.dumps(facts), file.read_bytes()) for facts, file in found} == {('{"frames": 1}', b"a picture")}
