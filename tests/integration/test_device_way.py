"""Renders whose pictures stay on a GPU, which is pretended: the same files as on a CPU, however the copies are timed.

The pretended GPU computes what the CPU does, so that a picture that differs took another way wrongly.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chain import TINY, quick_training
from clips import decode, moving_frames, write_clip
from directed_clip import EXACT, Frames, halves, lossless
from made_models import make_model
from oddities import write_frames

import vidtrans as api
from vidtrans.core.transfers import Download, Transfers, Upload, as_bits
from vidtrans.inference.device import CPU
from vidtrans.inference.device_pixels import bits_to_levels
from vidtrans.rendering import device_renderer
from vidtrans.rendering.chain import FramePath
from vidtrans.rendering.device_history import DeviceHistory
from vidtrans.rendering.frame_renderer import RecurrentHistory
from vidtrans.temporal import FilterEntry
from vidtrans.temporal.stream import Sample

pytestmark = pytest.mark.usefixtures("two_gpus", "one_thread")
COUNT, CUT = 16, 9
GPU: dict[str, Any] = {"device": "cuda", "executor": "inline"}
OFF: dict[str, Any] = {**EXACT, "temporal": {"name": "off"}}
WINDOW: dict[str, Any] = {**EXACT, "temporal": {"name": "window"}}


class LateTransfers(Transfers):
    """What was not waited for has not arrived; and a download has what is in the tensor when it arrives."""

    count = 0

    def upload(self, picture: np.ndarray) -> Upload:
        type(self).count += 1
        there = as_bits(picture.copy())
        tensor = torch.full_like(there, 77)

        class Late(Upload):
            def wait(self) -> torch.Tensor:
                return tensor.copy_(there)

        return Late(picture, tensor)

    def download(self, tensor: torch.Tensor) -> Download:
        type(self).count += 1
        return super().download(tensor)


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> type[LateTransfers]:
    """Copies that arrive when they are waited for; it counts them."""
    LateTransfers.count = 0
    monkeypatch.setattr(device_renderer, "transfers_for", LateTransfers)
    return LateTransfers


@pytest.fixture
def render(monkeypatch: pytest.MonkeyPatch, late: type[LateTransfers], one_thread: None) -> Callable[..., Frames]:
    """Render a clip on the GPU, pictures on the device or, as on a CPU, not, each in a cache of its own; its frames."""

    def made(
        clip: Path, model: Path | str, settings: dict[str, Any], *, on_device: bool, depth: int = 8, **options: Any
    ) -> Frames:
        output, before = Path(f"{on_device}.mkv"), late.count
        common = {"cache_dir": Path(f"cache-{on_device}"), "overwrite": True, **GPU}
        with monkeypatch.context() as patch:
            if not on_device:
                patch.setattr(FramePath, "find", FramePath)
            table = api.stylize(clip, model, output, settings=settings, **common, **options)
        assert (late.count > before) == on_device
        assert table["depth"] == depth
        return decode(output)[2]

    return made


def psnr(made: Frames, wanted: Frames) -> float:
    error = np.mean([np.mean((a.astype(float) - b) ** 2) for a, b in zip(made, wanted, strict=True)])
    return float(10 * np.log10(np.iinfo(wanted[0].dtype).max ** 2 / max(error, 1e-12)))


@pytest.fixture
def source() -> Path:
    return lossless(Path("c.mp4"), moving_frames(COUNT, shots=(0, CUT)))


def sixteen_bits(frames: Frames) -> Path:
    """A clip of frames in 16 bits, of which the lower ones say something."""
    deep = [(f.astype(np.int32) * 257 - 40).clip(0).astype(np.uint16) for f in frames]
    return write_frames(Path("deep.mkv"), deep, "ffv1", "gbrp16le")


def with_rendering(settings: dict[str, Any], **rendering: Any) -> dict[str, Any]:
    return {**settings, "rendering": {**settings.get("rendering", {}), **rendering}}


@pytest.mark.parametrize(
    ("rendering", "options"),
    [
        ({"chunk_frames": 7, "strength": 0.6, "mix": 0.2, "keep_colour": 0.5, "keep_shading": 0.5}, {"start": "3"}),
        ({"size": "37x29"}, {}),
    ],
    ids=["mixed", "odd"],
)
def test_a_render_on_a_device_is_that_with_arrays(
    rendering: dict[str, Any], options: dict[str, Any], source: Path, tiny_model: Path, render: Callable[..., Frames]
) -> None:
    settings = with_rendering(OFF, **rendering)
    expected = render(source, tiny_model, settings, on_device=False, **options)
    made = render(source, tiny_model, settings, on_device=True, **options)
    assert np.array_equal(made, expected)
    assert LateTransfers.count == 2 * len(made)  # each picture is uploaded once, and downloaded once


def test_the_window_on_a_device_is_that_of_the_cpu(
    source: Path, tiny_model: Path, render: Callable[..., Frames], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = render(source, tiny_model, WINDOW, on_device=True)
    monkeypatch.setattr(FilterEntry, "is_batched", lambda entry, kind: False)
    tables = {**WINDOW, "temporal": {"name": "window", "flow": "dis-torch"}}  # what a GPU takes for dis
    assert psnr(made, render(source, tiny_model, tables, on_device=False)) >= 70


@pytest.fixture(scope="session")
def memory_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recurrent model, which was hardly taught: what it paints hangs on what it sees of the frame before."""
    folder = tmp_path_factory.mktemp("memory")
    clip, cache = write_clip(folder / "c.mp4", moving_frames(12)), {"cache_dir": folder / ".vidtrans"}
    api.make_dataset(clip, folder / "c.dataset", pairing="colorize", settings=TINY, **cache)
    settings = quick_training(1)
    settings["training"]["recurrent"] = True
    api.train(folder / "c.dataset", folder / "c.safetensors", settings=settings, **cache)
    return folder / "c.safetensors"


