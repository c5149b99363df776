"""What a decoded frame carries beside its pixels: a display matrix, an ICC profile."""

from __future__ import annotations

from typing import Any

import av
from av.sidedata.sidedata import SideDataContainer, Type


def side_data(frame: av.VideoFrame, kind: Type) -> bytes:
    """Return a frame's side data of a kind, b'' without any.

    Raises ValueError if the frame has a kind that PyAV has no name for, which hides all the others.

    ``frame.side_data`` would do the same, but PyAV keeps it in the frame, and it refers to the frame: only the garbage
    collector frees such a circle, and until it runs, dozens to hundreds of decoded pictures stay in memory.
    """
    make: Any = SideDataContainer  # whose stubs have no arguments
    container = make(frame)
    found = container.get(kind.name) if len(container) else None
    return b"" if found is None else bytes(found)
