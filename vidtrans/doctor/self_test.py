"""The self-test of ``vidtrans doctor --self-test``: check that a device computes correctly.

Each kind of check is a function of the ``SelfTestSubject`` that returns check functions by name; a check function
returns a ``Verdict``, and an exception counts as a failed check. Pictures, clips and networks are synthetic; all files
are temporary.
"""

from __future__ import annotations

import ctypes
import itertools
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

import vidtrans
from vidtrans.core.errors import TEMPORARY_REMEDY, Interrupted, UsageError, describe_error
from vidtrans.core.events import Event, Progress, Stop, ignore_event
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair
from vidtrans.data.loading import BatchPlan, Loader
from vidtrans.doctor import Finding, State
from vidtrans.doctor.checks import library_version
from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import FlowEstimator
from vidtrans.inference import ENGINES
from vidtrans.inference.device import Device, Precision, resolve_precision, torch_dtype
from vidtrans.inference.operator_checks import find_wrong_operators
from vidtrans.inference.torch_engine import to_pictures
from vidtrans.inference.user_cache import use_cache_folder
from vidtrans.networks.init import build_discriminator, build_generator, initialise
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.rendering.benchmark import machine
from vidtrans.rendering.benchmark import pictures as benchmark_pictures
from vidtrans.temporal import FILTERS
from vidtrans.temporal.stream import Sample, filter_samples
from vidtrans.training import METHODS
from vidtrans.training.loop import TrainingLoop, TrainingState
from vidtrans.training.methods.network_trainer import resolve_precisions
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.images.picture import write_picture

# Libraries whose installed versions the self-test's table contains
REPORTED_LIBRARIES = (
    "torch",
    "torchvision",
    "triton",
    "numpy",
    "opencv-python-headless",
    "av",
    "onnxruntime",
    "openvino",
)
REMEDY = "send the output of 'vidtrans doctor --self-test --json' with a report"  # Remedy for a failed check
FILTER_FLOW = "dis-fast"  # Flow method of the filter checks: the fastest of OpenCV's methods

# Minimum PSNR in dB of an engine's 16-bit pictures against eager torch in fp32, by the engine's precision.
# On a CPU, the synthetic network with other fp32 kernels, or in fp64, gives 111 to 116 dB (three kinds of generators).
# Convolutions with factors rounded to TF32 give 67 to 70 dB, and bf16 gives 50 to 52 dB.
# So a minimum of 90 dB requires true fp32, and 40 dB allows bf16 but no further error.
MIN_ENGINE_PSNR_DB = {"fp32": 90.0, "bf16": 40.0}
NUM_ENGINE_PICTURES = 4  # Number of pictures that each engine computes for the comparison

# Shapes of the compared convolutions: kernel sizes, strides, output widths and heights in pixels, and input channels.
# Libraries have special kernels for some shapes, so several shapes are compared.
KERNELS, STRIDES, WIDTHS, HEIGHTS, CHANNELS = (2, 3, 4, 5), (1, 2), (1, 2, 8), (1, 8, 32), (3, 32)

# Minimum PSNR of a filter on the device against NumPy, in dB; half-precision coordinates give only 7 dB
MIN_FILTER_PSNR_DB = 70.0

MOTION_PX = (3, -2)  # Motion (x, y) of the texture between the two pictures of the flow check, in pixels
# Width in pixels of the border that the flow check ignores, because its match may be outside of the other picture
BORDER_PX = 16
MAX_FLOW_ERROR_PX = 0.15  # Maximum mean end-point error against the true motion, in pixels, as in the project's tests
# Maximum mean end-point distance between the device's flow and the CPU's, in pixels
# It is not 0, because two devices add numbers in different orders, and may therefore match different patches.
MAX_FLOW_DISTANCE_PX = 0.05

# Pairing of the training check; its input has three channels, which the synthetic generator needs
TEST_PAIRING = "denoise"
NUM_TRAINING_PICTURES, TRAINING_BATCH_SIZE = 8, 4  # Number of pictures of the training check, and pictures per step

GENERATOR = ("unet-small", {"channels": 16})  # Name and settings of the synthetic generator: the one of most presets
FLICKER_LEVELS = 12  # Maximum change of a frame's brightness in the flickering test clip, in grey levels of 255
GRAIN_LEVELS = 6.0  # Standard deviation of the grain in the flickering test clip, in grey levels of 255


