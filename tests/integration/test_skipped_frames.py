"""Work that is not done: frames that are as the last one, and drafts, which paint every n-th frame only."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chain import vidtrans, vidtrans_json
from directed_clip import lossless
from hypothesis import given, settings
from hypothesis import strategies as st
from made_models import make_model

import vidtrans as api
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.rendering.frame_renderer import FrameRenderer, ModelInputs
from vidtrans.rendering.skipped_frames import CHECK_INTERVAL, Draft, RenderCount, is_similar
from vidtrans.temporal.stream import Sample
from vidtrans.video.io.clip import Frame


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def panned(number: int, side: int = 64) -> np.ndarray:
    """A texture that moves on by 2 pixels a frame."""
    return np.ascontiguousarray(texture(side, 4 * side)[:, 2 * number : 2 * number + side])


class Counting:
    """An engine that inverts, and keeps what it was asked."""

    identity: dict[str, str] = {}  # noqa: RUF012
    device_kind, precision = "cpu", ""

    def __init__(self, batch: int) -> None:
        self.batch, self.asked = batch, 0

    def batch_for(self, height: int, width: int) -> int:
        return self.batch

    def __call__(self, inputs: np.ndarray, *, deep: bool = False) -> np.ndarray:
        self.asked += len(inputs)
        return 255 - inputs


def samples_of(pictures: list[np.ndarray], engine: Any, **options: Any) -> list[Sample]:
    known: Callable[[int], np.ndarray | None] = options.pop("known", lambda _: None)
    restarts: Callable[[int], bool] = options.pop("restarts", lambda _: False)
    renderer = FrameRenderer(ModelInputs(make_pairing("aligned", {})), engine, **options)
    span = (0, len(pictures))
    frames = (Frame(i, i, picture) for i, picture in enumerate(pictures))
    return list(renderer.stream(renderer.prepare(f, span, known(f.index), restarts=restarts(f.index)) for f in frames))


# Frames that are as the last one


@settings(max_examples=15)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=24), st.integers(1, 5))
def test_what_is_shown_again_is_painted_once_and_comes_out_the_same(order: list[int], batch: int) -> None:
    pictures = [texture(16, 24, number) for number in order]
    engine, count = Counting(batch), RenderCount()
    made = samples_of(pictures, engine, count=count)
    assert all(np.array_equal(s.output, 255 - p) for s, p in zip(made, pictures, strict=True))
    changes = 1 + sum(a != b for a, b in pairwise(order))
    assert engine.asked == changes
    assert (count.inferred, count.skipped) == (changes, len(order) - changes)


def test_a_threshold_lets_noise_pass_and_not_a_small_thing_that_moves() -> None:
    still = texture(64, 64)
    noisy = np.clip(still + np.random.default_rng(1).integers(-2, 3, still.shape), 0, 255).astype(np.uint8)
    moved = still.copy()
    moved[8:16, 8:16] = 255 - moved[8:16, 8:16]
    assert np.abs(moved.astype(float) - still).mean() < np.abs(noisy.astype(float) - still).mean() * 2
    assert is_similar(noisy, still, 3.0)
    assert not is_similar(noisy, still, 0.0)
    assert not is_similar(moved, still, 3.0)
    assert not is_similar(still[:32], still, 3.0)
    assert is_similar(noisy.astype(np.uint16) * 257, still.astype(np.uint16) * 257, 3.0)


# Drafts


@settings(max_examples=15)
@given(st.integers(2, 12), st.integers(1, 400), st.data())
def test_what_a_draft_needs_begins_and_ends_with_painted_frames(every: int, length: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, 50))
    stop = first + length
    lo = data.draw(st.integers(first, stop - 1))
    hi = data.draw(st.integers(lo + 1, stop))
    draft = Draft(every)
    begin, end = draft.extend_to_keys(lo, hi, first, stop)
    assert first <= begin <= lo
    assert hi <= end <= stop
    assert lo - begin < every
    assert end - hi < every
    assert draft.is_key(begin, first, stop)
    assert draft.is_key(end - 1, first, stop) or draft.is_key(hi - 1, first, stop)
    checked = [n for n in range(first, stop) if draft.is_checked(n, first, stop)]
    assert not any(draft.is_key(n, first, stop) for n in checked)
    assert len(checked) <= length // (every * CHECK_INTERVAL) + 1


def test_a_draft_follows_a_light_that_flickers_and_a_look_that_inverts_it() -> None:
    """The light changes only in frames that are not painted."""
    pictures = [np.rint(panned(n) * (0.9 if n in (1, 2, 3) else 0.7)).astype(np.uint8) for n in range(5)]
    samples = samples_of(pictures, Counting(1), draft=Draft(4))
    assert [sample.is_propagated for sample in samples] == [False, True, True, True, False]
    for sample, picture in zip(samples[1:4], pictures[1:4], strict=True):
        inner = np.s_[12:-12, 12:-12]
        missed = np.abs((255 - picture)[inner].astype(float) - sample.output[inner]).mean()
        carried = np.abs((255 - picture / 0.9 * 0.7)[inner] - (255 - picture)[inner]).mean()  # as it was, without
        assert missed < 0.7 * carried


def test_a_draft_carries_what_it_does_not_paint_to_where_it_belongs() -> None:
    pictures = [panned(i) for i in range(25)]
    engine, count = Counting(4), RenderCount()
    made = samples_of(pictures, engine, draft=Draft(4), count=count)
    assert [s.index for s in made] == list(range(25))
    assert engine.asked == 7 + 1  # every fourth, and one to compare
    assert (count.inferred, count.skipped) == (engine.asked, 25 - engine.asked)
    for sample, picture in zip(made, pictures, strict=True):
        apart = np.abs(sample.output.astype(float) - (255 - picture))[4:-4, 10:-10]
        assert apart.mean() < (0.01 if sample.index % 4 == 0 else 4)
    assert count.psnr is not None
    assert count.psnr > 25
    held = np.abs(made[4].output.astype(float) - (255 - pictures[6]))[4:-4, 10:-10].mean()
    assert held > 10  # what it would be to hold the last painted one


# In renders


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip whose middle stands still, and a model."""
    folder = tmp_path_factory.mktemp("spared")
    frames = [panned(min(i, 7) if i < 14 else i - 7) for i in range(24)]
    lossless(folder / "clip.mp4", frames)
    make_model(str(folder / "m.safetensors"), "edges", size=64)
    return folder


