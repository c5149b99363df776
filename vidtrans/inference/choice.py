"""Which engine ``auto`` is."""

from __future__ import annotations

from importlib.util import find_spec

from vidtrans.inference.device import Device, Precision, resolve_precision
from vidtrans.inference.packed import can_pack

NEEDED = {"openvino": ("openvino",), "onnx": ("onnx", "onnxruntime")}  # modules; the quicker one first


def choose_engine(wanted: str, device: Device, precision: str) -> str:
    """Return the name of an engine: ``wanted``, or for ``auto`` the fastest one that was measured and is installed.

    On a CPU torch with packed convolutions is as fast as compiled, and starts at once; OpenVINO and ONNX Runtime took
    1.7 and 2.5 times as long. They are for where torch comes without oneDNN. On a GPU ``auto`` is torch: how much
    ``compile`` gains there, and from how many frames on, has not been measured.
    """
    if wanted != "auto":
        return wanted
    resolved: Precision = resolve_precision(precision, device)
    if device.kind != "cpu" or can_pack(device, resolved):
        return "torch"
    return next((name for name, modules in NEEDED.items() if all(map(find_spec, modules))), "torch")
