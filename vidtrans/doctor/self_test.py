"""The self-test of ``vidtrans doctor --self-test``: whether a device computes correctly, and how fast.

Each kind of check is a function of the ``Subject`` that returns check functions by name; a check function returns a
``Verdict``, and an exception counts as a failed check. Pictures, clips and networks are synthetic, all files are
temporary.
"""

from __future__ import annotations

import ctypes
import itertools
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import vidtrans
from vidtrans.core.errors import TEMPORARY_REMEDY, DeviceError, Interrupted, UsageError, describe_error
from vidtrans.core.events import Event, Progress, Stop, silent
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair
from vidtrans.data.loading import Loader
from vidtrans.doctor import Finding, State
from vidtrans.doctor.examination import library_version
from vidtrans.doctor.subject import Scale, Subject, alike, flickering, frames, make_generator, psnr, signed, texture
from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import FlowEstimator
from vidtrans.inference import ENGINES
from vidtrans.inference.device import Device, Precision, resolve_precision, torch_dtype
from vidtrans.inference.operator_checks import find_wrong
from vidtrans.inference.torch_engine import TorchEngine, to_pictures
from vidtrans.inference.user_cache import caches_in
from vidtrans.models.loaded_model import load_model
from vidtrans.networks.init import build_discriminator, initialise
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.rendering.benchmark import STEPS, RenderBenchmark, Step, inferred, machine, measure, write_clip
from vidtrans.session import Context
from vidtrans.temporal import FILTERS
from vidtrans.temporal.batch_motion import BatchFlow, load_batch_flow
from vidtrans.temporal.batch_window import BatchWindowFilter
from vidtrans.temporal.settings import WindowSettings
from vidtrans.temporal.stream import filter_samples
from vidtrans.training import METHODS
from vidtrans.training.loop import TrainingLoop, TrainingState
from vidtrans.training.methods.network_trainer import resolve_precisions
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.trials import seconds_per_step
from vidtrans.video.images.picture import write_picture

LIBRARIES = ("torch", "torchvision", "triton", "numpy", "opencv-python-headless", "av", "onnxruntime", "openvino")
REMEDY = "send the output of 'vidtrans doctor --self-test --json' with a report"
FLOW = "dis-fast"  # The flow of the filter checks: one of OpenCV's, the quickest.

# The least PSNR in dB of an engine to eager fp32, for 16-bit pictures, chosen with the synthetic network on a CPU.
# There, fp32 by other kernels and fp64 are 111 to 116 dB from eager fp32 (three kinds of generators), convolutions with
# factors rounded to TF32 67 to 70 dB, and bf16 50 to 52 dB. So 90 dB requires true fp32, and 40 dB allows bf16 but no
# further error.
ENGINE_PSNR = {"fp32": 90.0, "bf16": 40.0}
ENGINE_PICTURES = 4

# The shapes of the compared convolutions: libraries have special kernels for some.
KERNELS, STRIDES, WIDTHS, HEIGHTS, CHANNELS = (2, 3, 4, 5), (1, 2), (1, 2, 8), (1, 8, 32), (3, 32)

# The least PSNR in dB of a filter to NumPy, as in the project's tests; coordinates rounded to half precision give 7 dB.
FILTER_PSNR = 70.0

# The flow check is a pan by whole pixels over a texture. As in the project's tests, the mean end-point error must be at
# most 0.15 pixels. Two devices add in different orders and may then choose different patches; a mean difference of 0.05
# pixels allows for that, but for no faulty operation.
MOTION = (3, -2)  # pixels, x and y
RIM = 16  # The width in pixels of the border that does not count: its match may lie outside the other picture.
MOST_ERROR, MOST_DISTANCE = 0.15, 0.05  # pixels

SHARES = (0.75, 0.5, 0.35, 0.25)  # Shares of the unlimited run's memory, tried in turn until memory runs out.
# The least PSNR in dB of a tiled to a whole picture, which are never equal: on a CPU 45 to 54 dB by the tile's side.
TILED_PSNR = 40.0
PAIRS_AT_ONCE = 3  # Frame pairs that the limited flow method takes, on devices other than CUDA.

