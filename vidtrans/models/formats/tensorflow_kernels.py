"""What formats with TensorFlow's variables share: shapes that are checked, and kernels with their axes in our order."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from vidtrans.core.errors import ModelError
from vidtrans.models.families.base import Candidate, Layout, Shape, Shapes, compare

AXES = (3, 2, 0, 1)  # of a kernel (height, width, a, b): torch has (b, a, height, width), for transposed ones as well
MAX_AXES = 8
MAX_NUMBERS = 1 << 31  # of a variable


def checked_shape(value: object) -> Shape | None:
    """Return a shape that JSON holds; None for anything else, and for one of more numbers than a variable can have."""
    if (
        not isinstance(value, list)
        or len(value) > MAX_AXES
        or not all(type(n) is int and 0 < n < 1 << 24 for n in value)
    ):
        return None
    return tuple(value) if math.prod(value) <= MAX_NUMBERS else None


def check_layout(path: Path, layout: Layout, shapes: Shapes, what: str) -> None:
    """Raise ModelError where variables are not those of a layout, with the first that is not."""
    first = compare(Candidate({}, (3, 3), layout), shapes).first
    if first:
        raise ModelError(str(path), f"its variables are not those of {what}: {first}", "give a file of this network")


def to_torch(tensor: Any) -> Any:  # noqa: ANN401  (no torch here)
    """Return a variable, a kernel with its axes in torch's order, contiguous."""
    return tensor.permute(AXES).contiguous() if tensor.ndim == 4 else tensor
