"""Memory check: compare the results of a picture and a clip with too little memory with those of enough memory.

On CUDA the process is limited to less memory than the unlimited run used, so torch's allocator runs out of memory. On
other devices, where no such limit exists, the network or the flow method is replaced by one that raises torch's
out-of-memory error above a size. That tests how vidtrans reacts, but not how the device reports the lack of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

from vidtrans.core.errors import DeviceError
from vidtrans.doctor import Checks, Verdict
from vidtrans.doctor.subject import Subject, alike, flickering, frames, make_generator, psnr
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.temporal.batch_motion import BatchFlow, load_batch_flow
from vidtrans.temporal.batch_window import BatchWindowFilter
from vidtrans.temporal.settings import WindowSettings
from vidtrans.temporal.stream import filter_samples

SHARES = (0.75, 0.5, 0.35, 0.25)  # of the memory of the unlimited run, tried in turn until memory runs out
LEAST_PSNR = 40.0  # dB of the tiled to the whole picture, never equal; on a CPU 45 to 54, depending on the tile's side
FLOW = "dis-fast"
PAIRS_AT_ONCE = 3  # frame pairs that the limited flow method takes, on devices other than CUDA


def memory_checks(subject: Subject) -> Checks:
    """Return the check functions of the engine and of the window filter, by name."""
    return {"memory engine": partial(_engine, subject), "memory filter": partial(_filter, subject)}


def _engine(subject: Subject) -> Verdict:
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
    figures = {"tile": limited.tile, "psnr": found, "least_psnr": LEAST_PSNR, "limit": _kind_of_limit(subject)}
    height, width = shown.shape[1:3]
    detail = f"{width}x{height} in tiles of {limited.tile}: {found:.1f} dB to the whole (at least {LEAST_PSNR:.0f})"
    return Verdict("ok" if found >= LEAST_PSNR else "wrong", f"{detail}; {figures['limit']}", figures)


def _filter(subject: Subject) -> Verdict:
    """Compare the batched window filter with itself in smaller batches, after memory ran out; results must be equal."""
    shown = frames(subject.scale.side, subject.scale.frames)
    wanted, needed = _measured(lambda: _filtered(_window(subject), shown), subject)
    made, limited = wanted, _window(subject)
    for share in SHARES:
        limited = _window(subject, PAIRS_AT_ONCE)
        full = limited.batch_size
        with _limit(subject, share, needed):
            made = _filtered(limited, shown)
        if limited.batch_size < min(full, len(shown)):
            break
    else:
        return Verdict("note", "memory did not run out, so smaller batches were not tested", {"batch_size": None})
    same = alike(made, wanted)
    figures = {"batch_size": limited.batch_size, "equal": same, "limit": _kind_of_limit(subject)}
    detail = f"{limited.batch_size} frames at once: {'' if same else 'NOT '}the same pictures"
    return Verdict("ok" if same else "wrong", f"{detail}; {figures['limit']}", figures)


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


def _filtered(method: Any, shown: np.ndarray) -> np.ndarray:  # noqa: ANN401  (a filter for batches)
    return np.stack([picture for _, picture in filter_samples(flickering(shown)[1], method)])
