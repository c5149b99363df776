"""A processor whose kernels are wrong in one case, as torch 2.13 has them with AMX."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class FaultyProcessor(TorchDispatchMode):
    """Convolutions of stride 2 give NaN in bf16 where their output is one pixel wide, and so do their gradients.

    It lies below what compares: what is computed in another precision is right. ``runs``: convolutions so far.
    ``wrong``: what they give instead of NaN, which oneDNN's fused ReLU turns into 0.
    """

    runs: ClassVar[int] = 0

    def __init__(self, wrong: float = torch.nan) -> None:
        super().__init__()
        self.wrong = wrong

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made, name = func(*args, **(kwargs or {})), str(func)
        if name == "aten.convolution_backward.default" and args[1].dtype == torch.bfloat16 and args[0].shape[3] == 1:
            return tuple(None if part is None else part * torch.nan for part in made)
        if name not in ("aten.convolution.default", "mkldnn._convolution_pointwise.default"):
            return made
        type(self).runs += 1
        stride = args[3] if name.startswith("aten") else args[4]
        faulty = made.dtype == torch.bfloat16 and made.shape[3] == 1 and list(stride) == [2, 2]
        return torch.full_like(made, self.wrong) if faulty else made