def render(place: Path, name: str, **rendering: Any) -> dict[str, Any]:
    settings = {"rendering": {"chunk_frames": 8, **rendering}}
    options = {"settings": settings, "cache_dir": place / name}
    return api.stylize(place / "clip.mp4", place / "m.safetensors", place / f"{name}.mp4", **options)


@pytest.mark.parametrize("settings", [{"draft_step": 3}, {"draft_step": 5, "duplicate_threshold": 32.0}])
def test_a_draft_that_was_interrupted_is_finished_as_if_it_had_not_been(place: Path, settings: dict[str, Any]) -> None:
    name = "-".join(settings)
    table = render(place, name, **settings)
    whole = (place / f"{name}.mp4").read_bytes()
    assert ("draft_psnr" in table) == ("draft_step" in settings)
    assert table.get("draft_psnr", 11) > 10
    assert table["frames_inferred"] < 24 * (0.7 if "draft_step" in settings else 1)
    [infer] = [p.parent for p in (place / name / "infer").rglob("chunk-000000.nut")]
    for lost in ("chunk-000001",):
        for stage in (infer, *(p.parent for p in (place / name / "render").rglob(f"{lost}.json"))):
            for file in stage.glob(f"{lost}*"):
                file.unlink()
    (place / f"{name}.mp4").unlink()
    again = render(place, name, **settings)
    assert 0 < again["frames_inferred"] < table["frames_inferred"]
    assert (place / f"{name}.mp4").read_bytes() == whole


def test_a_draft_is_another_render_and_says_what_it_loses(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    command = ("stylize", "clip.mp4", "--model", "./m.safetensors")
    assert "draft: propagated frames are at" in vidtrans(*command, "--draft", "4", "-o", "d.mp4").stdout
    whole = vidtrans_json(*command, "-o", "w.mp4")  # its frames that stand still are painted once
    assert whole["frames_inferred"] + whole["frames_spared"] == whole["frames"] == 24
    assert 4 <= whole["frames_spared"] <= 7
