"""On a CUDA device: what the CPU makes, within rounding, the same every time, and in tiles where memory does not do.

A test that asks for ``gpu`` runs on a real device, where there is one, and in its least case on one that is pretended,
whose work the CPU does. That shows that the test itself runs; what a GPU computes only the real one shows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chain import TINY, quick_training
from clips import moving_frames, scene
from directed_clip import lossless
from variants import least

import vidtrans as api
from vidtrans.core.transfers import StreamTransfers, transfers_for
from vidtrans.flow.history import CHANNELS as PAST
from vidtrans.inference.device import Device, resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.models.model_file import read_record
from vidtrans.networks import DISCRIMINATORS, GENERATORS
from vidtrans.networks.init import build_discriminator, build_generator, initialise
from vidtrans.pairing.next_frame import CHANNELS, ClipConditions, append_condition_planes
from vidtrans.training.methods.base import TrainingStep
from vidtrans.training.methods.network_trainer import TrainingPrecision
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.training.settings import TrainingSettings

CPU = Device("cpu", "cpu")
NO_GPU = not torch.cuda.is_available()
needs_gpu = pytest.mark.skipif(NO_GPU, reason="no CUDA device here")
# torch has no deterministic form of these gradients.
SAMPLING = {"grid_sampler_2d_backward_cuda"}
UNREPEATABLE = {"warp-mix": SAMPLING, "colour-map": {"grid_sampler_3d_backward_cuda"}}
APART = 2e-3  # how far apart two trainings that use it may end: four steps of Adam, whichever way, at a rate of 2e-4


@dataclass(frozen=True)
class Gpu:
    """A device to test on."""

    real: bool

    @property
    def device(self) -> Device:
        return resolve_device("cuda")


REAL, PRETENDED = pytest.param(True, marks=needs_gpu, id="gpu"), pytest.param(False, id="pretended")
on_a_real_gpu = pytest.mark.parametrize("gpu", [REAL], indirect=True)
every_generator = pytest.mark.parametrize(
    ("gpu", "name"),
    [
        *(pytest.param(True, name, marks=needs_gpu, id=f"gpu-{name}") for name in GENERATORS),
        pytest.param(False, "unet-small", id="pretended"),
    ],
    indirect=["gpu"],
)


@pytest.fixture(params=[REAL, PRETENDED])
def gpu(request: pytest.FixtureRequest) -> Gpu:
    if request.param:
        return Gpu(True)
    request.getfixturevalue("two_gpus")
    request.getfixturevalue("one_thread")
    return Gpu(False)


def generator_of(
    name: str = "unet-small", table: dict[str, Any] | None = None, *, in_channels: int = 3, memory: bool = False
) -> Any:
    generator = build_generator(name, least(GENERATORS, name) | (table or {}), in_channels, memory=memory)
    initialise(generator, 0)
    return generator.eval()


def knowing_a_clip_by_heart() -> Any:
    return generator_of("warp-mix", {"told_channels": CHANNELS, "memory_frames": 4}, in_channels=3 + CHANNELS)


def pictures(count: int, side: int = 64) -> np.ndarray:
    return np.stack([scene(side, side, seed) for seed in range(count)])


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


# The device


def test_pictures_go_there_and_back_beside_what_is_computed(gpu: Gpu) -> None:
    """Many, so that memory is used again while copies are under way."""
    dtype = np.uint16
    copies, rng = transfers_for(gpu.device.torch), np.random.default_rng(0)
    assert isinstance(copies, StreamTransfers) == gpu.real
    sent = [rng.integers(0, np.iinfo(dtype).max + 1, (270, 480, 3), dtype=dtype) for _ in range(50)]
    uploads = [copies.upload(picture) for picture in sent]
    downloads = []
    for upload in uploads:
        there = upload.wait()
        for _ in range(5):
            there = there + 3
        downloads.append(copies.download(there))
        del there
    uploads.clear()
    for picture, download in zip(sent, downloads, strict=True):
        assert np.array_equal(download.wait(), picture + dtype(15))


# Engines


def check_paints_as_a_cpu(generator: torch.nn.Module, shown: np.ndarray, gpu: Gpu) -> TorchEngine:
    """Assert that a GPU paints in fp32 what a CPU does, to a level, and the same every time; its engine."""
    expected = TorchEngine(generator, CPU, "fp32")(shown).astype(int)
    engine = TorchEngine(generator, gpu.device, "fp32")
    made = engine(shown)
    assert np.abs(made.astype(int) - expected).max() <= 1
    assert np.array_equal(made, engine(shown))
    return engine


@every_generator
def test_every_generator_paints_what_it_paints_on_a_cpu_and_the_same_every_time(name: str, gpu: Gpu) -> None:
    generator = generator_of(name)
    shown = pictures(5, max(64, generator.smallest))
    engine = check_paints_as_a_cpu(generator, shown, gpu)
    assert np.array_equal(engine(shown)[:2], engine(shown[:2]))  # whatever goes through beside it


@pytest.mark.parametrize(("precision", "levels"), [("bf16", 12), ("fp16", 4), ("tf32", 4)])
def test_in_other_precisions_it_paints_nearly_that(precision: str, levels: int, gpu: Gpu) -> None:
    generator, shown = generator_of(), pictures(5)
    expected = TorchEngine(generator, gpu.device, "fp32")(shown).astype(int)
    engine = TorchEngine(generator, gpu.device, precision)
    made = engine(shown)
    assert np.abs(made.astype(int) - expected).max() <= levels
    assert np.array_equal(made, engine(shown))
    assert not torch.backends.cuda.matmul.allow_tf32


@needs_gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "tf32"])
@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_replays_what_it_paints(name: str, precision: str) -> None:
    generator, device = generator_of(name), resolve_device("cuda")
    engine, plain = (TorchEngine(generator, device, precision) for _ in range(2))
    plain._recorded = None
    for seed in range(5):
        shown = np.stack(
            [scene(max(64, generator.smallest), max(64, generator.smallest), 9 * seed + n) for n in range(5)]
        )
        assert np.array_equal(engine(shown), plain(shown))
    assert engine._recorded is not None
    assert engine._recorded.refusal == ""


def test_with_a_past_or_a_clock_it_paints_what_it_paints_on_a_cpu(gpu: Gpu) -> None:
    shown = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3 + PAST), dtype=np.uint8)
    check_paints_as_a_cpu(generator_of(memory=True), shown, gpu)
    shown = np.stack(
        [append_condition_planes(picture, ClipConditions(n / 10)) for n, picture in enumerate(pictures(3))]
    )
    check_paints_as_a_cpu(knowing_a_clip_by_heart(), shown, gpu)


def test_where_memory_does_not_do_the_picture_goes_through_in_tiles(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    generator, shown = generator_of(), pictures(1, 448)
    whole = TorchEngine(generator, gpu.device, "fp32")(shown).astype(int)
    engine = TorchEngine(generator, gpu.device, "fp32", batch=1)
    network: Any = engine._network

    def small_device(x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] * x.shape[3] > 384**2:
            torch.empty(1 << 48, device=x.device, dtype=torch.uint8)
        made: torch.Tensor = network(x)
        return made

    monkeypatch.setattr(engine, "_network", small_device)
    assert np.abs(engine(shown) - whole).mean() < 2
    assert engine.tile is not None


# Training


def steps_of(
    generator: Any,
    gpu: Gpu,
    count: int,
    *,
    state: dict[str, Any] | None = None,
    first: int = 0,
    precision: TrainingPrecision = "fp32",
    clock: float | None = None,
    **settings: Any,
) -> Pix2Pix:
    """Train a copy of a generator for so many steps, from a state if there is one; ``clock``: what its input shows."""
    seen = 3 + (PAST if settings.get("recurrent") else 0) + (CHANNELS if clock is not None else 0)
    judged = 3 + (3 if settings.get("recurrent") else seen)
    discriminator = build_discriminator("patchgan", least(DISCRIMINATORS, "patchgan") | {"num_layers": 1}, judged)
    initialise(discriminator, 1)
    made = TrainingSettings.of(batch_size=2, **settings)
    model = Pix2Pix(copy.deepcopy(generator), discriminator, made, gpu.device, precision)
    if state:
        model.restore(state)
    side = max(64, generator.smallest)
    x, y = noise(2, seen, side, side), noise(2, 3, side, side, seed=2)
    if clock is not None:
        hands = append_condition_planes(np.zeros((side, side, 3), np.uint8), ClipConditions(clock))[..., 3:]
        x[:, 3:] = torch.from_numpy(hands).permute(2, 0, 1) / 127.5 - 1
    for step in range(first, first + count):
        assert np.isfinite(list(model.optimize(TrainingStep(x, y, lr=2e-4, seed=step)).values())).all()
    assert model.is_finite()
    return model


def check_repeatable(generator: Any, gpu: Gpu, *, apart: float = 0.0, **options: Any) -> Pix2Pix:
    """Two trainings, and one that is stopped and goes on, end with weights no further ``apart``; return the first."""
    first, second = steps_of(generator, gpu, 3, **options), steps_of(generator, gpu, 3, **options)
    half = steps_of(generator, gpu, 2, **options)
    resumed = steps_of(generator, gpu, 1, state=copy.deepcopy(half.state()), first=2, **options)
    weights = first.generator.state_dict()
    for other in (second, resumed):
        for name, weight in other.generator.state_dict().items():
            torch.testing.assert_close(weight, weights[name], rtol=0, atol=apart, msg=name)
    return first


@every_generator
def test_every_generator_trains_to_the_same_weights_or_says_why_not(name: str, gpu: Gpu) -> None:
    expected = UNREPEATABLE.get(name, set()) if gpu.real else set()
    model = check_repeatable(generator_of(name), gpu, apart=APART if expected else 0.0)
    assert model.nondeterministic == expected


def test_one_that_remembers_and_one_that_knows_a_clip_by_heart_train_to_the_same_weights(gpu: Gpu) -> None:
    model = check_repeatable(generator_of(memory=True), gpu, recurrent=True, lambda_temporal=3.0)
    assert model.nondeterministic == set()
    model = check_repeatable(knowing_a_clip_by_heart(), gpu, apart=APART if gpu.real else 0.0, clock=0.3)
    assert model.nondeterministic <= SAMPLING


@pytest.mark.parametrize(("precision", "accumulate"), [("fp16", 2), ("bf16", 1)])
def test_in_16_bits_it_trains_to_the_same_weights(precision: str, accumulate: int, gpu: Gpu) -> None:
    if gpu.real and precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        pytest.skip("this device has no bf16")
    taken: Any = precision if gpu.real or precision == "fp16" else "fp32"
    model = check_repeatable(generator_of(), gpu, precision=taken, grad_accum_steps=accumulate)
    assert model.g.scaler.is_enabled() == (precision == "fp16")
    assert model.g.scaler.get_scale() > 0


# The chain

RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "memory": {"training": {"recurrent": True}},
    "fp16": {"training": {"precision": "fp16"}},
    "residual": {"generator": {"name": "residual", "channels": 4, "blocks": 1, "upsample": "bilinear"}},
}


@on_a_real_gpu
@pytest.mark.parametrize("recipe", RECIPES)
def test_training_and_rendering_are_repeatable_and_go_on_where_they_were(
    recipe: str, gpu: Gpu, tmp_path: Path, stopped: Callable[..., list[str]]
) -> None:
    lossless(tmp_path / "clip.mp4", moving_frames(12))
    tables = {n: {**t, **RECIPES[recipe].get(n, {})} for n, t in quick_training(4).items()}
    tables |= {n: t for n, t in RECIPES[recipe].items() if n == "generator"}
    made = []
    for name, stops in (("whole", ()), ("again", ()), ("stopped", (2,))):
        folder = tmp_path / name
        common: dict[str, Any] = {"cache_dir": folder / "cache", "device": "cuda"}
        dataset, model, film = (folder / n for n in ("d.dataset", "m.safetensors", "f.mp4"))
        cut = {"dataset": TINY["dataset"]}
        api.make_dataset(tmp_path / "clip.mp4", dataset, settings=cut, cache_dir=common["cache_dir"])
        for step in stops:
            stopped(api.train, "training", step, dataset, model, settings=tables, **common)
        api.train(dataset, model, settings=tables, **common)
        api.stylize(tmp_path / "clip.mp4", model, film, **common)
        assert "nondeterministic" not in read_record(model).training
        made.append((model.read_bytes(), film.read_bytes()))
    assert made == [made[0]] * 3
