"""Generators and discriminators. Each is a torch module with a frozen dataclass ``Settings``.

A generator is constructed with ``(in_channels, out_channels, settings)`` and maps (N, in, H, W) in [−1, 1] to (N, out,
H, W) in [−1, 1]. The sides of its input must be multiples of ``multiple``; ``smallest`` is the smallest side in pixels
for training.

Optional attributes of a generator: ``needs_fp32``: it always runs in fp32. ``needs_gradients``: it computes gradients
while it renders, so engines run it unchanged and on whole pictures; its ``identity`` is part of cache keys.
``runs_itself``: another library runs it, one picture at a time, so engines leave it unchanged; its ``identity`` is part
of cache keys, too. ``fixed_size``: the only (height, width) of its input, or None; larger pictures are tiled.
``sees_whole``: with a fixed size, whether each output pixel depends on the whole input, as with instance norms.
``remembers``: its input has the history of its output (``flow.history``) after the ``in_channels``.

A discriminator is constructed with ``(channels, settings)`` and has ``smallest``, too. Its input is the generator's
input concatenated with a picture, its output one logit per patch. ``judge(x)`` returns for each scale a list of layer
features (N, c, h, w) that ends with the logits (N, 1, h, w); feature matching compares all but the logits. A call
returns only the logits: a tensor, or a list of tensors for a discriminator with several scales.

A ``Settings`` class lists in ``unrecorded`` the fields that do not affect any result.
"""

from __future__ import annotations

from vidtrans.core.registry import Entry, Registry

# Generators by their names in the setting ``generator.name``
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
            "for next-frame: moves the latest frame and repaints parts of it: 1.5 M",
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
        "predicted-style": Entry(
            "vidtrans.networks.predicted_style:PredictedStyle",
            "for looks from pictures: paints from the start, by predicted norms: 0.1 M",
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
        "colour-classes": Entry(
            "vidtrans.networks.colour_classes:ColourClasses",
            "for colorize: chooses among 260 colours, which fade less than their mean: 1.4 M",
        ),
        "colour-map": Entry(
            "vidtrans.networks.colour_map:ColourMap", "a 3D LUT, for grades: maps each pixel's colour alone"
        ),
    },
    group="generators",
)

ONNX_GRAPH = "onnx-graph"  # Name of the generator whose weights are the bytes of an ONNX file

# Generators by name that occur only in model files, because they are computed or imported, not trained from a recipe
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

# Discriminators by their names in the setting ``discriminator.name``
DISCRIMINATORS = Registry(
    "discriminator",
    {
        "patchgan": Entry("vidtrans.networks.patchgan:PatchGAN", "judges overlapping patches: 70×70 with 3 layers"),
        "multi-scale": Entry(
            "vidtrans.networks.patchgan:MultiScale", "pix2pixHD's: a PatchGAN at full, half and quarter size, 8 M"
        ),
    },
)
