"""Optical flow on the input video: methods, warping, reliability, cuts.

A flow method is a class that is made with the name of a device (``"cpu"`` unless said; those of OpenCV know no other)
and whose attribute ``takes`` says which picture it wants: "grey", (H, W), or "rgb", (H, W, 3), both uint8 and
contiguous. An instance is called with two pictures of one size, ``(first, second)``, and returns (H, W, 2) float32: for
each pixel of ``first`` the displacement (x, y) in pixels to its place in ``second``. It answers the same whatever it
was asked before; it is not for two threads at once. ``estimate.FlowEstimator`` prepares the pictures.

Those of OpenCV need no more than it does, and its version is all that decides their flow. A method that is a network
has a class method ``identity(device)`` as well: in words, what else decides its flow, for the keys of what is made with
it. ``raft`` needs torchvision and its weights, which are the user's to get: ``raft.Raft`` says how.
"""

from __future__ import annotations

from vidtrans.registry import Entry, Registry

# Those that take grey pictures, and those that take colours.
_GREY = {
    "dis": Entry("vidtrans.flow.dis:DISMedium", "dense inverse search, refined at full size: the default"),
    "dis-fast": Entry("vidtrans.flow.dis:DISFast", "dense inverse search, fast: a fifth of the time, less exact"),
    "dis-fine": Entry("vidtrans.flow.dis:DISFine", "dense inverse search at full size: three times the time, finer"),
    "farneback": Entry("vidtrans.flow.farneback:Farneback", "polynomial expansion: smooth, for small motion"),
    "brox": Entry("vidtrans.flow.brox:Brox", "variational, no patches: slow; to score what used another"),
}
_COLOUR = {
    "raft": Entry("vidtrans.flow.raft:Raft", "RAFT, a network made for GPUs; needs torchvision and its weights"),
    "raft-small": Entry("vidtrans.flow.raft:RaftSmall", "the small RAFT; needs torchvision and its weights"),
}
FLOWS = Registry("flow method", _GREY | _COLOUR)
GREY_FLOWS = Registry("flow method", _GREY)
