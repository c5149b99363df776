"""Temporal consistency: filters over a model's per-frame outputs, guided by flow on the input video.

A filter is a class with a frozen settings dataclass ``Settings`` and an attribute ``radius``; called with the
``Window`` around one frame, it returns that frame's picture. It keeps no state from frame to frame, so a
chunk needs ``radius`` frames on either side and nothing else.
"""

from __future__ import annotations

from vidtrans.registry import Entry, Registry

FILTERS = Registry(
    "temporal filter",
    {
        "window": Entry(
            "vidtrans.temporal.window:WindowFilter", "averages along the motion over a few frames each way"
        ),
        "off": Entry("vidtrans.temporal.off:NoFilter", "each frame as the model made it"),
    },
)
