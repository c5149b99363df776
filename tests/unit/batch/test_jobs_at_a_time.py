"""The number of clips that ``stylize`` renders at a time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import write_clip

from vidtrans.batch.batch_options import BatchOptions
from vidtrans.batch.inputs import Item
from vidtrans.config.recipe import make_recipe
from vidtrans.session import Context
from vidtrans.stylizing.clips import MAX_SHORT_BYTES, stylize_batch
from vidtrans.stylizing.requests import StylizeRequest
from vidtrans.video.images.picture import encode_png


def test_clips_of_few_bytes_but_large_frames_are_rendered_one_by_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("vidtrans.stylizing.clips.cores", lambda: 2)
    small = write_clip(tmp_path / "small.mp4", [np.zeros((48, 64, 3), np.uint8)] * 2)
    large = write_clip(tmp_path / "large.mp4", [np.zeros((1280, 2048, 3), np.uint8)] * 2)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.png").write_bytes(encode_png(np.zeros((1280, 2048, 3), np.uint8)))
    for other, wanted in ((small, 2), (large, None), (tmp_path / "pictures", None)):
        assert jobs_for([small, other], {}, "cpu", monkeypatch, tmp_path) == wanted


@pytest.mark.parametrize(
    "case",
    [
        ((1, MAX_SHORT_BYTES), {}, "cpu", 2, 2),
        ((1, 1, 1), {"executor": "local"}, "cpu", 16, 2),
        ((1, MAX_SHORT_BYTES + 1), {}, "cpu", 2, None),  # memory for two large ones may not be there
        ((1, 1), {}, "cpu", 1, None),
        ((1, 1), {}, "cuda", 2, None),
        ((1, 1), {"executor": "ray"}, "cpu", 2, None),
        ((1, 9 * MAX_SHORT_BYTES), {"jobs": 3}, "cpu", 1, 3),
    ],
)
def test_two_short_clips_are_rendered_beside_each_other_on_a_cpu(
    case: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sizes, options, kind, num_cores, wanted = case
    monkeypatch.setattr("vidtrans.stylizing.clips.cores", lambda: num_cores)
    paths = [tmp_path / f"{n}.mp4" for n in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        path.touch()
        os.truncate(path, size)
    assert jobs_for(paths, options, kind, monkeypatch, tmp_path) == wanted


def jobs_for(
    paths: Sequence[Path], options: dict[str, Any], kind: str, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> int | None:
    """Return the number of jobs that ``stylize`` chooses for clips on a device of a kind."""
    asked: list[int | None] = []

    def run(items: Sequence[Item], command: str, folder: Path, given: BatchOptions, context: Context) -> Any:
        asked.append(given.jobs)

    monkeypatch.setattr("vidtrans.stylizing.clips.run_batch", run)
    template = StylizeRequest(Path(), ("identity",), None, make_recipe(None, None, {}))
    requests = [replace(template, video=path) for path in paths]
    stylize_batch(requests, folder / "out", BatchOptions(**options), Context(cache_dir=folder / "c", device=kind))
    return asked[0]
