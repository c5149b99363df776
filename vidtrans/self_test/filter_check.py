"""Does each temporal filter make on the device what it makes in NumPy, the same every time, and a steadier clip?

What is compared is the class that renders take on the device; on a CPU it is the one for GPUs, run there. Both get
their flow from OpenCV, so that only the filter is compared; ``flow_check`` compares flow. 70 dB is what the project's
tests hold both to; a rounding of coordinates to half precision comes out at 7 dB.
"""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np

from vidtrans.self_test.findings import Checks, Verdict
from vidtrans.self_test.made_up import flickering, frames
from vidtrans.self_test.subject import Subject, alike, psnr
from vidtrans.temporal import FILTERS
from vidtrans.temporal.stream import filter_samples

LEAST_PSNR = 70.0  # dB
FLOW = "dis-fast"  # one of OpenCV's, the quickest


def filter_checks(subject: Subject) -> Checks:
    """Return a check for each filter of the table."""
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
    told = f"on {where} {found:.1f} dB to NumPy (at least {LEAST_PSNR:.0f}), {gain:+.1f} dB to a steady clip"
    return Verdict("ok" if ok else "wrong", f"{told}; {'' if repeats else 'NOT '}the same again", figures)


def _filtered(cls: Any, device: str, shown: np.ndarray) -> np.ndarray:  # noqa: ANN401  (a filter's class)
    """Return the pictures that a filter makes of the flickering clip, (N, H, W, 3) uint16."""
    known = {f.name for f in fields(cls.Settings)}
    method = cls(cls.Settings(**({"flow": FLOW} if "flow" in known else {})), device)
    return np.stack([picture for _, picture in filter_samples(flickering(shown)[1], method)])
