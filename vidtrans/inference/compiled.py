"""torch.compile: its kernels are made for one size, and kept for the next time."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import ClassVar

import torch
from platformdirs import user_cache_path
from torch import Tensor, nn

from vidtrans.errors import UsageError
from vidtrans.inference.torch_engine import TorchEngine


class CompiledEngine(TorchEngine):
    """Weights frozen into what is compiled. No CUDA graphs: they belong to one thread, and a render has several."""

    name: ClassVar[str] = "compile"
    slow_to_start: ClassVar[bool] = True

    def _prepared(self, network: nn.Module) -> Callable[[Tensor], Tensor]:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(user_cache_path("vidtrans") / "inductor"))
        compiled: Callable[[Tensor], Tensor] = torch.compile(network, dynamic=False, options={"freezing": True})

        def run(x: Tensor) -> Tensor:
            try:
                return compiled(x)
            except torch._dynamo.exc.BackendCompilerFailed as error:
                why = str(error).strip().splitlines()[0]
            raise UsageError("--engine compile", f"it cannot compile here ({why})", "use --engine torch")

        return run
