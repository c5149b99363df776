"""Flow check: compare each flow method with a known motion, two runs, and the device with the CPU.

The motion is a pan by whole pixels over a texture. As in the project's tests, the mean end-point error must be at most
0.15 pixels, without the border. Two devices add in different orders and may then choose different patches; a mean
difference of 0.05 pixels allows for that, but for no faulty operation.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.doctor import Checks, Verdict
from vidtrans.doctor.subject import Subject, alike, texture
from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import FlowEstimator

MOTION = (3, -2)  # pixels, x and y
RIM = 16  # width in pixels of the border that does not count, because its match may lie outside the other picture
MOST_ERROR, MOST_APART = 0.15, 0.05  # largest mean error, and mean distance between devices, in pixels


def flow_checks(subject: Subject) -> Checks:
    """Return a check function for each flow method of ``FLOWS``, by name."""
    return {f"flow {name}": partial(_check, subject, name) for name in FLOWS}


def _check(subject: Subject, name: str) -> Verdict:
    first, second = pair(subject.scale.side)
    on_device = FLOWS[name].runs_on_device
    device = str(subject.device.torch) if on_device else "cpu"
    try:
        made, again = (_flow(name, device, first, second) for _ in range(2))
    except UsageError as error:  # raised by methods that are not installed
        return Verdict("note", f"not available: {error.why}")
    repeats, error_px = alike(made, again), _mean_distance(made, np.array(MOTION, np.float32))
    figures = {"error_px": error_px, "most_error_px": MOST_ERROR, "repeats": repeats, "on_device": on_device}
    detail = f"mean error {error_px:.3f} pixels (at most {MOST_ERROR})"
    ok = repeats and error_px <= MOST_ERROR
    if on_device and subject.device.kind != "cpu":
        distance = figures["apart_px"] = _mean_distance(made, _flow(name, "cpu", first, second))
        figures["most_apart_px"] = MOST_APART
        detail += f", {distance:.4f} from the CPU's flow (at most {MOST_APART})"
        ok = ok and distance <= MOST_APART
    where = "on the device" if on_device else "on the CPU"
    return Verdict("ok" if ok else "wrong", f"{where}: {detail}; {'' if repeats else 'NOT '}repeatable", figures)


def pair(side: int) -> tuple[np.ndarray, np.ndarray]:
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
