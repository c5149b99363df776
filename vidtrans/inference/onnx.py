"""ONNX Runtime, for processors on which torch comes without oneDNN: in fp32, a session for each size."""

from __future__ import annotations

import io
import warnings
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vidtrans.errors import UsageError
from vidtrans.inference.choice import NEEDED
from vidtrans.inference.device import Precision
from vidtrans.inference.external import ExternalEngine, Run

OPSET = 17  # the first with all that the networks are made of


class OnnxEngine(ExternalEngine):
    """Raises UsageError where a precision is asked for that it has not."""

    name: ClassVar[str] = "onnx"
    called: ClassVar[str] = "ONNX Runtime, or onnx,"  # torch's exporter asks for that
    modules: ClassVar[tuple[str, ...]] = NEEDED["onnx"]

    def _resolve(self, precision: str) -> Precision:
        super()._resolve(precision)
        if precision == "bf16":
            raise UsageError("--engine onnx", "it has no bf16", "leave precision at auto, or use --engine torch")
        return "fp32"

    def _made_for(self, x: Tensor, network: nn.Module, library: Any) -> Run:
        options = library.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = library.InferenceSession(export_onnx(network, x), options, providers=["CPUExecutionProvider"])
        return lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


def export_onnx(network: nn.Module, x: Tensor) -> bytes:
    """The network as an ONNX file, for inputs of the shape of ``x``."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that needs no package but onnx is said to be the old one
        torch.onnx.export(
            network,
            (x,),
            file,  # type: ignore[arg-type]
            input_names=["x"],
            output_names=["y"],
            opset_version=OPSET,
            dynamo=False,
        )
    return file.getvalue()
