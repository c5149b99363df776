"""OpenVINO, for Intel processors: compiled in seconds, for each size, and kept for the next time."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import torch
from platformdirs import user_cache_path
from torch import Tensor, nn

from vidtrans.inference.choice import NEEDED
from vidtrans.inference.external import ExternalEngine, Run

TYPES = {"fp32": "f32", "bf16": "bf16"}


class OpenVINOEngine(ExternalEngine):
    """In the precision that torch would have."""

    name: ClassVar[str] = "openvino"
    called: ClassVar[str] = "OpenVINO"
    modules: ClassVar[tuple[str, ...]] = NEEDED["openvino"]

    def _made_for(self, x: Tensor, network: nn.Module, library: Any) -> Run:
        options = {
            "INFERENCE_PRECISION_HINT": TYPES[self.precision],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "CACHE_DIR": str(user_cache_path("vidtrans") / "openvino"),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of branches that depend on a size, which is given
            model = library.convert_model(network, example_input=x)
        model.reshape(list(x.shape))
        compiled = library.Core().compile_model(model, "CPU", options)
        return lambda x: torch.from_numpy(compiled([x.numpy()])[0].copy())
