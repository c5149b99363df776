"""Engines, which run a generator on batches of pictures, and the registry of engines.

An engine is constructed from a generator, a device, a precision and a batch size; its interface is that of its base
class ``torch_engine.TorchEngine``. ``compiled.choose_engine`` resolves ``auto``.
"""

from __future__ import annotations

from vidtrans.core.registry import Entry, Registry

# Engines by their names in the setting ``rendering.engine``
ENGINES = Registry(
    "engine",
    {
        "torch": Entry("vidtrans.inference.torch_engine:TorchEngine", "PyTorch: starts at once, on any device"),
        "compile": Entry(
            "vidtrans.inference.compiled:CompiledEngine", "torch.compile: for long clips on a GPU; needs a C++ compiler"
        ),
        "onnx": Entry("vidtrans.inference.compiled:OnnxEngine", "ONNX Runtime, on a CPU, in fp32; needs an extra"),
        "openvino": Entry("vidtrans.inference.compiled:OpenVINOEngine", "OpenVINO, on an Intel CPU; needs an extra"),
    },
    group="engines",
)