PAIRING = "denoise"  # A pairing whose input has three channels, as the synthetic generator takes them.
PICTURES, BATCH = 8, 4
MODEL, PAPERS = "flower", "unet-256"  # The bundled model, and the network of pix2pix, whose speeds are measured.


@dataclass(frozen=True)
class Verdict:
    """The result of one check of the self-test: ``detail`` as a line of text, ``figures`` as JSON values."""

    state: State
    detail: str
    figures: Table = field(default_factory=dict)
    remedy: str = ""

    @classmethod
    def of(cls, ok: bool, detail: str, figures: Table) -> Verdict:
        """Return "ok" or "wrong"."""
        return cls("ok" if ok else "wrong", detail, figures)

    @classmethod
    def absent(cls, error: UsageError) -> Verdict:
        """Return a note on an engine or a method that is not installed."""
        return cls("note", f"not available: {error.why}")


Checks = Mapping[str, Callable[[], Verdict]]


def _repeatable(repeats: bool) -> str:
    return f"{'' if repeats else 'NOT '}repeatable"


def device_checks(subject: Subject) -> Checks:
    """Report the device's name, memory, driver and library versions, and hardware precisions."""
    return {"hardware": lambda: _check_device(subject.device)}


def _check_device(device: Device) -> Verdict:
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
    """Return torch's figures of a CUDA device and the versions of CUDA, driver and cuDNN."""
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
    """Return the newest CUDA that NVIDIA's driver knows, as 12040 for 12.4; 0 without that driver.

    Torch has no function for it.
    """
    version = ctypes.c_int()
    with suppress(OSError):
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1").cuDriverGetVersion(
            ctypes.byref(version)
        )
    return version.value


def engine_checks(subject: Subject) -> Checks:
    """Compare each engine on the device with eager torch on a CPU in fp32, and two runs with each other."""
    return {f"engine {name}": partial(_check_engine, subject, name) for name in ENGINES}


def _check_engine(subject: Subject, name: str) -> Verdict:
    """Return the verdict on an engine in fp32 (unless it is slow to start) and in the ``auto`` precision."""
    generator, shown = make_generator(), frames(subject.scale.side, ENGINE_PICTURES)
    with torch.inference_mode():
        wanted = to_pictures(generator(signed(shown)), deep=True)
    auto = resolve_precision("auto", subject.device)
    precisions = [auto] if ENGINES.load(name).slow_to_start else sorted({"fp32", auto}, reverse=True)
    found: dict[str, float] = {}
    repeats = True
    for precision in precisions:
        try:
            engine = ENGINES.load(name)(generator, subject.device, precision)
            made = engine(shown, deep=True)
        except UsageError as error:  # raised by engines that are not available here
            if found:
                break  # it is available in fp32
            return Verdict.absent(error)
        found[precision] = psnr(made, wanted)
        repeats = repeats and alike(engine(shown, deep=True), made)
    least = {precision: ENGINE_PSNR[precision] for precision in found}
    ok = repeats and all(found[p] >= least[p] for p in found)
    parts = ", ".join(f"{p} {found[p]:.1f} dB (at least {least[p]:.0f})" for p in found)
    figures = {"psnr": found, "least_psnr": least, "repeats": repeats}
    return Verdict.of(ok, f"{parts} to eager fp32 on the CPU; {_repeatable(repeats)}", figures)


def product_checks(subject: Subject) -> Checks:
    """Compare convolutions with a reference, in each precision that renders and trainings use.

    Renders and trainings make the same comparison (``inference.operator_checks``), and replace a wrong kernel by one in
    a higher precision. So a wrong kernel is only a note here: the machine is slower than it could be.
    """
    auto = resolve_precision("auto", subject.device)
    return {
        f"convolutions {name}": partial(_check_convolutions, subject, name) for name in dict.fromkeys(("fp32", auto))
    }


def _check_convolutions(subject: Subject, precision: Precision) -> Verdict:
    """Compare plain and transposed convolutions and their gradients with fp32, small outputs, both memory layouts."""
    cases = list(itertools.product(KERNELS, STRIDES, WIDTHS, HEIGHTS, CHANNELS, (False, True), (False, True)))

    def run() -> None:
        for case in cases:
            _convolve(subject, precision, *case)

    wrong = find_wrong(run, subject.device)
    figures = {"compared": len(cases), "wrong": wrong}
    if not wrong:
        return Verdict("ok", f"{len(cases)} shapes and their gradients agree with the reference", figures)
    first, more = wrong[0], f" and {len(wrong) - 1} more" * (len(wrong) > 1)
    instead = "fp64" if precision == "fp32" else "fp32"
    detail = f"wrong results: {first}{more}; renders and trainings use {instead} for these instead"
    return Verdict("note", detail, figures, "update torch, or report this to its makers with the output of --json")


