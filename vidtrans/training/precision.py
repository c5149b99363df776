"""In which precision a step is worked out."""

from __future__ import annotations

from typing import Literal

from vidtrans.errors import UsageError
from vidtrans.inference.device import Device, Precision, resolve_precision

TrainingPrecision = Literal["fp32", "bf16", "fp16"]


def resolve_precisions(wanted: str, device: Device) -> tuple[TrainingPrecision, Precision]:
    """Return the precision of training steps and that of previews and scores.

    Raises UsageError where fp16 is asked for and the device is none that it was made for.
    """
    if wanted != "fp16":
        precision = resolve_precision(wanted, device)
        return precision, precision
    if device.kind != "cuda":
        raise UsageError("training.precision = 'fp16'", f"it is for CUDA, this is {device.kind}", "choose auto or bf16")
    return "fp16", resolve_precision("auto", device)
