"""OpenVINO, for Intel processors: compiled in seconds, for each size, and kept for the next time."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from platformdirs import user_cache_path
from torch import Tensor, nn

from vidtrans.errors import UsageError
from vidtrans.inference.device import Precision, resolve_precision
from vidtrans.inference.torch_engine import TorchEngine

TYPES = {"fp32": "f32", "bf16": "bf16"}


class OpenVINOEngine(TorchEngine):
    """Raises UsageError where OpenVINO is not installed, and on other devices."""

    name: ClassVar[str] = "openvino"

    def _resolve(self, precision: str) -> Precision:
        if self.device.kind != "cpu":
            raise UsageError("--engine openvino", "here it runs on a CPU only", "use --device cpu, or --engine torch")
        return resolve_precision(precision, self.device)

    def _prepared(self, network: nn.Module) -> Callable[[Tensor], Tensor]:
        try:
            import openvino
        except ImportError:
            remedy = "pip install 'vidtrans[openvino]', or use --engine torch"
            raise UsageError("--engine openvino", "OpenVINO is not installed", remedy) from None
        self.identity["openvino"] = openvino.__version__
        # It takes weights in fp32, and runs them in what it is told to.
        network.to(dtype=torch.float32, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        held: dict[torch.Size, Any] = {}  # what was compiled for the last size
        options = {
            "INFERENCE_PRECISION_HINT": TYPES[self.precision],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "CACHE_DIR": str(user_cache_path("vidtrans") / "openvino"),
        }

        def compiled(x: Tensor) -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of branches that depend on a size, which is given
                model = openvino.convert_model(network, example_input=x)
            model.reshape(list(x.shape))
            return openvino.Core().compile_model(model, "CPU", options)

        def run(x: Tensor) -> Tensor:
            x = x.to(torch.float32).contiguous()
            if x.shape not in held:
                held.clear()
                held[x.shape] = compiled(x)
            return torch.from_numpy(held[x.shape]([x.numpy()])[0].copy())

        return run
