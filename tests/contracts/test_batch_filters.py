"""The filters in numpy and in torch: one arithmetic. And what the one for batches promises by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chain import said
from clips import decode
from directed_clip import lossless
from flicker import Frames, alike, busy, causal, run, samples, window
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.config.recipe import make_recipe
from vidtrans.models.loaded_model import load_model
from vidtrans.models.model_file import IDENTITY
from vidtrans.models.render_settings import ResolvedRenderSettings
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context
from vidtrans.store.chunking import cut_into_chunks, read_ranges
from vidtrans.temporal import FILTERS, FilterEntry, batch_window
from vidtrans.temporal.batch_causal import BatchCausalFilter
from vidtrans.temporal.batch_window import BATCH, BatchWindowFilter, affordable_batch, needed_bytes
from vidtrans.temporal.settings import CausalSettings, WindowSettings
from vidtrans.temporal.stream import BatchFilter
from vidtrans.temporal.window import WindowFilter
from vidtrans.video.io.encoding import EncodingSettings

LEAST = 69.0  # dB: fewer than one level in a hundred is rounded the other way
COUNT = 20


def batched(batch_size: int = 5, **settings: Any) -> BatchWindowFilter:
    return BatchWindowFilter(WindowSettings(**settings), batch_size=batch_size)


def deep(frames: Frames) -> Frames:
    return [f.astype(np.uint16) * 257 + np.uint16(3) * (f > 128) for f in frames]


def psnr(made: Frames, wanted: Frames) -> float:
    full = float(np.iinfo(wanted[0].dtype).max)
    error = np.mean([np.mean((a.astype(float) - b) ** 2) for a, b in zip(made, wanted, strict=True)])
    return float(10 * np.log10(full**2 / max(error, 1e-12)))


# 16 bits: in a few pixels, one that is rounded the other way would be much.
CASES: list[tuple[str, int, tuple[int, int], int, dict[str, Any]]] = [
    ("window", 24, (64, 48), 16, {"radius": 15}),
    ("window", 8, (1, 1), 16, {"radius": 7}),
    ("window", 8, (71, 23), 16, {"radius": 1}),
    ("window", 8, (1000, 2), 16, {"radius": 7}),
    ("window", 16, (64, 48), 8, {"radius": 7, "strength": 0.4, "colour_sigma": 0.02}),
    ("window", 16, (64, 48), 8, {"radius": 7, "texture_strength": 0.5, "texture_gain": 2.0}),
    ("window", 16, (64, 48), 8, {"radius": 7, "keep_source_changes": 0.0, "texture_gain": 0.0, "flow_size": 24}),
    ("window", 16, (64, 48), 8, {"radius": 7, "flow": "farneback"}),
    ("causal", COUNT, (64, 48), 8, {}),
    ("causal", COUNT, (65, 33), 16, {"history": 3, "strength": 0.5, "texture_strength": 0.3}),
]


@pytest.mark.parametrize(("name", "count", "size", "bits", "settings"), CASES, ids=str)
def test_both_filters_make_the_same(
    name: str, count: int, size: tuple[int, int], bits: int, settings: dict[str, Any]
) -> None:
    guides, outputs = busy(count, size)
    shown, cuts = outputs if bits == 8 else deep(outputs), (0, 5)
    on_cpu, on_gpu = window(**settings) if name == "window" else causal(**settings), FILTERS[name].load_for("cuda")
    numpy_ones = run(on_cpu, samples(guides, shown, cuts))
    torch_ones = run(on_gpu(on_gpu.Settings(**settings), "cpu"), samples(guides, shown, cuts))
    assert [p.dtype for p in torch_ones] == [p.dtype for p in shown]
    assert psnr(torch_ones, numpy_ones) >= LEAST
    assert psnr(numpy_ones, shown) < LEAST - 20  # the test would say nothing of a filter that changes nothing


def test_the_causal_filter_goes_on_exactly_from_a_state() -> None:
    guides, outputs = busy(COUNT, (65, 33))
    given = samples(guides, deep(outputs), (0, 15))
    whole = run(BatchCausalFilter(CausalSettings()), given)
    for frame in (8, 15):
        before, after = BatchCausalFilter(CausalSettings()), BatchCausalFilter(CausalSettings())
        run(before, given[:frame])
        state = before.state()
        kinds = {"guide": "uint8", "output": "uint16", "mean": "float32", "count": "float32"}
        assert {name: part.dtype.name for name, part in state.items()} == kinds
        after.resume(state)
        assert alike(run(after, given[frame:]), whole[frame:])
    after.resume({})
    assert after.state() == {}
    numpy_one = causal()
    numpy_one.resume(state)  # in the same form
    assert psnr(run(numpy_one, given[frame:]), whole[frame:]) >= LEAST


@hypothesis_settings(max_examples=3)
@given(st.sampled_from([1, 3, 7]), st.integers(1, 15), st.integers(1, 9), st.data())
def test_missing_chunks_are_made_again_the_same(radius: int, length: int, batch: int, data: st.DataObject) -> None:
    guides, outputs = busy(COUNT, (37, 29))
    outputs, cuts = deep(outputs), (0, 9)
    whole = run(batched(radius=radius), samples(guides, outputs, cuts))
    chunks = cut_into_chunks(0, COUNT, list(cuts), length)
    missing = sorted(data.draw(st.sets(st.sampled_from(range(len(chunks))), min_size=1)))
    method = batched(batch, radius=radius)
    for chunk_run, lo, hi in read_ranges(chunks, missing, method.radius):
        wanted = range(chunk_run[0].first, chunk_run[-1].stop)
        made = run(method, samples(guides, outputs, cuts)[lo:hi], wanted)
        assert alike(made, whole[wanted.start : wanted.stop])


def test_tensors_are_filtered_as_arrays_are_and_come_back_as_tensors() -> None:
    guides, outputs = busy(9, (64, 48))
    arrays = run(batched(radius=3), samples(guides, deep(outputs)))
    given = samples([torch.from_numpy(g) for g in guides], [torch.from_numpy(o) for o in deep(outputs)])  # type: ignore[misc]
    found: list[Any] = run(batched(radius=3), given)
    assert all(isinstance(p, torch.Tensor) for p in found)
    assert alike([p.numpy() for p in found], arrays)


def test_a_batch_fits_into_the_memory_that_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    for name in ("memory_reserved", "memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, lambda _: 0)
    fitting = []
    for free in (10**6, 4 * 10**9, 16 * 10**9, 10**12):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, free=free: (free, free))
        fitting.append(affordable_batch(1080, 1920, 15, gpu))
        assert fitting[-1] == 1 or needed_bytes(1080, 1920, 15, fitting[-1]) <= free / 2
    assert fitting[0] == 1 < fitting[-1] == BATCH
    assert fitting == sorted(fitting)


@pytest.mark.parametrize("place", ["take", pytest.param("_finish", marks=pytest.mark.thorough)])
def test_where_memory_is_short_batches_become_smaller_and_pictures_stay_the_same(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    guides, outputs = busy(COUNT, (37, 29))
    wanted = run(batched(2, radius=7), samples(guides, deep(outputs)))
    original, refused, room = getattr(batch_window.ShotStages, place), [], 2

    def short(self: Any, frames: Any, *rest: Any) -> Any:
        count = frames.stop - frames.start if isinstance(frames, slice) else len(frames)
        if count > room:
            refused.append(count)
            raise torch.OutOfMemoryError("for the test")
        return original(self, frames, *rest)

    monkeypatch.setattr(batch_window.ShotStages, place, short)
    method = batched(8, radius=7)
    assert alike(run(method, samples(guides, deep(outputs))), wanted)
    assert refused
    assert method.batch_size == 2
    room = 0  # not even one frame fits
    with pytest.raises(torch.OutOfMemoryError):
        run(method, samples(guides, deep(outputs)))


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_for_gpus_has_the_settings_of_the_other(name: str) -> None:
    entry = FILTERS[name]
    assert entry.load_for("cpu") is entry.load()
    assert not entry.is_batched("cpu")
    made = entry.load_for("cuda")
    method = made(made.Settings(), "cpu")
    assert made.Settings is entry.load().Settings
    assert isinstance(method, BatchFilter) == entry.is_batched("cuda")
    assert method.radius == entry.load()(made.Settings()).radius


def render_settings(device: str, name: str = "window") -> ResolvedRenderSettings:
    made = FILTERS.load(name).Settings()
    return ResolvedRenderSettings(RenderingSettings(), EncodingSettings(), name, made, device)


def test_keys_tell_which_filter_made_a_picture_and_on_what_kind_of_device() -> None:
    on_cpu, *on_gpus = (render_settings(device).filter_record() for device in ("cpu", "cuda", "mps"))
    assert on_cpu == {"name": "window", "version": WindowFilter.version, "settings": on_cpu["settings"]}
    for kind, record in zip(("cuda", "mps"), on_gpus, strict=True):
        assert record == on_cpu | {"batched": FILTERS["window"].gpu_version, "device": kind}
    assert render_settings("cuda:1").filter_record() == on_gpus[0]
    assert render_settings("cuda", "off").filter_record() == render_settings("cpu", "off").filter_record()
    assert render_settings("cuda", "causal").filter_record()["device"] == "cuda"
    assert render_settings("mps", "causal").filter_record() == render_settings("cpu", "causal").filter_record()


def test_a_filter_on_a_gpu_follows_the_flow_that_runs_there() -> None:
    found = {}
    for device, flow in (("cpu", "dis"), ("cuda", "dis"), ("mps", "dis"), ("cuda", "dis-fine")):
        recipe = make_recipe(None, None, {"temporal": {"name": "window", "flow": flow}})
        resolved = ResolvedRenderSettings.of(recipe, load_model(IDENTITY, Context()), device)
        found[device, flow] = resolved.filter_settings.flow
    assert list(found.values()) == ["dis", "dis-torch", "dis-torch", "dis-fine"]


@pytest.mark.parametrize("name", [pytest.param("window", marks=pytest.mark.thorough), "causal"])
def test_a_command_makes_the_same_with_either(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guides, outputs = busy(8, (64, 48))
    lossless(Path("source.mp4"), guides)
    lossless(Path("look.mp4"), outputs)

    def deflicker(chunk_frames: int) -> Frames:
        flags = ("--source", "source.mp4", "--codec", "ffv1", "--overwrite", "--device", "cpu", "--temporal", name)
        settings = (f"--set=chunk_frames={chunk_frames}", "--set=temporal.flow=dis-fine")  # the same flow for both
        said(capsys, 0, "deflicker", "look.mp4", "-o", "o.mkv", *flags, *settings)
        return decode(Path("o.mkv"))[2]

    wanted = deflicker(60)
    monkeypatch.setattr(FilterEntry, "is_batched", lambda entry, _: bool(entry.on_gpu))
    whole = deflicker(60)
    assert not alike(whole, outputs)
    assert psnr(whole, wanted) >= LEAST
    assert alike(deflicker(3), whole)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_on_a_gpu_both_filters_make_the_same_in_batches_of_any_size() -> None:
    guides, outputs = busy(COUNT, (130, 90))
    given = samples(guides, deep(outputs))
    filters = [BatchWindowFilter(WindowSettings(radius=7), "cuda", batch_size=n) for n in (1, 5, 16)]
    made = [run(each, given) for each in filters]
    assert psnr(made[0], run(window(radius=7), given)) >= LEAST
    assert all(alike(m, made[0]) for m in made)