@pytest.mark.parametrize(
    ("depth", "settings", "copies"),
    [(8, OFF, 2), pytest.param(16, WINDOW, 3, marks=pytest.mark.thorough)],
    ids=["off-8", "window-16"],
)
def test_what_a_recurrent_model_knows_of_the_frame_before_stays_there(
    depth: int, settings: dict[str, Any], copies: int, memory_model: Path, render: Callable[..., Frames]
) -> None:
    """Where other frames are reused within a tolerance, too: these are not."""
    frames = moving_frames(10, shots=(0, 6))
    clip = lossless(Path("c.mp4"), frames) if depth == 8 else sixteen_bits(frames)
    settings = with_rendering(settings, duplicate_threshold=2.0)
    expected = render(clip, memory_model, settings, on_device=False, depth=depth)
    count = LateTransfers.count
    made = render(clip, memory_model, settings, on_device=True, depth=depth)
    assert LateTransfers.count - count == copies * len(made)
    assert np.array_equal(made, expected)


def test_a_pairing_that_puts_back_what_the_frame_knows(source: Path, render: Callable[..., Frames]) -> None:
    """A frame's luma where it is coloured, the frame around holes that are filled."""
    mask = lossless(Path("mask.mp4"), halves(COUNT))
    for pairing, settings in (("colorize", WINDOW), ("inpaint", OFF)):
        model = make_model(f"{pairing}.safetensors", pairing)
        expected = render(source, model, settings, on_device=False, mask=mask)
        assert np.array_equal(render(source, model, settings, on_device=True, mask=mask), expected)


def test_frames_that_repeat_are_rendered_once(tiny_model: Path, render: Callable[..., Frames]) -> None:
    clip = lossless(Path("held.mp4"), [frame for frame in moving_frames(4) for _ in range(3)])
    made = render(clip, tiny_model, OFF, on_device=True)
    table = api.stylize(clip, tiny_model, Path("again.mkv"), settings=OFF, cache_dir=Path("third"), **GPU)
    assert (table["frames_inferred"], table["frames_spared"]) == (4, 8)
    assert np.array_equal(made, render(clip, tiny_model, OFF, on_device=False))


@pytest.mark.usefixtures("in_turns")
@pytest.mark.parametrize("settings", [pytest.param(WINDOW, marks=pytest.mark.thorough), OFF], ids=["window", "off"])
def test_one_that_was_stopped_goes_on_to_the_same_bytes(
    settings: dict[str, Any],
    source: Path,
    memory_model: Path,
    render: Callable[..., Frames],
    stopped: Callable[..., list[str]],
) -> None:
    render(source, memory_model, settings, on_device=True)
    common: dict[str, Any] = {"settings": settings, "cache_dir": Path("stopped"), **GPU}
    stopped(api.stylize, "rendering", 11, source, memory_model, Path("s.mkv"), **common)
    table = api.stylize(source, memory_model, Path("s.mkv"), **common)
    assert 0 < table["frames_encoded"] < COUNT
    assert Path("s.mkv").read_bytes() == Path("True.mkv").read_bytes()


def test_what_works_in_numpy_goes_the_way_of_the_cpu(source: Path, tiny_model: Path, late: type[LateTransfers]) -> None:
    for models, rendering in ((1, {"draft_step": 3}), (2, {})):
        settings = with_rendering(WINDOW, **rendering)
        table = api.stylize(source, [tiny_model] * models, Path("o.mkv"), settings=settings, overwrite=True, **GPU)
        assert (table["frames_encoded"], late.count) == (COUNT, 0)


@pytest.mark.parametrize(("flow", "depth", "seen"), [("dis-torch", 8, 8), ("dis-torch", 16, 16), ("farneback", 16, 8)])
def test_a_history_is_that_of_arrays(flow: str, depth: int, seen: int) -> None:
    """Through a shot's start, motion, a frame that repeats, and another shot."""
    host, device = RecurrentHistory(flow), DeviceHistory(flow, CPU)
    frames, rng, kind = moving_frames(4), np.random.default_rng(1), np.uint8 if depth == 8 else np.uint16
    for number, guide in enumerate([*frames[:3], *frames[2:]]):
        output, starts = rng.integers(0, 2**depth, guide.shape).astype(kind), number in {0, 4}
        shown = guide if seen == 8 else guide.astype(np.uint16) * np.uint16(257)
        on_host = Sample(number, number, guide, output, starts)
        on_device = Sample(number, number, torch.from_numpy(guide), as_bits(output), starts)
        wanted = host.with_history(shown, on_host)
        made = device.with_history(bits_to_levels(as_bits(shown))[None], on_device)[0].numpy()
        assert np.array_equal(made[..., :3], wanted[..., :3])
        apart = np.abs(made.astype(int) - wanted) / (1 if wanted.dtype == np.uint8 else 257)
        # What a frame shows elsewhere is rounded to whole levels before it is compared: single places differ.
        assert np.mean(apart > 1.01) < 0.002
        assert apart.mean() < 0.05
        host.keep(on_host)
        device.keep(on_device)
