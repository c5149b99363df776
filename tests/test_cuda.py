"""On a CUDA device: what the CPU makes, within rounding, the same every time, and in tiles where memory does not do.

All of it is skipped where there is none.
"""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chain import quick_training
from clips import moving_frames, scene
from shoot import lossless

from vidtrans.errors import Interrupted, out_of_memory
from vidtrans.events import Event, Progress, Stop
from vidtrans.inference import ENGINES
from vidtrans.inference.device import Device, resolve_device, sent
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.networks.init import build_generator, initialise
from vidtrans.pipeline import api

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
CPU = Device("cpu", "cpu")


def generator_of(name: str = "unet-small", **table: Any) -> Any:
    generator = build_generator(name, table, 3)
    initialise(generator, 0)
    return generator.eval()


def pictures(count: int, side: int = 128) -> np.ndarray:
    return np.stack([scene(side, side, seed) for seed in range(count)])


def test_what_is_sent_arrives() -> None:
    given = torch.arange(24).reshape(2, 3, 4)
    there = sent(given, resolve_device("cuda"))
    assert there.is_cuda
    assert torch.equal(there.cpu(), given)


@pytest.mark.parametrize(("precision", "levels"), [("fp32", 1), ("bf16", 12)])
def test_an_engine_paints_what_it_paints_on_a_cpu(precision: str, levels: int) -> None:
    generator, shown = generator_of(), pictures(5)
    expected = TorchEngine(generator, CPU, "fp32")(shown).astype(int)
    engine = TorchEngine(generator, resolve_device("cuda"), precision)
    made = engine(shown)
    assert np.abs(made.astype(int) - expected).max() <= levels
    assert np.array_equal(made, engine(shown))
    assert np.array_equal(made[:2], engine(shown[:2]))  # whatever goes through beside it


def test_a_compiled_engine_paints_the_same() -> None:
    device = resolve_device("cuda")
    if find_spec("triton") is None or not (os.environ.get("CC") or any(map(shutil.which, ("cc", "gcc", "clang")))):
        pytest.skip("nothing to compile with here")
    generator, shown = generator_of(), pictures(3)
    expected = TorchEngine(generator, device, "fp32")(shown).astype(int)
    assert np.abs(ENGINES.load("compile")(generator, device, "fp32")(shown) - expected).max() <= 1


def test_out_of_memory_is_known_and_the_picture_goes_through_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 48, device="cuda", dtype=torch.uint8)
    assert out_of_memory(raised.value)
    generator, shown = generator_of(), pictures(1, 512)
    whole = TorchEngine(generator, resolve_device("cuda"), "fp32")(shown).astype(int)
    engine = TorchEngine(generator, resolve_device("cuda"), "fp32", batch=1)
    network: Any = engine._network

    def small_device(x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] * x.shape[3] > 384**2:
            torch.empty(1 << 48, device="cuda", dtype=torch.uint8)
        made: torch.Tensor = network(x)
        return made

    monkeypatch.setattr(engine, "_network", small_device)
    assert np.abs(engine(shown) - whole).mean() < 2
    assert engine.tile is not None


def test_training_and_rendering_are_repeatable_and_go_on_where_they_were(tmp_path: Path) -> None:
    lossless(tmp_path / "clip.mp4", moving_frames(20))

    def render(name: str, *, stopped: bool) -> bytes:
        stop = Stop()

        def after_some(event: Event) -> None:
            if isinstance(event, Progress) and event.task == "training" and event.done == 3:
                stop.request(130)

        folder = tmp_path / name
        common: dict[str, Any] = {"cache_dir": folder / "cache", "device": "cuda"}
        dataset, model, film = (folder / n for n in ("d.dataset", "m.safetensors", "f.mp4"))
        sized = {"dataset": {"size": "48"}}
        api.make_dataset(tmp_path / "clip.mp4", dataset, settings=sized, cache_dir=common["cache_dir"])
        if stopped:
            with pytest.raises(Interrupted):
                api.train(dataset, model, settings=quick_training(6), report=after_some, stop=stop, **common)
        api.train(dataset, model, settings=quick_training(6), **common)
        api.stylize(tmp_path / "clip.mp4", model, film, **common)
        return film.read_bytes()

    whole = render("whole", stopped=False)
    assert render("again", stopped=False) == whole
    assert render("stopped", stopped=True) == whole
