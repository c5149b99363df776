"""ONNX Runtime, for processors on which torch comes without oneDNN: in fp32, a session for each size."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vidtrans.errors import UsageError
from vidtrans.inference.device import Precision
from vidtrans.inference.torch_engine import TorchEngine

OPSET = 17  # the first with all that the networks are made of


class OnnxEngine(TorchEngine):
    """Raises UsageError where ONNX Runtime is not installed, and on other devices and precisions than it has here."""

    name: ClassVar[str] = "onnx"

    def _resolve(self, precision: str) -> Precision:
        if self.device.kind != "cpu":
            raise UsageError("--engine onnx", "here it runs on a CPU only", "use --device cpu, or --engine torch")
        if precision == "bf16":
            raise UsageError("--engine onnx", "it has no bf16", "leave precision at auto, or use --engine torch")
        return "fp32"

    def _prepared(self, network: nn.Module) -> Callable[[Tensor], Tensor]:
        try:
            import onnx  # noqa: F401  (torch's exporter asks for it)
            import onnxruntime
        except ImportError:
            remedy = "pip install 'vidtrans[onnx]', or use --engine torch"
            raise UsageError("--engine onnx", "ONNX Runtime, or onnx, is not installed", remedy) from None
        self.identity["onnxruntime"] = onnxruntime.__version__
        network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        held: dict[torch.Size, Any] = {}  # the session for the last size

        def session(x: Tensor) -> Any:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            return onnxruntime.InferenceSession(exported(network, x), options, providers=["CPUExecutionProvider"])

        def run(x: Tensor) -> Tensor:
            if x.shape not in held:
                held.clear()
                held[x.shape] = session(x)
            [made] = held[x.shape].run(None, {"x": x.contiguous().numpy()})
            return torch.from_numpy(made)

        return run


def exported(network: nn.Module, x: Tensor) -> bytes:
    """The network as an ONNX file, for inputs of the shape of ``x``."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that needs no package but onnx is said to be the old one
        torch.onnx.export(
            network,
            (x.contiguous(),),
            file,  # type: ignore[arg-type]
            input_names=["x"],
            output_names=["y"],
            opset_version=OPSET,
            dynamo=False,
        )
    return file.getvalue()
