"""Does each engine paint on the device what eager torch paints on a CPU in fp32, and the same every time?

The least PSNRs are of 16-bit pictures, chosen by the made-up network on a CPU. There fp32 by other kernels, and fp64,
are 111 to 116 dB from eager fp32 (three kinds of generators); with every factor of a convolution rounded to TF32 it is
67 to 70 dB, and bf16 is 50 to 52 dB. So 90 dB is fp32, and nothing less; 40 dB is bf16, with nothing else wrong.
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
    """Return a check for each engine of the table."""
    return {f"engine {name}": partial(_check, subject, name) for name in ENGINES}


def _check(subject: Subject, name: str) -> Verdict:
    """Compare in fp32 and in the precision that ``auto`` takes; an engine that starts slowly in the latter only."""
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
        except UsageError as error:  # how engines say that they cannot be had here
            if found:
                break  # in fp32 it can
            return Verdict("note", f"not here: {error.why}")
        found[precision] = psnr(made, wanted)
        repeats = repeats and alike(engine(shown, deep=True), made)
    least = {precision: LEAST_PSNR[precision] for precision in found}
    ok = repeats and all(found[p] >= least[p] for p in found)
    parts = [f"{p} {found[p]:.1f} dB (at least {least[p]:.0f})" for p in found]
    again = "the same again" if repeats else "NOT the same again"
    figures = {"psnr": found, "least_psnr": least, "repeats": repeats}
    return Verdict("ok" if ok else "wrong", f"{', '.join(parts)} to eager fp32 on the CPU; {again}", figures)