def _convolve(
    subject: Subject,
    precision: Precision,
    kernel: int,
    stride: int,
    width: int,
    height: int,
    channels: int,
    transposed: bool,
    channels_last: bool,
) -> None:
    place, dtype = subject.device.torch, torch_dtype(precision)
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    conv = kind(channels, 16, kernel, stride, (kernel - 1) // 2).to(place, dtype)
    # The output has ``height`` and ``width``; for transposed convolutions the input has.
    scale, more = (1, 0) if transposed else (stride, int(stride == 1 and kernel % 2 == 0))
    x = torch.rand((2, channels, height * scale + more, width * scale + more)).to(place, dtype)
    if channels_last:
        conv = conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = x.to(memory_format=torch.channels_last)
    conv(x.requires_grad_()).sum().backward()


def filter_checks(subject: Subject) -> Checks:
    """Compare each temporal filter on the device with NumPy, two runs, and the flicker before and after.

    The class that renders use on the device is tested; on a CPU it is the GPU class. Both get their flow from OpenCV,
    so that only the filter is compared.
    """
    return {f"filter {name}": partial(_check_filter, subject, name) for name in FILTERS}


def _check_filter(subject: Subject, name: str) -> Verdict:
    entry, kind = FILTERS[name], subject.device.kind
    shown = frames(subject.scale.side, subject.scale.frames)
    steady, samples = flickering(shown)
    wanted = _filtered(entry.load(), "cpu", shown)
    on_device = entry.load_for(kind if kind != "cpu" else entry.gpus[0])
    made, again = (_filtered(on_device, str(subject.device.torch), shown) for _ in range(2))
    repeats, found = alike(made, again), psnr(made, wanted)
    gain = round(psnr(made, steady) - psnr(np.stack([s.output for s in samples]), steady), 2)
    figures = {"psnr": found, "least_psnr": FILTER_PSNR, "repeats": repeats, "gain_db": gain}
    ok = repeats and found >= FILTER_PSNR and gain >= 0
    where = "the device" if kind != "cpu" else "the CPU as on a GPU"
    detail = f"on {where} {found:.1f} dB to NumPy (at least {FILTER_PSNR:.0f}), {gain:+.1f} dB to a steady clip"
    return Verdict.of(ok, f"{detail}; {_repeatable(repeats)}", figures)


def _filtered(cls: Any, device: str, shown: np.ndarray) -> np.ndarray:  # noqa: ANN401  (a filter's class)
    known = {f.name for f in fields(cls.Settings)}
    method = cls(cls.Settings(**({"flow": FLOW} if "flow" in known else {})), device)
    return _steadied(method, shown)


def _steadied(method: Any, shown: np.ndarray) -> np.ndarray:  # noqa: ANN401  (a filter)
    """Return the flickering version of the clip ``shown`` after a filter, (N, H, W, 3) uint16."""
    return np.stack([picture for _, picture in filter_samples(flickering(shown)[1], method)])


def flow_checks(subject: Subject) -> Checks:
    """Compare each flow method with a known motion, two runs, and the device with the CPU."""
    return {f"flow {name}": partial(_check_flow, subject, name) for name in FLOWS}


def _check_flow(subject: Subject, name: str) -> Verdict:
    first, second = _moving_pair(subject.scale.side)
    on_device = FLOWS[name].runs_on_device
    device = str(subject.device.torch) if on_device else "cpu"
    try:
        made, again = (_flow(name, device, first, second) for _ in range(2))
    except UsageError as error:  # raised by methods that are not installed
        return Verdict.absent(error)
    repeats, error_px = alike(made, again), _mean_distance(made, np.array(MOTION, np.float32))
    figures = {"error_px": error_px, "most_error_px": MOST_ERROR, "repeats": repeats, "on_device": on_device}
    detail = f"mean error {error_px:.3f} pixels (at most {MOST_ERROR})"
    ok = repeats and error_px <= MOST_ERROR
    if on_device and subject.device.kind != "cpu":
        distance = figures["apart_px"] = _mean_distance(made, _flow(name, "cpu", first, second))
        figures["most_apart_px"] = MOST_DISTANCE
        detail += f", {distance:.4f} from the CPU's flow (at most {MOST_DISTANCE})"
        ok = ok and distance <= MOST_DISTANCE
    where = "on the device" if on_device else "on the CPU"
    return Verdict.of(ok, f"{where}: {detail}; {_repeatable(repeats)}", figures)


def _moving_pair(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two pictures (side, side, 3) uint8, between which the texture moves by ``MOTION`` pixels."""
    (x, y), big = MOTION, texture(side + 2 * RIM)
    return tuple(
        np.ascontiguousarray(big[top : top + side, left : left + side])
        for top, left in ((RIM, RIM), (RIM - y, RIM - x))
    )  # type: ignore[return-value]


def _flow(name: str, device: str, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    estimator = FlowEstimator(name, device=device)
    return estimator.estimate_both(*map(estimator.prepare, (first, second)))[0]


def _mean_distance(flow: np.ndarray, other: np.ndarray) -> float:
    """Return the mean end-point distance of two flows without the border, in pixels. Raises ValueError for NaN."""
    inner = np.linalg.norm(flow - other, axis=2)[RIM:-RIM, RIM:-RIM]
    if not np.isfinite(inner).all():
        raise ValueError("the flow is not finite")
    return round(float(inner.mean()), 5)


def memory_checks(subject: Subject) -> Checks:
    """Compare the results of a picture and a clip with too little memory with those of enough memory.

    On CUDA the process is limited to less memory than the unlimited run used, so torch's allocator runs out of memory.
    On other devices, where no such limit exists, the network or the flow method is replaced by one that raises torch's
    out-of-memory error above a size. That tests how vidtrans reacts, but not how the device reports the lack of memory.
    """
    return {
        "memory engine": partial(_check_engine_memory, subject),
        "memory filter": partial(_check_filter_memory, subject),
    }


def _check_engine_memory(subject: Subject) -> Verdict:
    """Compare in fp32 a picture painted in tiles, after memory ran out, with one painted at once."""
    generator, shown = make_generator(), frames(subject.scale.large_side, 1)
    untouched = TorchEngine(generator, subject.device, "fp32", batch=1)
    limited = TorchEngine(generator, subject.device, "fp32", batch=1)
    wanted, needed = _measured(lambda: untouched(shown, deep=True), subject)
    made = wanted
    for share in SHARES:
        with _engine_limit(limited, subject, share, needed):
            made = limited(shown, deep=True)
        if limited.tile is not None:
            break
    if limited.tile is None:
        return Verdict("note", "memory did not run out, so tiles were not tested", {"tile": None, "psnr": None})
    found = psnr(made, wanted)
    figures = {"tile": limited.tile, "psnr": found, "least_psnr": TILED_PSNR, "limit": _kind_of_limit(subject)}
    height, width = shown.shape[1:3]
    detail = f"{width}x{height} in tiles of {limited.tile}: {found:.1f} dB to the whole (at least {TILED_PSNR:.0f})"
    return Verdict.of(found >= TILED_PSNR, f"{detail}; {figures['limit']}", figures)


def _check_filter_memory(subject: Subject) -> Verdict:
    """Compare the batched window filter with itself in smaller batches, after memory ran out; results must be equal."""
    shown = frames(subject.scale.side, subject.scale.frames)
    wanted, needed = _measured(lambda: _steadied(_window(subject), shown), subject)
    made, limited = wanted, _window(subject)
    for share in SHARES:
        limited = _window(subject, PAIRS_AT_ONCE)
        full = limited.batch_size
        with _limit(subject, share, needed):
            made = _steadied(limited, shown)
        if limited.batch_size < min(full, len(shown)):
            break
    else:
        return Verdict("note", "memory did not run out, so smaller batches were not tested", {"batch_size": None})
    same = alike(made, wanted)
    figures = {"batch_size": limited.batch_size, "equal": same, "limit": _kind_of_limit(subject)}
    detail = f"{limited.batch_size} frames at once: {'' if same else 'NOT '}the same pictures"
    return Verdict.of(same, f"{detail}; {figures['limit']}", figures)


def _is_cuda(subject: Subject) -> bool:
    return subject.device.torch.type == "cuda"


def _kind_of_limit(subject: Subject) -> str:
    return "the device's memory was limited" if _is_cuda(subject) else "the lack of memory was simulated"


def _measured(run: Callable[[], np.ndarray], subject: Subject) -> tuple[np.ndarray, int]:
    """Return the result of ``run()``, and on CUDA its peak memory in bytes above the memory in use before, else 0."""
    if not _is_cuda(subject):
        return run(), 0
    device = subject.device.torch
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_reserved(device)
    made = run()
    return made, torch.cuda.max_memory_reserved(device) - before


@contextmanager
def _limit(subject: Subject, share: float, needed: int) -> Iterator[None]:
    """Limit the process to its present CUDA memory plus ``share`` of ``needed`` bytes; do nothing off CUDA."""
    if not _is_cuda(subject):
        yield
        return
    device = subject.device.torch
    index = torch.cuda.current_device() if device.index is None else device.index  # torch takes no other here
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    allowed = torch.cuda.memory_reserved(device) + share * needed
    torch.cuda.set_per_process_memory_fraction(min(1.0, allowed / total), index)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, index)


@contextmanager
def _engine_limit(engine: TorchEngine, subject: Subject, share: float, needed: int) -> Iterator[None]:
    """Limit memory as ``_limit`` does; off CUDA, the network refuses more than ``share`` of the picture's pixels."""
    if _is_cuda(subject):
        try:
            with _limit(subject, share, needed):
                yield
        except DeviceError as error:
            raise RuntimeError(f"with {share:.0%} of the memory: {error}") from error
        return
    network, most = engine._network, share * subject.scale.large_side**2

    def small(x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] * x.shape[3] > most:
            raise torch.OutOfMemoryError("CUDA out of memory. (simulated)")
        return network(x)

    engine._network = small
    try:
        yield
    finally:
        engine._network = network


def _window(subject: Subject, most_pairs: int | None = None) -> BatchWindowFilter:
    """Return the window filter on the device; off CUDA its flow method refuses more than ``most_pairs`` at once."""
    device = subject.device.torch
    flow: BatchFlow = load_batch_flow(FLOW, device)
    if most_pairs is not None and not _is_cuda(subject):
        flow = partial(_small_flow, flow, most_pairs)
    return BatchWindowFilter(WindowSettings(radius=3, flow=FLOW), str(device), flow=flow)


def _small_flow(flow: BatchFlow, most: int, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    if len(first) > most:
        raise torch.OutOfMemoryError("CUDA out of memory. (simulated)")
    return flow(first, second)


def training_checks(subject: Subject) -> Checks:
    """Compare the weights of an interrupted and resumed training with those of an uninterrupted one.

    The weights must be bit-identical. The loop of ``train`` runs with its checkpoint on disk, in ``auto`` precision.
    """
    return {"resume": partial(_check_resume, subject)}


def make_training(subject: Subject, folder: Path, steps: int, side: int) -> TrainingState:
    """Return a small training at step 0 on a synthetic clip. Its pictures and checkpoints are written to ``folder``."""
    precision = resolve_precisions("auto", subject.device)[0]
    pairing = make_pairing(PAIRING, {})
    settings = TrainingSettings.of(steps=steps, batch_size=BATCH, crop_size=side, checkpoint_seconds=1e9)
    discriminator = build_discriminator("patchgan", {"num_layers": 1, "channels": 16}, 6)
    initialise(discriminator, 1)
    generator = make_generator()
    loader = Loader(
        _pairs(folder, side),
        pairing,
        batch=BATCH,
        seed=0,
        multiple=generator.multiple,
        crop=side,
        jitter=settings.jitter,
        flip=True,
        whole=subject.device.kind == "cuda",
    )
    model = METHODS.load(settings.method)(generator, discriminator, settings, subject.device, precision)
    return TrainingState(folder, model, loader, 0, [steps], picture_channels=3, device=subject.device)


def _pairs(folder: Path, side: int) -> list[Pair]:
    paths = [folder / f"{number:06}.png" for number in range(PICTURES)]
    folder.mkdir(parents=True, exist_ok=True)
    for path, picture in zip(paths, frames(side, PICTURES), strict=True):
        write_picture(path, picture)
    return [Pair((path,), path, "train", place=number) for number, path in enumerate(paths)]


def _check_resume(subject: Subject) -> Verdict:
    steps = subject.scale.training_steps
    whole = make_training(subject, subject.folder / "whole", steps, subject.scale.training_side)
    TrainingLoop(whole, silent, Stop()).train()
    resumed, stopped_at = _stopped_and_resumed(subject, steps)
    unequal = differing(whole, resumed)
    model: Any = whole.model  # has more than every method: precision, captured
    graph = graph_use(model)
    figures: Table = {"steps": steps, "stopped_at": stopped_at, "equal": not unequal, "graph": graph}
    figures |= {"precision": model.precision, "nondeterministic": sorted(model.nondeterministic)}
    detail = f"{steps} steps in {figures['precision']}, one run stopped after {stopped_at} and resumed:"
    if unequal:
        return Verdict("wrong", f"{detail} NOT the same weights ({len(unequal)} differ, {unequal[0]} first)", figures)
    replay = {"": "", "replayed": "; steps are replayed as a CUDA graph"}.get(graph, f"; no CUDA graph: {graph}")
    return Verdict("ok" if graph in ("", "replayed") else "note", f"{detail} the same weights{replay}", figures)


def _stopped_and_resumed(subject: Subject, steps: int) -> tuple[TrainingState, int]:
    """Return a training, stopped half-way and resumed in new networks, at step ``steps``, and the step of the stop."""
    stop, folder = Stop(), subject.folder / "resumed"

    def stop_half_way(event: Event) -> None:
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
    if not second.load(silent):
        raise RuntimeError("the training left no checkpoint")
    stopped_at = second.step
    TrainingLoop(second, silent, Stop()).train()
    return second, stopped_at


def differing(one: TrainingState, other: TrainingState) -> list[str]:
    """Return the names of the weights that are not bit-identical, and 'losses' if the recorded losses differ."""
    names = []
    for network, module in one.model.networks.items():
        others = other.model.networks[network].state_dict()
        names += [f"{network}.{n}" for n, w in module.state_dict().items() if not torch.equal(w, others[n])]
    return names + (["losses"] if one.rows != other.rows else [])


def graph_use(model: Any) -> str:  # noqa: ANN401  (the default method)
    """Return 'replayed' if steps were replayed as a CUDA graph, '' off CUDA, or the reason why they were not."""
    if model.captured is None:
        return "" if model.device.kind != "cuda" else "it is off"
    return "replayed" if model.captured.is_replaying else model.captured.refusal or "too few steps"


def rate_checks(subject: Subject) -> Checks:
    """Measure the speed of each step of a render, for each clip size, and of a training step.

    Each step is measured alone with a bundled model; also measured are the U-Net 256 of pix2pix and a training step of
    a small network. A speed cannot fail the check; the slowest step is named.
    """
    scale = subject.scale
    sizes = scale.rate_sizes[: 1 if subject.device.kind == "cpu" else None]
    renders = {f"rates {width}x{height}": partial(_measure_render, subject, (width, height)) for width, height in sizes}
    return {
        **renders,
        "rate unet-256": partial(_measure_unet, subject),
        "rate training": partial(_measure_training, subject),
    }


def _num_frames(subject: Subject) -> int:
    return subject.scale.rate_frames if subject.device.kind == "cpu" else subject.scale.rate_frames_on_gpu


def _measure_render(subject: Subject, size: tuple[int, int]) -> Verdict:
    """Measure the steps of a render whose source and working size are ``size`` (width, height)."""
    count, folder = _num_frames(subject), subject.folder / f"{size[0]}x{size[1]}"
    folder.mkdir()
    context = Context(cache_dir=folder / "cache", device=subject.device.name)
    clip = write_clip(folder / "clip.mp4", size, count)
    benchmark = RenderBenchmark(load_model(MODEL, context), context, subject.device, folder, clip, min(size), count)
    steps = benchmark.steps({benchmark.auto: benchmark.engine})
    steps["engine"] = steps.pop(f"engine {benchmark.auto}")
    rates = measure(steps, count, context)
    slowest = min(STEPS, key=lambda name: rates[name]["fps"])
    speeds = ", ".join(f"{name} {rates[name]['fps']:.4g}" for name in STEPS)
    figures = {"engine": benchmark.auto, "fps": rates, "slowest": slowest, "frames": count}
    return Verdict("ok", f"frames/s: {speeds}; the slowest is {slowest}", figures)


def _measure_unet(subject: Subject) -> Verdict:
    """Measure the U-Net 256 of pix2pix on the engine 'torch', from input pictures to output pictures."""
    side = subject.scale.side
    engine = TorchEngine(make_generator(PAPERS, {}), subject.device)
    inputs = list(frames(side, engine.batch))
    step: Step = lambda count: inferred(engine, [inputs[n % len(inputs)] for n in range(count)])  # noqa: E731
    rate = measure({PAPERS: step}, _num_frames(subject), Context(device=subject.device.name))[PAPERS]
    detail = f"U-Net 256 at {side}x{side}: {rate['fps']:.4g} frames/s in {engine.precision}, batch {engine.batch}"
    return Verdict("ok", detail, {"fps": {PAPERS: rate}, "precision": engine.precision, "batch": engine.batch})


def _measure_training(subject: Subject) -> Verdict:
    """Measure a training step, including the preparation of its batch."""
    side = subject.scale.side
    run = make_training(subject, subject.folder / "rate", 1000, side)
    rate = round(BATCH / seconds_per_step(run), 2)
    model: Any = run.model
    precision = model.precision
    detail = f"a small U-Net at {side}x{side}, batch {BATCH}, {precision}: {rate:.4g} pictures/s"
    return Verdict("ok", detail, {"pictures_per_second": rate, "precision": precision, "batch": BATCH})


CHECKS: dict[str, Callable[[Subject], Checks]] = {
    "device": device_checks,
    "engine": engine_checks,
    "products": product_checks,
    "filter": filter_checks,
    "flow": flow_checks,
    "memory": memory_checks,
    "training": training_checks,
    "rates": rate_checks,
}


class SelfTest:
    """The checks of a device. Iterate over it once for the findings; then ``table`` holds all figures."""

    def __init__(self, device: Device, scale: Scale | None = None) -> None:
        self._device, self._scale = device, scale or Scale()
        self.table: Table = {"device": device.name, "system": system(), "checks": []}

    def __iter__(self) -> Iterator[Finding]:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="vidtrans-", ignore_cleanup_errors=True) as temporary:
            folder = Path(temporary)
            with caches_in(folder / "engines"):
                for kind in CHECKS:
                    subject = Subject(self._device, folder / kind, self._scale)
                    subject.folder.mkdir()
                    for name, check in CHECKS[kind](subject).items():
                        yield self._run(kind, name, check)
        self.table["seconds"] = round(time.perf_counter() - began, 1)

    def _run(self, kind: str, name: str, check: Callable[[], Verdict]) -> Finding:
        """Run one check and return its finding; an exception becomes a finding, too."""
        began = time.perf_counter()
        try:
            verdict = check()
        except Exception as error:
            verdict = _verdict_of(error)
        seconds = round(time.perf_counter() - began, 2)
        own = {"kind": kind, "name": name, "state": verdict.state, "seconds": seconds, "figures": verdict.figures}
        self.table["checks"].append(own)
        remedy = verdict.remedy or (REMEDY if verdict.state == "wrong" else "")
        return Finding(name, verdict.state, f"{verdict.detail} ({seconds:.1f} s)", remedy)


def _verdict_of(error: Exception) -> Verdict:
    described = describe_error(error)
    if isinstance(error, OSError) and described:  # the checks write temporary files only
        return Verdict("wrong", f"the check could not run: {described[0]}", remedy=TEMPORARY_REMEDY)
    first_line = str(error).partition("\n")[0]
    return Verdict("wrong", described[0] if described else f"{type(error).__name__}: {first_line}")


def system() -> Table:
    """Return the versions of the platform and of the libraries that affect the checks."""
    return {
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "vidtrans": vidtrans.__version__,
        "libraries": {name: found for name in LIBRARIES if (found := library_version(name))},
    }
