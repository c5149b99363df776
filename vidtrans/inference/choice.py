"""Which engine ``auto`` is."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec

from vidtrans.inference.device import Device, Precision, resolve_precision
from vidtrans.inference.packed import can_pack

# Frames from which compiling, most of a minute on a GPU, is paid back there. Reckoned, not measured.
WORTH_COMPILING = 10_000
NEEDED = {"openvino": ("openvino",), "onnx": ("onnx", "onnxruntime")}  # modules; the quicker one first
COMPILERS = ("cc", "gcc", "clang")


def choose(wanted: str, device: Device, precision: str, frames: int) -> str:
    """The name of an engine: ``wanted``, or for ``auto`` the quickest way to so many frames that is installed.

    On a CPU torch with packed convolutions is as fast as compiled, and starts at once; OpenVINO and ONNX Runtime took
    1.7 and 2.5 times as long. They are for where torch comes without oneDNN.
    """
    if wanted != "auto":
        return wanted
    if device.kind == "cuda":
        can = find_spec("triton") and (os.environ.get("CC") or any(map(shutil.which, COMPILERS)))
        return "compile" if frames >= WORTH_COMPILING and can else "torch"
    resolved: Precision = resolve_precision(precision, device)
    if device.kind != "cpu" or can_pack(device, resolved):
        return "torch"
    return next((name for name, modules in NEEDED.items() if all(map(find_spec, modules))), "torch")
