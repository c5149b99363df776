"""Does each flow method find a motion that is known, the same every time, and on the device as on the CPU?

A camera that pans by whole pixels over a texture: the project's tests hold every method to a mean end-point error of
0.15 pixels on such a pair, inside of the rim. Between two devices the order of sums differs, and with it now and then
the choice between two patches: 0.05 pixels in the mean leave room for that, and for no operation that is wrong.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.doctor import Checks, Verdict
from vidtrans.doctor.subject import Subject, alike, texture
from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import FlowEstimator, runs_on_device

MOTION = (3, -2)  # pixels, x and y
RIM = 16  # pixels, which do not count: there the other picture has nothing to find
MOST_ERROR, MOST_APART = 0.15, 0.05  # pixels


def flow_checks(subject: Subject) -> Checks:
    """Return a check for each flow method of the table."""
    return {f"flow {name}": partial(_check, subject, name) for name in FLOWS}


def _check(subject: Subject, name: str) -> Verdict:
    first, second = pair(subject.scale.side)
    on_device = runs_on_device(name)
    device = str(subject.device.torch) if on_device else "cpu"
    try:
        made, again = (_flow(name, device, first, second) for _ in range(2))
    except UsageError as error:  # how methods say that they are not installed
        return Verdict("note", f"not here: {error.why}")
    repeats, error_px = alike(made, again), _apart(made, np.array(MOTION, np.float32))
    figures = {"error_px": error_px, "most_error_px": MOST_ERROR, "repeats": repeats, "on_device": on_device}
    told = f"{error_px:.3f} pixels from the truth (at most {MOST_ERROR})"
    ok = repeats and error_px <= MOST_ERROR
    if on_device and subject.device.kind != "cpu":
        apart = figures["apart_px"] = _apart(made, _flow(name, "cpu", first, second))
        figures["most_apart_px"] = MOST_APART
        told += f", {apart:.4f} from the CPU's (at most {MOST_APART})"
        ok = ok and apart <= MOST_APART
    where = "on the device" if on_device else "on the CPU"
    return Verdict("ok" if ok else "wrong", f"{where} {told}; {'' if repeats else 'NOT '}the same again", figures)


def pair(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two pictures (side, side, 3) uint8 of a camera that pans by ``MOTION``."""
    (x, y), big = MOTION, texture(side + 2 * RIM)
    return tuple(
        np.ascontiguousarray(big[top : top + side, left : left + side])
        for top, left in ((RIM, RIM), (RIM - y, RIM - x))
    )  # type: ignore[return-value]


def _flow(name: str, device: str, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    estimator = FlowEstimator(name, device=device)
    return estimator.estimate_both(*map(estimator.prepare, (first, second)))[0]


def _apart(flow: np.ndarray, other: np.ndarray) -> float:
    """Return the mean end-point distance of two flows inside of the rim, in pixels. Raises ValueError for NaN."""
    inner = np.linalg.norm(flow - other, axis=2)[RIM:-RIM, RIM:-RIM]
    if not np.isfinite(inner).all():
        raise ValueError("the flow is not finite")
    return round(float(inner.mean()), 5)