@dataclass(frozen=True)
class SelfTestScale:
    """The amount of work in a self-test.

    Attributes:
        side: Side in pixels of the synthetic pictures.
        frames: Number of frames of the synthetic clip.
        training_side: Side in pixels of the training pictures.
        training_steps: Number of steps of the training check.
    """

    side: int = 256
    frames: int = 10
    training_side: int = 64
    training_steps: int = 50


@dataclass(frozen=True)
class SelfTestSubject:
    """The device under test, a folder for temporary files, and the scale of the test."""

    device: Device
    folder: Path
    scale: SelfTestScale = field(default_factory=SelfTestScale)


def psnr(output: np.ndarray, expected: np.ndarray) -> float:
    """Return the PSNR in dB of an array to the ``expected`` one, of equal shape and integer type; 200 for equal arrays.

    Raises ValueError for unequal shapes or types, which NumPy would broadcast.
    """
    if (output.shape, output.dtype) != (expected.shape, expected.dtype):
        raise ValueError(f"{output.shape} {output.dtype} instead of {expected.shape} {expected.dtype}")
    full = float(np.iinfo(expected.dtype).max)
    error = float(np.mean((output.astype(np.float64) - expected) ** 2))
    return round(float(min(200.0, 10 * np.log10(full**2 / max(error, 1e-20)))), 2)


def are_equal(first: np.ndarray, second: np.ndarray) -> bool:
    """Return whether two arrays have the same dtype and equal values."""
    return first.dtype == second.dtype and np.array_equal(first, second)


def make_frames(side: int, count: int) -> np.ndarray:
    """Return a synthetic clip with motion, (count, side, side, 3) uint8."""
    return np.stack(list(benchmark_pictures(side, side, count)))


