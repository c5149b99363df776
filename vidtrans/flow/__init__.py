"""Optical flow on the input video: flow methods, warping, reliability of the flow, and cut detection.

A flow method is a class that is constructed with the name of a device (default ``"cpu"``; OpenCV's methods run only
there). An instance is called with two pictures of one size, ``(first, second)``, uint8 and contiguous, (H, W) or, if
its entry takes "rgb", (H, W, 3). It returns (H, W, 2) float32: for each pixel of ``first`` the displacement (x, y) in
pixels to its position in ``second``. The flow does not depend on earlier calls. Instances are not thread-safe.
``estimator.FlowEstimator`` prepares the pictures.

OpenCV's methods depend only on OpenCV's version. The entry of a method in torch also names a function of the device:
``identity(device)`` is a text with everything else that affects its flow, for cache keys. ``raft`` needs torchvision
and its weights, which users install themselves: see ``raft.Raft``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vidtrans.core.registry import Entry, Registry


@dataclass(frozen=True)
class FlowEntry(Entry):
    """A flow method in the registry.

    ``takes``: the kind of input pictures; methods that take "grey" can score renders. ``on_gpu``: the method that
    replaces it on a GPU in filters and in the history of recurrent models; '' for none. ``identity``: "module:function"
    of a method in torch; '' for OpenCV's.
    """

    takes: Literal["grey", "rgb"] = "grey"
    on_gpu: str = ""
    identity: str = ""

    @property
    def runs_on_device(self) -> bool:
        """Return whether the method runs in torch on any device; OpenCV's methods run only on a CPU."""
        return self.identity != ""

    def identity_on(self, device: str) -> str:
        """Return the properties, besides pictures and OpenCV's version, that affect the flow, for cache keys.

        The result is '' for OpenCV's methods. Raises UsageError for a method that is not installed.
        """
        return str(Entry(self.identity, self.summary).load()(device)) if self.identity else ""


# All flow methods by name
FLOWS = Registry(
    "flow method",
    {
        "dis": FlowEntry(
            "vidtrans.flow.estimator:DISMedium",
            "dense inverse search: the default; renders on a GPU use dis-torch instead",
            on_gpu="dis-torch",
        ),
        "dis-fast": FlowEntry(
            "vidtrans.flow.estimator:DISFast", "fast dense inverse search: a fifth of the time, less exact"
        ),
        "dis-fine": FlowEntry(
            "vidtrans.flow.estimator:DISFine", "dense inverse search at full size: three times the time, finer"
        ),
        "dis-torch": FlowEntry(
            "vidtrans.flow.inverse_search:TorchDIS",
            "dense inverse search in torch, for GPUs: processes pairs in batches",
            identity="vidtrans.flow.identity:torch_identity",
        ),
        "farneback": FlowEntry("vidtrans.flow.estimator:Farneback", "polynomial expansion: smooth, for small motion"),
        "brox": FlowEntry(
            "vidtrans.flow.estimator:Brox",
            "variational method without patches: slow; to score results of another method",
        ),
        "raft": FlowEntry(
            "vidtrans.flow.raft:Raft",
            "RAFT, a network made for GPUs; needs torchvision and its weights",
            takes="rgb",
            identity="vidtrans.flow.raft:raft_identity",
        ),
        "raft-small": FlowEntry(
            "vidtrans.flow.raft:RaftSmall",
            "the small RAFT; needs torchvision and its weights",
            takes="rgb",
            identity="vidtrans.flow.raft:raft_small_identity",
        ),
    },
    group="flow_methods",
)
# Flow methods that can score renders, without plug-ins: so scores are comparable between machines
GREY_FLOWS = Registry("flow method", {name: entry for name, entry in FLOWS.builtin.items() if entry.takes == "grey"})
