"""Run the outermost layers of the small U-Net in strips of rows, in sequence: with less memory, and the same numbers.

These layers work at half and full size, and between them stand the network's largest tensors: of a 4K picture 0.7 GB in
bf16, of which strips leave a tenth. Memory of that size also comes new from the system at every picture, which takes
longer than the rows that neighbouring strips both compute.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from vidtrans.networks.unet_small import SmallResidual, UNetSmall

WHOLE_BYTES = 32 << 20  # of the doubled tensor of a picture that is run whole; see ``machine.set_up_heap``
STRIP_BYTES = 24 << 20  # of a strip's, at most
MARGIN = 4  # rows at half size beside a strip that its outputs depend on: two 3×3 convolutions, and a resizing head


def use_little_memory(network: nn.Module) -> None:
    """Make every ``UNetSmall`` in a network use less memory for large pictures, in place; its outputs are the same."""
    for module in network.modules():
        if isinstance(module, UNetSmall):
            vars(module)["outermost"] = partial(in_strips, module.outermost)
        elif isinstance(module, SmallResidual):
            vars(module)["forward"] = partial(_residual_in_place, module)


def _residual_in_place(block: SmallResidual, x: Tensor) -> Tensor:
    """Return ``block(x)``, in the memory of its last convolution's output."""
    y: Tensor = block.second(block.first(x))
    return y.add_(x).relu_()


def in_strips(run: Callable[[Tensor, Tensor], Tensor], x: Tensor, skip: Tensor) -> Tensor:
    """Return ``run(x, skip)``, ``UNetSmall.outermost``, computed in strips if the picture is large.

    Args:
        run: the layers.
        x: (N, 2C, H/4, W/4).
        skip: (N, C, H/2, W/2), channels last.

    Returns:
        (N, out, H, W), channels last.
    """
    height, rows = skip.shape[2], strip_rows(x, skip)
    if rows >= height:
        return run(x, skip)
    whole: Tensor | None = None
    reach = rows + 2 * MARGIN  # also of the first and last strip: weights are packed anew for every other shape
    for top in range(0, height, rows):
        end, first = min(height, top + rows), max(0, min(top - MARGIN, height - reach))
        made = run(x[:, :, first // 2 : (first + reach) // 2], skip[:, :, first : first + reach])
        if whole is None:
            size = (*made.shape[:2], 2 * height, made.shape[3])
            whole = torch.empty(size, dtype=made.dtype, memory_format=torch.channels_last)
        whole[:, :, 2 * top : 2 * end] = made[:, :, 2 * (top - first) : 2 * (end - first)]
    assert whole is not None
    return whole


def strip_rows(x: Tensor, skip: Tensor) -> int:
    """Return the number of rows of ``skip`` in a strip: all, or an even number that makes strips about equal."""
    height = skip.shape[2]
    row_bytes = x.shape[0] * x.shape[1] * skip.shape[3] * x.element_size()
    if height * row_bytes <= WHOLE_BYTES:
        return height
    count = -(-height // max(4 * MARGIN, STRIP_BYTES // row_bytes))
    rows = -(-height // count)
    rows += rows % 2
    return rows if rows + 2 * MARGIN <= height else height
