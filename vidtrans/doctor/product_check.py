"""Convolution check: compare convolutions with a reference, also in shapes for which libraries have special kernels.

Renders and trainings make the same comparison (``inference.operator_checks``), and replace a wrong kernel by one in a
higher precision. So a wrong kernel is only a note here: the machine is slower than it could be.
"""

from __future__ import annotations

import itertools
from functools import partial

import torch
from torch import nn

from vidtrans.doctor import Checks, Verdict
from vidtrans.doctor.subject import Subject
from vidtrans.inference.device import Precision, resolve_precision, torch_dtype
from vidtrans.inference.operator_checks import find_wrong

KERNELS, STRIDES, WIDTHS, HEIGHTS, CHANNELS = (2, 3, 4, 5), (1, 2), (1, 2, 8), (1, 8, 32), (3, 32)


def product_checks(subject: Subject) -> Checks:
    """Return a check function for each precision that renders and trainings use, by name."""
    auto = resolve_precision("auto", subject.device)
    return {f"convolutions {name}": partial(_check, subject, name) for name in dict.fromkeys(("fp32", auto))}


def _check(subject: Subject, precision: Precision) -> Verdict:
    """Compare plain and transposed convolutions and their gradients with fp32, small outputs, both memory layouts."""
    cases = list(itertools.product(KERNELS, STRIDES, WIDTHS, HEIGHTS, CHANNELS, (False, True), (False, True)))

    def run() -> None:
        for case in cases:
            _step(subject, precision, *case)

    wrong = find_wrong(run, subject.device)
    figures = {"compared": len(cases), "wrong": wrong}
    if not wrong:
        return Verdict("ok", f"{len(cases)} shapes and their gradients agree with the reference", figures)
    first, more = wrong[0], f" and {len(wrong) - 1} more" * (len(wrong) > 1)
    instead = "fp64" if precision == "fp32" else "fp32"
    detail = f"wrong results: {first}{more}; renders and trainings use {instead} for these instead"
    return Verdict("note", detail, figures, "update torch, or report this to its makers with the output of --json")


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
    # The output has ``height`` and ``width``; for transposed convolutions the input has.
    scale, more = (1, 0) if transposed else (stride, int(stride == 1 and kernel % 2 == 0))
    x = torch.rand((2, channels, height * scale + more, width * scale + more)).to(place, dtype)
    if channels_last:
        conv = conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = x.to(memory_format=torch.channels_last)
    conv(x.requires_grad_()).sum().backward()
