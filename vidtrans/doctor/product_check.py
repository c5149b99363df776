"""Does this machine compute convolutions as fp32 has them, also of shapes for which libraries have special kernels?

Renders and trainings compare what they compute by themselves (``inference.product_checks``), and compute what is wrong
in fp32: so a wrong kernel is a note here, which says where the machine is slower than it could be.
"""

from __future__ import annotations

import itertools
from functools import partial

import torch
from torch import nn

from vidtrans.doctor import Checks, Verdict
from vidtrans.doctor.subject import Subject
from vidtrans.inference.device import Precision, resolve_precision, torch_dtype
from vidtrans.inference.product_checks import find_wrong

KERNELS, STRIDES, WIDTHS, HEIGHTS, CHANNELS = (2, 3, 4, 5), (1, 2), (1, 2, 8), (1, 8, 32), (3, 32)


def product_checks(subject: Subject) -> Checks:
    """Return a check for each precision that renders and trainings take."""
    auto = resolve_precision("auto", subject.device)
    return {f"convolutions {name}": partial(_check, subject, name) for name in dict.fromkeys(("fp32", auto))}


def _check(subject: Subject, precision: Precision) -> Verdict:
    """Compare convolutions, transposed ones and their gradients, of narrow and low outputs in both layouts."""
    cases = list(itertools.product(KERNELS, STRIDES, WIDTHS, HEIGHTS, CHANNELS, (False, True), (False, True)))

    def run() -> None:
        for case in cases:
            _step(subject, precision, *case)

    wrong = find_wrong(run, subject.device)
    figures = {"compared": len(cases), "wrong": wrong}
    if not wrong:
        return Verdict("ok", f"{len(cases)} shapes with their gradients are as in fp32", figures)
    first, more = wrong[0], f" and {len(wrong) - 1} more" * (len(wrong) > 1)
    instead = "fp64" if precision == "fp32" else "fp32"
    detail = f"wrong here: {first}{more}; renders and trainings compute them in {instead} instead"
    return Verdict("note", detail, figures, "update torch; send the output with --json with a report to its makers")


def _step(
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
    # So that outputs are as high and wide as is asked for, of transposed ones the inputs.
    scale, more = (1, 0) if transposed else (stride, int(stride == 1 and kernel % 2 == 0))
    x = torch.rand((2, channels, height * scale + more, width * scale + more)).to(place, dtype)
    if channels_last:
        conv = conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = x.to(memory_format=torch.channels_last)
    conv(x.requires_grad_()).sum().backward()
