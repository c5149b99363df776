"""Memory of this process."""

from __future__ import annotations

import sys

import pytest

from vidtrans.core import machine


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the heap is not set up")
@pytest.mark.parametrize(("size", "wanted"), [((3840, 2160), 8), ((1920, 1080), 2), ((640, 360), 0)])
def test_freed_memory_is_returned_once_in_a_number_of_pixels(
    size: tuple[int, int], wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trims: list[int] = []
    monkeypatch.setattr(machine, "_trim_heap", lambda: trims.append(1))
    memory = machine.FreedMemory()
    for _ in range(8):
        memory.release(size)
    assert len(trims) == wanted
