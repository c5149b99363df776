"""What PyTorch's launcher says of this process, read without torch."""

from __future__ import annotations

import os


def is_distributed() -> bool:
    """Whether it was started as one of several that do one job."""
    return os.environ.get("WORLD_SIZE", "1") != "1"


def is_secondary_rank() -> bool:
    """Whether it is one of several, and not the first: that one speaks for all."""
    return is_distributed() and os.environ.get("RANK", "0") != "0"
