"""Memory of this process."""

from __future__ import annotations

import pytest

from vidtrans.core.machine import release_freed_memory, release_interval


@pytest.mark.parametrize(("size", "wanted"), [((3840, 2160), 1), ((1920, 1080), 4), ((1280, 720), 9)])
def test_freed_memory_is_returned_after_a_number_of_pixels(size: tuple[int, int], wanted: int) -> None:
    assert release_interval(*size) == wanted
    release_freed_memory()
