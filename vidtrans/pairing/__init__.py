"""How pairs come out of frames, and, when rendering, how the input comes out of a raw frame.

To add one: a file here with a class like those beside it (see ``base.Pairing``), and a line below.
"""

from __future__ import annotations

from vidtrans.registry import Entry, Registry

PAIRINGS = Registry(
    "pairing",
    {
        "edges": Entry("vidtrans.pairing.edges:Edges", "lines found in a frame → the frame"),
        "next-frame": Entry("vidtrans.pairing.next_frame:NextFrame", "a frame → the one that follows it"),
        "aligned": Entry("vidtrans.pairing.aligned:Aligned", "a picture → its counterpart in a second clip or folder"),
    },
)
