"""The rank that PyTorch's launcher gave this process, read without torch."""

from __future__ import annotations

import os


def is_distributed() -> bool:
    """Return whether this process is one of several that do one job."""
    return os.environ.get("WORLD_SIZE", "1") != "1"


def is_secondary_rank() -> bool:
    """Return whether it is one of several, and not the first, which reports for all."""
    return is_distributed() and os.environ.get("RANK", "0") != "0"
