"""Optical flow on the input video: methods, warping, reliability, cuts.

A flow method is a class whose instances are called with two pictures, ``(first, second)``, each (H, W)
uint8 grey and contiguous, and return (H, W, 2) float32: for each pixel of ``first`` the displacement
(x, y) in pixels to its place in ``second``.
"""

from __future__ import annotations

from vidtrans.registry import Entry, Registry

FLOWS = Registry(
    "flow method",
    {
        "dis": Entry("vidtrans.flow.dis:DISMedium", "dense inverse search, medium: the default"),
        "dis-fast": Entry("vidtrans.flow.dis:DISFast", "dense inverse search, fast: a third of the time, less exact"),
    },
)
