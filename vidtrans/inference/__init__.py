"""Engines: they run a generator on frames, in batches, on some device.

An engine is a class that is made of a generator, a device, a precision and a batch size and does what
``torch_engine.TorchEngine`` does; the others here are subclasses of that, and ``compiled.choose_engine`` says which one
``auto`` is.
"""

from __future__ import annotations

from vidtrans.core.registry import Entry, Registry

ENGINES = Registry(
    "engine",
    {
        "torch": Entry("vidtrans.inference.torch_engine:TorchEngine", "runs at once, on any device"),
        "compile": Entry(
            "vidtrans.inference.compiled:CompiledEngine", "torch.compile: for long clips on a GPU; needs a C++ compiler"
        ),
        "onnx": Entry("vidtrans.inference.compiled:OnnxEngine", "ONNX Runtime, on a CPU, in fp32; an extra"),
        "openvino": Entry("vidtrans.inference.compiled:OpenVINOEngine", "OpenVINO, on an Intel CPU; an extra"),
    },
)
