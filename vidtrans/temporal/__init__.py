"""Temporal consistency: filters over a model's per-frame outputs, guided by the optical flow of the input video.

A filter is a class with a frozen settings dataclass ``Settings``, a ``version`` and an attribute ``radius``. It is
constructed with its settings (``flow`` names the flow method, if it has one) and the name of the device that computes
the flow (default ``"cpu"``). Called with the ``Window`` around one frame, it returns that frame's picture. Either it
has no state between frames, so that a chunk needs only ``radius`` frames on either side; or it is a
``RecursiveFilter``, whose state can be saved at the end of a chunk and restored.

A filter may have a second class for GPUs, ``on_gpu``: a ``BatchFilter`` with the same settings, whose arithmetic is the
same within rounding. It is constructed with the device's name and computes many frames at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vidtrans.core.registry import Entry, Registry


@dataclass(frozen=True)
class FilterEntry(Entry):
    """The registry entry of a temporal filter: its classes for the CPU and for GPUs, and its settings.

    ``on_gpu``: "module:Class" of a ``BatchFilter`` with the same arithmetic, for devices of the kinds ``gpus``; '' for
    none. ``gpu_version``: the version of the ``on_gpu`` class, for cache keys, because these must not import its module
    and torch. ``settings``: "module:Class" of the filter's settings; '' for the attribute ``Settings`` of the filter,
    whose import is slower.
    """

    on_gpu: str = ""
    gpu_version: int = 0
    gpus: tuple[str, ...] = ("cuda", "mps")
    settings: str = ""

    def load_for(self, device_kind: str) -> Any:  # noqa: ANN401  (whatever the path names)
        """Load the filter class for renders on a device of a kind ("cuda", "mps" or "cpu")."""
        return Entry(self.on_gpu, self.summary).load() if self.is_batched(device_kind) else self.load()

    def load_settings(self) -> Any:  # noqa: ANN401  (a frozen dataclass)
        """Load the class of the filter's settings."""
        return Entry(self.settings, self.summary).load() if self.settings else self.load().Settings

    def is_batched(self, device_kind: str) -> bool:
        """Return whether frames are filtered in batches on a device of a kind ("cuda", "mps" or "cpu")."""
        return bool(self.on_gpu) and device_kind in self.gpus


# Temporal filters by the name that ``--temporal`` accepts, each with its classes and a summary
FILTERS = Registry(
    "temporal filter",
    {
        "window": FilterEntry(
            "vidtrans.temporal.window:WindowFilter",
            "averages along the motion, with frames on both sides",
            on_gpu="vidtrans.temporal.batch_window:BatchWindowFilter",
            gpu_version=3,
            settings="vidtrans.temporal.settings:WindowSettings",
        ),
        "causal": FilterEntry(
            "vidtrans.temporal.causal:CausalFilter",
            "averages along the motion, with earlier frames only, for live use",
            on_gpu="vidtrans.temporal.batch_causal:BatchCausalFilter",
            gpu_version=3,
            settings="vidtrans.temporal.settings:CausalSettings",
            gpus=("cuda",),  # Bicubic sampling on Apple's GPUs is untested
        ),
        "vote": FilterEntry(
            "vidtrans.temporal.label_vote:VoteFilter",
            "takes the most frequent class along the motion, for label maps",
            settings="vidtrans.temporal.settings:VoteSettings",
        ),
        "off": FilterEntry(
            "vidtrans.temporal.stream:NoFilter",
            "no filter: each frame as the model made it",
            settings="vidtrans.temporal.settings:OffSettings",
        ),
    },
    group="filters",
)
