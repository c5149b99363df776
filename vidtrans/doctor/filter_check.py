"""Filter check: compare each temporal filter on the device with NumPy, two runs, and the flicker before and after.

It tests the class that renders use on the device; on a CPU it tests the GPU class there. Both get their flow from
OpenCV, so that only the filter is compared; ``flow_check`` compares flow. The limit of 70 dB is the same as in the
project's tests; coordinates rounded to half precision give 7 dB.
"""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np

from vidtrans.doctor import Checks, Verdict
from vidtrans.doctor.subject import Subject, alike, flickering, frames, psnr
from vidtrans.temporal import FILTERS
from vidtrans.temporal.stream import filter_samples

LEAST_PSNR = 70.0  # dB
FLOW = "dis-fast"  # one of OpenCV's, the quickest


def filter_checks(subject: Subject) -> Checks:
    """Return a check function for each temporal filter of ``FILTERS``, by name."""
    return {f"filter {name}": partial(_check, subject, name) for name in FILTERS}


def _check(subject: Subject, name: str) -> Verdict:
    entry, kind = FILTERS[name], subject.device.kind
    shown = frames(subject.scale.side, subject.scale.frames)
    steady, samples = flickering(shown)
    wanted = _filtered(entry.load(), "cpu", shown)
    on_device = entry.load_for(kind if kind != "cpu" else entry.gpus[0])
    made, again = (_filtered(on_device, str(subject.device.torch), shown) for _ in range(2))
    repeats, found = alike(made, again), psnr(made, wanted)
    gain = round(psnr(made, steady) - psnr(np.stack([s.output for s in samples]), steady), 2)
    figures = {"psnr": found, "least_psnr": LEAST_PSNR, "repeats": repeats, "gain_db": gain}
    ok = repeats and found >= LEAST_PSNR and gain >= 0
    where = "the device" if kind != "cpu" else "the CPU as on a GPU"
    detail = f"on {where} {found:.1f} dB to NumPy (at least {LEAST_PSNR:.0f}), {gain:+.1f} dB to a steady clip"
    return Verdict("ok" if ok else "wrong", f"{detail}; {'' if repeats else 'NOT '}repeatable", figures)


def _filtered(cls: Any, device: str, shown: np.ndarray) -> np.ndarray:  # noqa: ANN401  (a filter's class)
    """Return the flickering version of the clip ``shown`` after a filter, (N, H, W, 3) uint16."""
    known = {f.name for f in fields(cls.Settings)}
    method = cls(cls.Settings(**({"flow": FLOW} if "flow" in known else {})), device)
    return np.stack([picture for _, picture in filter_samples(flickering(shown)[1], method)])
