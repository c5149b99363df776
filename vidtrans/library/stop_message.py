"""The message of a stop where pictures are made for a program, which has no command to run again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vidtrans.core.errors import Interrupted


@contextmanager
def stopped_as(why: str, remedy: str) -> Iterator[None]:
    """Raise an ``Interrupted`` of this block with another reason and remedy."""
    try:
        yield
    except Interrupted as error:
        error.why, error.remedy = why, remedy
        raise
