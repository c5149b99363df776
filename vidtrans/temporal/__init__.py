"""Temporal consistency: filters over a model's per-frame outputs, guided by flow on the input video.

A filter is a class with a frozen settings dataclass ``Settings``, a ``version`` and an attribute ``radius``. It is made
with its settings (``flow`` among them names the flow method, where it has one) and the name of the device that this
method runs on (``"cpu"`` unless said). Called with the ``Window`` around one frame, it returns that frame's picture. It
keeps no state from frame to frame, so that a chunk needs ``radius`` frames on either side and nothing else; or it is
``RecursiveFilter``, and its state can be taken from it at the end of a chunk and given back.
"""

from __future__ import annotations

from vidtrans.registry import Entry, Registry

FILTERS = Registry(
    "temporal filter",
    {
        "window": Entry(
            "vidtrans.temporal.window:WindowFilter", "averages along the motion, over frames on both sides"
        ),
        "causal": Entry("vidtrans.temporal.causal:CausalFilter", "over the frames before only, for live use"),
        "off": Entry("vidtrans.temporal.stream:NoFilter", "each frame as the model made it"),
    },
)
