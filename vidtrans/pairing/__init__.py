"""Pairings: methods that make training pairs from frames, and the network's input from a frame in a render.

To add a pairing, add a file with a class like the others (see ``base.Pairing``), and a line to ``PAIRINGS``.
"""

from __future__ import annotations

from vidtrans.core.registry import Entry, Registry

# Largest zoom factor: side of a training frame, relative to the window in it that a next-frame model sees
LARGEST_ZOOM = 8.0
# Pairings by name, each with its class and a summary
PAIRINGS = Registry(
    "pairing",
    {
        "edges": Entry("vidtrans.pairing.edges:Edges", "lines found in a frame → the frame"),
        "sketch": Entry("vidtrans.pairing.sketch:Sketch", "soft pencil lines → the frame"),
        "regions": Entry("vidtrans.pairing.regions:Regions", "flat coloured areas → the frame"),
        "labels": Entry("vidtrans.pairing.labels:Labels", "label maps, with a channel for each class → the picture"),
        "segment": Entry("vidtrans.pairing.segment:Segment", "a picture → its label map, with a class for each pixel"),
        "change": Entry("vidtrans.pairing.segment:Change", "two frames, or two clips → a label map of the changes"),
        "colorize": Entry(
            "vidtrans.pairing.colorize:Colorize", "a grey frame → its colours; the lightness stays the frame's own"
        ),
        "enlarge": Entry("vidtrans.pairing.enlarge:Enlarge", "a small picture → a large one (super-resolution)"),
        "simplify": Entry("vidtrans.pairing.simplify:Simplify", "a rough drawing → clean lines"),
        "denoise": Entry("vidtrans.pairing.denoise:Denoise", "a noisy frame → a clean one"),
        "inpaint": Entry("vidtrans.pairing.inpaint:Inpaint", "a frame with holes → the whole frame"),
        "next-frame": Entry("vidtrans.pairing.next_frame:NextFrame", "a frame → the next frame"),
        "aligned": Entry("vidtrans.pairing.aligned:Aligned", "a picture → its counterpart in a second clip or folder"),
        "matched": Entry(
            "vidtrans.pairing.aligned:Matched",
            "a picture → a picture with the same content, from a clip that is not synchronous",
        ),
        "grade": Entry("vidtrans.pairing.aligned:GradePairing", "like aligned, for colours: at full size and 16 bits"),
        "unpaired": Entry(
            "vidtrans.pairing.aligned:Unpaired", "a frame → the same content in the style of another domain"
        ),
        "look": Entry("vidtrans.pairing.look_pairing:LookPairing", "a frame without a target, for a painter of looks"),
        "stack": Entry("vidtrans.pairing.stack:Stack", "guides as channels (depth, normals, mattes …) → the picture"),
        "pose": Entry("vidtrans.pairing.pose:Pose", "people drawn from keypoints (OpenPose, MediaPipe) → the picture"),
        "model": Entry("vidtrans.pairing.extracted:Extracted", "the output of another network for a frame → the frame"),
    },
    group="pairings",
)