def make_texture(side: int) -> np.ndarray:
    """Return a picture with detail everywhere, which flow methods need, (side, side, 3) uint8."""
    noise = np.random.default_rng(2).normal(0, 1, (side, side, 3)).astype(np.float32)
    layers = [cv2.GaussianBlur(noise, (0, 0), sigma) for sigma in (2.0, 8.0)]
    levels = sum(layer * (28 / layer.std()) for layer in layers) + 128
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def make_generator(name: str = GENERATOR[0], table: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
    """Return the generator ``name`` with settings ``table``, 3 channels, random weights and realistic batch norms.

    The batch norms have the statistics of the synthetic clip. With other statistics, activations would vanish or
    saturate, and a comparison of precisions would show nothing.
    """
    generator = build_generator(name, GENERATOR[1] if table is None else table, 3)
    initialise(generator, 0)
    norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        generator.train()(to_network_input(make_frames(max(256, generator.multiple), 2)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return generator.eval()


def to_network_input(clip: np.ndarray) -> torch.Tensor:
    """Convert pictures, (N, H, W, C) uint8, to a network's input, (N, C, H, W) float32 in [−1, 1]."""
    return torch.from_numpy(clip).permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1


def make_flickering_clip(clip: np.ndarray) -> tuple[np.ndarray, list[Sample]]:
    """Return two stylised copies of a clip: a steady one, and a flickering one as samples for a filter.

    ``clip``: (N, H, W, 3) uint8. The steady copy is (N, H, W, 3) uint16. The samples have added flicker and grain.
    """
    steady = 15 + 0.8 * 255 * (clip[..., ::-1].astype(np.float32) / 255) ** 1.4
    rng = np.random.default_rng(1)
    brighter = rng.uniform(-FLICKER_LEVELS, FLICKER_LEVELS, (len(clip), 1, 1, 1)).astype(np.float32)
    grain = rng.normal(0, GRAIN_LEVELS, (*clip.shape[:3], 1)).astype(np.float32)
    outputs = _to_uint16(steady + brighter + grain)
    samples = [Sample(i, i, guide, output, i == 0) for i, (guide, output) in enumerate(zip(clip, outputs, strict=True))]
    return _to_uint16(steady), samples


def _to_uint16(levels: np.ndarray) -> np.ndarray:
    """Convert grey levels from 0 to 255 to uint16, where 255 becomes 65535."""
    return np.rint(np.clip(levels, 0, 255) * 257).astype(np.uint16)


@dataclass(frozen=True)
class Verdict:
    """The result of a check of the self-test: ``detail`` is a line of text, ``figures`` are JSON values."""

    state: State
    detail: str
    figures: Table = field(default_factory=dict)
    remedy: str = ""

    @classmethod
    def of(cls, ok: bool, detail: str, figures: Table) -> Verdict:
        """Return the verdict "ok" or "wrong", with details and figures."""
        return cls("ok" if ok else "wrong", detail, figures)

    @classmethod
    def absent(cls, error: UsageError) -> Verdict:
        """Return the verdict "note" for an engine or a flow method that is not installed."""
        return cls("note", f"not available: {error.why}")


Checks = Mapping[str, Callable[[], Verdict]]  # Check functions by name


def _repeatability_text(repeats: bool) -> str:
    """Return "repeatable" or "NOT repeatable", for two runs with equal or unequal results."""
    return f"{'' if repeats else 'NOT '}repeatable"


def device_checks(subject: SelfTestSubject) -> Checks:
    """Return the check that reports the device's name, memory, driver and library versions, and precisions."""
    return {"hardware": lambda: _check_device(subject.device)}


def _check_device(device: Device) -> Verdict:
    """Return the device's name, memory, driver and precision as a verdict, which is always "ok"."""
    figures: Table = machine(device) if device.torch.type == device.kind else {"device": device.name}
    figures["precision"] = resolve_precision("auto", device)
    if device.torch.type != "cuda":
        return Verdict("ok", f"{device.name}, {figures['precision']}, {torch.get_num_threads()} threads", figures)
    figures |= cuda_figures(device.torch)
    gib = int(figures["memory_bytes"]) / 2**30
    card = f"{figures['gpu']}, {gib:.0f} GiB, compute capability {figures['compute_capability']}"
    driver = f", driver for CUDA {figures['cuda_driver']}" if figures["cuda_driver"] else ""
    versions = f"CUDA {figures['cuda_runtime']}{driver}, cuDNN {figures['cudnn']}"
    bf16 = "bf16 in hardware" if figures["bf16_in_hardware"] else "no bf16 in hardware"
    tf32 = f"TF32 {'on' if figures['tf32'] else 'off'}"
    return Verdict("ok", f"{card}; {versions}; {bf16}; {tf32}", figures)


def cuda_figures(device: torch.device) -> Table:
    """Return the properties of a CUDA device, and the versions of CUDA, its driver and cuDNN."""
    card = torch.cuda.get_device_properties(device)
    driver = driver_version()
    return {
        "memory_bytes": card.total_memory,
        "compute_capability": f"{card.major}.{card.minor}",
        "cuda_runtime": torch.version.cuda,
        "cuda_driver": f"{driver // 1000}.{driver % 1000 // 10}" if driver else None,
        "cudnn": torch.backends.cudnn.version(),
        "bf16_in_hardware": torch.cuda.is_bf16_supported(including_emulation=False),
        "tf32": torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32,
    }


def driver_version() -> int:
    """Return the newest CUDA version that NVIDIA's driver supports, 12040 for 12.4; 0 without a driver.

    Torch has no function for this.
    """
    version = ctypes.c_int()
    with suppress(OSError):
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1").cuDriverGetVersion(
            ctypes.byref(version)
        )
    return version.value


def engine_checks(subject: SelfTestSubject) -> Checks:
    """Return a check for each engine: compare it with eager torch on a CPU in fp32, and with a second run of itself."""
    return {f"engine {name}": partial(_check_engine, subject, name) for name in ENGINES}


def _check_engine(subject: SelfTestSubject, name: str) -> Verdict:
    """Check an engine in the ``auto`` precision, and, unless it is slow to start, in fp32."""
    generator, pictures = make_generator(), make_frames(subject.scale.side, NUM_ENGINE_PICTURES)
    with torch.inference_mode():
        expected = to_pictures(generator(to_network_input(pictures)), deep=True)
    auto = resolve_precision("auto", subject.device)
    precisions = [auto] if ENGINES.load(name).slow_to_start else sorted({"fp32", auto}, reverse=True)
    psnr_db: dict[str, float] = {}
    repeats = True
    for precision in precisions:
        try:
            engine = ENGINES.load(name)(generator, subject.device, precision)
            output = engine(pictures, deep=True)
        except UsageError as error:  # Raised by engines that are not available on this machine.
            if psnr_db:
                break  # The engine is available in fp32.
            return Verdict.absent(error)
        psnr_db[precision] = psnr(output, expected)
        repeats = repeats and are_equal(engine(pictures, deep=True), output)
    least = {precision: MIN_ENGINE_PSNR_DB[precision] for precision in psnr_db}
    ok = repeats and all(psnr_db[p] >= least[p] for p in psnr_db)
    parts = ", ".join(f"{p} {psnr_db[p]:.1f} dB (at least {least[p]:.0f})" for p in psnr_db)
    figures = {"psnr": psnr_db, "least_psnr": least, "repeats": repeats}
    return Verdict.of(ok, f"{parts} to eager fp32 on the CPU; {_repeatability_text(repeats)}", figures)


def product_checks(subject: SelfTestSubject) -> Checks:
    """Return a check for each precision that renders and trainings use: compare convolutions with a reference.

    Renders and trainings make the same comparison (``inference.operator_checks``), and replace a wrong kernel by one in
    a higher precision. So a wrong kernel is only a note here: the machine is slower than it could be.
    """
    auto = resolve_precision("auto", subject.device)
    return {
        f"convolutions {name}": partial(_check_convolutions, subject, name) for name in dict.fromkeys(("fp32", auto))
    }


def _check_convolutions(subject: SelfTestSubject, precision: Precision) -> Verdict:
    """Compare plain and transposed convolutions and their gradients with a more exact reference.

    Both memory layouts are tried: channels first, and channels last.
    """
    cases = list(itertools.product(KERNELS, STRIDES, WIDTHS, HEIGHTS, CHANNELS, (False, True), (False, True)))

    def run() -> None:
        """Run all convolutions; ``find_wrong_operators`` compares each with its reference."""
        for case in cases:
            _convolve(subject, precision, *case)

    wrong = find_wrong_operators(run, subject.device)
    figures = {"compared": len(cases), "wrong": wrong}
    if not wrong:
        return Verdict("ok", f"{len(cases)} shapes and their gradients agree with the reference", figures)
    first, more = wrong[0], f" and {len(wrong) - 1} more" * (len(wrong) > 1)
    instead = "fp64" if precision == "fp32" else "fp32"
    detail = f"wrong results: {first}{more}; renders and trainings use {instead} for these instead"
    return Verdict("note", detail, figures, "update torch, or report this to its makers with the output of --json")


def _convolve(
    subject: SelfTestSubject,
    precision: Precision,
    kernel: int,
    stride: int,
    width: int,
    height: int,
    channels: int,
    transposed: bool,
    channels_last: bool,
) -> None:
    """Run one convolution and its gradients on random input.

    ``kernel``: the side of the kernel in pixels. ``channels``: the number of input channels; the output has 16.
    ``width``, ``height``: the size of its output in pixels; of a transposed convolution, of its input.
    """
    place, dtype = subject.device.torch, torch_dtype(precision)
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    conv = kind(channels, 16, kernel, stride, (kernel - 1) // 2).to(place, dtype)
    # ``height`` and ``width`` are the size of the output, and for transposed convolutions the size of the input.
    scale, more = (1, 0) if transposed else (stride, int(stride == 1 and kernel % 2 == 0))
    x = torch.rand((2, channels, height * scale + more, width * scale + more)).to(place, dtype)
    if channels_last:
        conv = conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = x.to(memory_format=torch.channels_last)
    conv(x.requires_grad_()).sum().backward()


def filter_checks(subject: SelfTestSubject) -> Checks:
    """Return a check for each temporal filter: compare it with NumPy and a second run; measure the removed flicker.

    The class that renders use on the device is tested; on a CPU it is the GPU class. Both get their flow from OpenCV,
    so that only the filter is compared.
    """
    return {f"filter {name}": partial(_check_filter, subject, name) for name in FILTERS}


def _check_filter(subject: SelfTestSubject, name: str) -> Verdict:
    """Compare a temporal filter on the device with NumPy and a second run; measure the removed flicker."""
    entry, kind = FILTERS[name], subject.device.kind
    pictures = make_frames(subject.scale.side, subject.scale.frames)
    steady, samples = make_flickering_clip(pictures)
    expected = _filter_clip(entry.load(), "cpu", pictures)
    on_device = entry.load_for(kind if kind != "cpu" else entry.gpus[0])
    output, again = (_filter_clip(on_device, str(subject.device.torch), pictures) for _ in range(2))
    repeats, psnr_db = are_equal(output, again), psnr(output, expected)
    gain = round(psnr(output, steady) - psnr(np.stack([s.output for s in samples]), steady), 2)
    figures = {"psnr": psnr_db, "least_psnr": MIN_FILTER_PSNR_DB, "repeats": repeats, "gain_db": gain}
    ok = repeats and psnr_db >= MIN_FILTER_PSNR_DB and gain >= 0
    where = "the device" if kind != "cpu" else "the CPU as on a GPU"
    detail = (
        f"on {where} {psnr_db:.1f} dB to NumPy (at least {MIN_FILTER_PSNR_DB:.0f}), {gain:+.1f} dB to a steady clip"
    )
    return Verdict.of(ok, f"{detail}; {_repeatability_text(repeats)}", figures)


def _filter_clip(cls: Any, device: str, pictures: np.ndarray) -> np.ndarray:  # noqa: ANN401  (a filter's class)
    """Stylise pictures with flicker, and remove the flicker by a filter of the class ``cls`` on a ``device``.

    ``pictures``: (N, H, W, 3) uint8. Return the filtered clip, (N, H, W, 3) uint16.
    """
    known = {f.name for f in fields(cls.Settings)}
    method = cls(cls.Settings(**({"flow": FILTER_FLOW} if "flow" in known else {})), device)
    return _apply_filter(method, pictures)


def _apply_filter(method: Any, pictures: np.ndarray) -> np.ndarray:  # noqa: ANN401  (a filter)
    """Stylise pictures with flicker, and remove the flicker by the filter ``method``.

    ``pictures``: (N, H, W, 3) uint8. Return the filtered clip, (N, H, W, 3) uint16.
    """
    return np.stack([picture for _, picture in filter_samples(make_flickering_clip(pictures)[1], method)])


def flow_checks(subject: SelfTestSubject) -> Checks:
    """Return a check for each flow method: compare its flow with a known motion, a second run, and the CPU's flow."""
    return {f"flow {name}": partial(_check_flow, subject, name) for name in FLOWS}


def _check_flow(subject: SelfTestSubject, name: str) -> Verdict:
    """Compare a flow method with the known motion, a second run, and the CPU."""
    first, second = _moving_pair(subject.scale.side)
    on_device = FLOWS[name].runs_on_device
    device = str(subject.device.torch) if on_device else "cpu"
    try:
        output, again = (_flow(name, device, first, second) for _ in range(2))
    except UsageError as error:  # Raised by methods that are not installed.
        return Verdict.absent(error)
    repeats, error_px = are_equal(output, again), _mean_distance(output, np.array(MOTION_PX, np.float32))
    figures = {"error_px": error_px, "most_error_px": MAX_FLOW_ERROR_PX, "repeats": repeats, "on_device": on_device}
    detail = f"mean error {error_px:.3f} pixels (at most {MAX_FLOW_ERROR_PX})"
    ok = repeats and error_px <= MAX_FLOW_ERROR_PX
    if on_device and subject.device.kind != "cpu":
        distance = figures["apart_px"] = _mean_distance(output, _flow(name, "cpu", first, second))
        figures["most_apart_px"] = MAX_FLOW_DISTANCE_PX
        detail += f", {distance:.4f} from the CPU's flow (at most {MAX_FLOW_DISTANCE_PX})"
        ok = ok and distance <= MAX_FLOW_DISTANCE_PX
    where = "on the device" if on_device else "on the CPU"
    return Verdict.of(ok, f"{where}: {detail}; {_repeatability_text(repeats)}", figures)


def _moving_pair(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two pictures, (side, side, 3) uint8; from the first to the second, the texture moves by ``MOTION_PX``."""
    (x, y), big = MOTION_PX, make_texture(side + 2 * BORDER_PX)
    return tuple(
        np.ascontiguousarray(big[top : top + side, left : left + side])
        for top, left in ((BORDER_PX, BORDER_PX), (BORDER_PX - y, BORDER_PX - x))
    )  # type: ignore[return-value]


def _flow(name: str, device: str, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the flow of the method ``name`` from the first picture to the second, (H, W, 2) float32 in pixels."""
    estimator = FlowEstimator(name, device=device)
    return estimator.estimate_both(*map(estimator.prepare, (first, second)))[0]


def _mean_distance(flow: np.ndarray, other: np.ndarray) -> float:
    """Return the mean end-point distance of two flows without the border, in pixels. Raises ValueError for NaN."""
    inner = np.linalg.norm(flow - other, axis=2)[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX]
    if not np.isfinite(inner).all():
        raise ValueError("the flow is not finite")
    return round(float(inner.mean()), 5)


def training_checks(subject: SelfTestSubject) -> Checks:
    """Return the check that compares the weights of an interrupted and resumed training with an uninterrupted one.

    The weights must be bit-identical. The loop of ``train`` runs with its checkpoint on disk, in ``auto`` precision.
    """
    return {"resume": partial(_check_resume, subject)}


def make_training(subject: SelfTestSubject, folder: Path, steps: int, side: int) -> TrainingState:
    """Return a small training at step 0 on a synthetic clip; ``folder``: for its pictures and checkpoints.

    ``steps``: the number of steps of the training. ``side``: the side of its pictures in pixels.
    """
    precision = resolve_precisions("auto", subject.device)[0]
    pairing = make_pairing(TEST_PAIRING, {})
    settings = TrainingSettings.of(steps=steps, batch_size=TRAINING_BATCH_SIZE, crop_size=side, checkpoint_seconds=1e9)
    discriminator = build_discriminator("patchgan", {"num_layers": 1, "channels": 16}, 6)
    initialise(discriminator, 1)
    generator = make_generator()
    plan = BatchPlan(
        batch_size=TRAINING_BATCH_SIZE,
        seed=0,
        multiple=generator.multiple,
        crop=side,
        jitter=settings.jitter,
        flip=True,
    )
    loader = Loader(_make_pairs(folder, side), pairing, plan, whole=subject.device.kind == "cuda")
    model = METHODS.load(settings.method)(generator, discriminator, settings, subject.device, precision)
    return TrainingState(folder, model, loader, 0, [steps], picture_channels=3, device=subject.device)


def _make_pairs(folder: Path, side: int) -> list[Pair]:
    """Write synthetic pictures into a folder; return pairs whose input and target are the same picture."""
    paths = [folder / f"{number:06}.png" for number in range(NUM_TRAINING_PICTURES)]
    folder.mkdir(parents=True, exist_ok=True)
    for path, picture in zip(paths, make_frames(side, NUM_TRAINING_PICTURES), strict=True):
        write_picture(path, picture)
    return [Pair((path,), path, "train", place=number) for number, path in enumerate(paths)]


def _check_resume(subject: SelfTestSubject) -> Verdict:
    """Compare the weights of an interrupted and resumed training with those of an uninterrupted one."""
    steps = subject.scale.training_steps
    whole = make_training(subject, subject.folder / "whole", steps, subject.scale.training_side)
    TrainingLoop(whole, ignore_event, Stop()).train()
    resumed, stopped_at = _train_interrupted(subject, steps)
    unequal = differing_weights(whole, resumed)
    model: Any = whole.model  # The default method has attributes that others lack: precision, captured.
    graph = describe_graph_use(model)
    figures: Table = {"steps": steps, "stopped_at": stopped_at, "equal": not unequal, "graph": graph}
    figures |= {"precision": model.precision, "nondeterministic": sorted(model.nondeterministic)}
    detail = f"{steps} steps in {figures['precision']}, one run stopped after {stopped_at} and resumed:"
    if unequal:
        return Verdict("wrong", f"{detail} NOT the same weights ({len(unequal)} differ, {unequal[0]} first)", figures)
    replay = {"": "", "replayed": "; steps are replayed as a CUDA graph"}.get(graph, f"; no CUDA graph: {graph}")
    return Verdict("ok" if graph in ("", "replayed") else "note", f"{detail} the same weights{replay}", figures)


def _train_interrupted(subject: SelfTestSubject, steps: int) -> tuple[TrainingState, int]:
    """Train ``steps`` steps, stopped half-way and resumed in new networks; return the training and the stop's step."""
    stop, folder = Stop(), subject.folder / "resumed"

    def stop_half_way(event: Event) -> None:
        """Request a stop after half of the steps."""
        if isinstance(event, Progress) and event.done == steps // 2:
            stop.request(130)

    first = make_training(subject, folder, steps, subject.scale.training_side)
    try:
        TrainingLoop(first, stop_half_way, stop).train()
    except Interrupted:
        pass
    else:
        raise RuntimeError("the training did not stop when it was asked to")
    second = make_training(subject, folder, steps, subject.scale.training_side)
    if not second.load(ignore_event):
        raise RuntimeError("the training left no checkpoint")
    stopped_at = second.step
    TrainingLoop(second, ignore_event, Stop()).train()
    return second, stopped_at


def differing_weights(first: TrainingState, second: TrainingState) -> list[str]:
    """Return the names of the weights of two trainings that differ in any bit, and 'losses' if their losses differ."""
    names = []
    for network, module in first.model.networks.items():
        others = second.model.networks[network].state_dict()
        names += [f"{network}.{n}" for n, w in module.state_dict().items() if not torch.equal(w, others[n])]
    return names + (["losses"] if first.rows != second.rows else [])


def describe_graph_use(model: Any) -> str:  # noqa: ANN401  (the default method)
    """Return 'replayed' if steps were replayed as a CUDA graph, '' without CUDA, otherwise the reason."""
    if model.captured is None:
        return "" if model.device.kind != "cuda" else "it is off"
    return "replayed" if model.captured.is_replaying else model.captured.refusal or "too few steps"


# The kinds of checks, in the order of the self-test.
CHECKS: dict[str, Callable[[SelfTestSubject], Checks]] = {
    "device": device_checks,
    "engine": engine_checks,
    "products": product_checks,
    "filter": filter_checks,
    "flow": flow_checks,
    "training": training_checks,
}


class SelfTest:
    """The self-test of a device. Iterate over it once for the findings; then ``table`` has all figures."""

    def __init__(self, device: Device, scale: SelfTestScale | None = None) -> None:
        self._device, self._scale = device, scale or SelfTestScale()
        self.table: Table = {"device": device.name, "system": system(), "checks": []}

    def __iter__(self) -> Iterator[Finding]:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="vidtrans-", ignore_cleanup_errors=True) as temporary:
            folder = Path(temporary)
            with use_cache_folder(folder / "engines"):
                for kind in CHECKS:
                    subject = SelfTestSubject(self._device, folder / kind, self._scale)
                    subject.folder.mkdir()
                    for name, check in CHECKS[kind](subject).items():
                        yield self._run(kind, name, check)
        self.table["seconds"] = round(time.perf_counter() - began, 1)

    def _run(self, kind: str, name: str, check: Callable[[], Verdict]) -> Finding:
        """Run one check, store its figures, and return its finding; an exception gives the state "wrong"."""
        began = time.perf_counter()
        try:
            verdict = check()
        except Exception as error:
            verdict = _error_verdict(error)
        seconds = round(time.perf_counter() - began, 2)
        check_table = {
            "kind": kind,
            "name": name,
            "state": verdict.state,
            "seconds": seconds,
            "figures": verdict.figures,
        }
        self.table["checks"].append(check_table)
        remedy = verdict.remedy or (REMEDY if verdict.state == "wrong" else "")
        return Finding(name, verdict.state, f"{verdict.detail} ({seconds:.1f} s)", remedy)


def _error_verdict(error: Exception) -> Verdict:
    """Return the verdict "wrong" for a check that raised an exception."""
    description = describe_error(error)
    if isinstance(error, OSError) and description:  # The checks write only temporary files.
        return Verdict("wrong", f"the check could not run: {description[0]}", remedy=TEMPORARY_REMEDY)
    first_line = str(error).partition("\n")[0]
    return Verdict("wrong", description[0] if description else f"{type(error).__name__}: {first_line}")


def system() -> Table:
    """Return the versions of the system, Python, vidtrans and the libraries that affect the checks."""
    return {
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "vidtrans": vidtrans.__version__,
        "libraries": {name: number for name in REPORTED_LIBRARIES if (number := library_version(name))},
    }
