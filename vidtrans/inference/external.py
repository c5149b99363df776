"""What the engines of other libraries have in common: they run on a CPU, and are made for one size."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vidtrans.errors import UsageError
from vidtrans.inference.device import Precision
from vidtrans.inference.torch_engine import TorchEngine

Run = Callable[[Tensor], Tensor]


class ExternalEngine(TorchEngine):
    """``called``: what has to be installed, in words. ``modules``: its modules, the last of which runs the network.

    Raises UsageError where one is not installed, and on other devices.
    """

    called: ClassVar[str]
    modules: ClassVar[tuple[str, ...]]

    def _resolve(self, precision: str) -> Precision:
        if self.device.kind != "cpu":
            remedy = "use --device cpu, or --engine torch"
            raise UsageError(f"--engine {self.name}", "here it runs on a CPU only", remedy)
        return super()._resolve(precision)

    def _prepared(self, network: nn.Module) -> Run:
        try:
            library = [importlib.import_module(name) for name in self.modules][-1]
        except ImportError:
            remedy = f"pip install 'vidtrans[{self.name}]', or use --engine torch"
            raise UsageError(f"--engine {self.name}", f"{self.called} is not installed", remedy) from None
        self.identity[self.modules[-1]] = library.__version__
        # They take weights in fp32, and run them in what they are told to.
        network.to(dtype=torch.float32, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        held: dict[torch.Size, Run] = {}  # what was made for the last size

        def run(x: Tensor) -> Tensor:
            x = x.to(torch.float32).contiguous()
            if x.shape not in held:
                held.clear()
                held[x.shape] = self._made_for(x, network, library)
            return held[x.shape](x)

        return run

    def _made_for(self, x: Tensor, network: nn.Module, library: Any) -> Run:
        """What runs the network on inputs of the shape of ``x``, (N, C, H, W) float32."""
        raise NotImplementedError
