"""Generators and discriminators. Each is a torch module with a frozen ``Settings`` dataclass.

A generator is made with ``(in_channels, out_channels, settings)``, states in ``multiple`` what its input's
sides must be multiples of and in ``smallest`` how small a side it can train on, and maps (N, in, H, W) in
[−1, 1] to (N, out, H, W) in [−1, 1].

One that states ``needs_fp32`` is rendered in that precision, whatever was asked for. One that states
``needs_gradients`` computes some when it renders: it runs as it is, whole pictures only, and its ``identity`` is in
keys. One that states ``runs_itself`` is left as it is by engines: another library runs it, picture by picture, and its
``identity`` is in keys too. One whose ``fixed_size``, (height, width), is not None takes no other size: larger pictures
go through it in tiles; it states in ``sees_whole`` whether all of its input bears on each of its pixels, as with
instance norms. One that states ``remembers`` takes a history of its own output (``flow.history``) beside its input,
whose channels are its ``in_channels``.

A discriminator is made with ``(channels, settings)``, states ``smallest`` as well, and judges the input and the
picture, concatenated, by logits, one a patch. ``judge(x)`` gives for each scale a list of its layers' features
(N, c, h, w), the last of which is the logits (N, 1, h, w): what feature matching compares is all but the last.
Calling it gives the logits alone: a tensor, or, of one with several scales, a list.

A ``Settings`` class may name fields in ``unrecorded``: those that change no result.
"""

from __future__ import annotations

from vidtrans.core.registry import Entry, Registry

GENERATORS = Registry(
    "generator",
    {
        "unet-64": Entry("vidtrans.networks.unet:UNet64", "pix2pix's U-Net for 64 pixels and up: 29 M parameters"),
        "unet-128": Entry("vidtrans.networks.unet:UNet128", "pix2pix's U-Net for 128 pixels and up: 42 M parameters"),
        "unet-256": Entry("vidtrans.networks.unet:UNet256", "the U-Net of pix2pix: 8 downsamplings, 54 M parameters"),
        "unet-512": Entry("vidtrans.networks.unet:UNet512", "pix2pix's U-Net for 512 pixels and up: 67 M parameters"),
        "unet-small": Entry("vidtrans.networks.unet_small:UNetSmall", "trains in minutes on a CPU: 1.4 M parameters"),
        "warp-mix": Entry(
            "vidtrans.networks.warp_mix:WarpMix",
            "for next-frame: moves the latest frame and repaints some of it: 1.5 M",
        ),
        "residual": Entry(
            "vidtrans.networks.residual:Residual",
            "repaints textures without skips, as CycleGAN does: 11 M, slow on a CPU",
        ),
        "translator": Entry(
            "vidtrans.networks.translator:Translator",
            "for looks without pairs: changes textures and colours in minutes: 0.4 M",
        ),
        "painter": Entry(
            "vidtrans.networks.painter:Painter", "Johnson's, for looks from pictures, several in one: 0.3 M parameters"
        ),
        "few-shot": Entry(
            "vidtrans.networks.few_shot:FewShot",
            "for a few painted frames: learns patches in minutes: 0.6 M",
        ),
        "hd": Entry("vidtrans.networks.hd:HD", "pix2pixHD's, coarse to fine, for 1024 pixels and up: 182 M, for a GPU"),
        "spade": Entry(
            "vidtrans.networks.spade:SpadeGenerator",
            "for regions: each area gets a texture of its own: 92 M, for a GPU",
        ),
        "colour-map": Entry(
            "vidtrans.networks.colour_map:ColourMap", "a table of colours, for grades: each pixel by itself"
        ),
    },
)

ONNX_GRAPH = "onnx-graph"  # whose weights are the bytes of a file

# Model files name these, and no recipe does: they are made or imported, not trained.
UNTRAINED = Registry(
    "generator",
    {
        ONNX_GRAPH: Entry("vidtrans.networks.onnx_graph:OnnxGraph", "another tool's, run by ONNX Runtime"),
        "optimised": Entry("vidtrans.networks.optimised:Optimised", "optimises each frame to look like pictures: slow"),
        "style-net": Entry(
            "vidtrans.networks.style_net:StyleNet", "fast neural style of other tools: PyTorch's examples, raw floats"
        ),
    },
)

DISCRIMINATORS = Registry(
    "discriminator",
    {
        "patchgan": Entry("vidtrans.networks.patchgan:PatchGAN", "judges overlapping patches: 70×70 with 3 layers"),
        "multi-scale": Entry(
            "vidtrans.networks.patchgan:MultiScale", "pix2pixHD's: a PatchGAN at full, half and quarter size, 8 M"
        ),
    },
)
