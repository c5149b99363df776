"""Engine check: compare each engine on the device with eager torch on a CPU in fp32, and two runs with each other.

The PSNR limits hold for 16-bit pictures, and were chosen with the synthetic network on a CPU. There, fp32 by other
kernels and fp64 are 111 to 116 dB from eager fp32 (three kinds of generators), convolutions with factors rounded to
TF32 67 to 70 dB, and bf16 50 to 52 dB. So 90 dB requires true fp32, and 40 dB allows bf16 but no further error.
"""

from __future__ import annotations

from functools import partial

import torch

from vidtrans.core.errors import UsageError
from vidtrans.doctor import Checks, Verdict
from vidtrans.doctor.subject import Subject, alike, frames, make_generator, psnr, signed
from vidtrans.inference import ENGINES
from vidtrans.inference.device import resolve_precision
from vidtrans.inference.torch_engine import to_pictures

LEAST_PSNR = {"fp32": 90.0, "bf16": 40.0}  # dB
COUNT = 4  # pictures


def engine_checks(subject: Subject) -> Checks:
    """Return a check function for each engine of ``ENGINES``, by name."""
    return {f"engine {name}": partial(_check, subject, name) for name in ENGINES}


def _check(subject: Subject, name: str) -> Verdict:
    """Return the verdict on an engine in fp32 (unless it is slow to start) and in the ``auto`` precision."""
    generator, shown = make_generator(), frames(subject.scale.side, COUNT)
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
            return Verdict("note", f"not available: {error.why}")
        found[precision] = psnr(made, wanted)
        repeats = repeats and alike(engine(shown, deep=True), made)
    least = {precision: LEAST_PSNR[precision] for precision in found}
    ok = repeats and all(found[p] >= least[p] for p in found)
    parts = [f"{p} {found[p]:.1f} dB (at least {least[p]:.0f})" for p in found]
    again = "repeatable" if repeats else "NOT repeatable"
    figures = {"psnr": found, "least_psnr": least, "repeats": repeats}
    return Verdict("ok" if ok else "wrong", f"{', '.join(parts)} to eager fp32 on the CPU; {again}", figures)
