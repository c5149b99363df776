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
        "unet-64": Entry("vidtrans.networks.unet:UNet64", "U-Net of pix2pix for 64 pixels and larger: 29 M parameters"),
        "unet-128": Entry(
            "vidtrans.networks.unet:UNet128", "U-Net of pix2pix for 128 pixels and larger: 42 M parameters"
        ),
        "unet-256": Entry("vidtrans.networks.unet:UNet256", "U-Net of pix2pix: 8 downsamplings, 54 M parameters"),
        "unet-512": Entry(
            "vidtrans.networks.unet:UNet512", "U-Net of pix2pix for 512 pixels and larger: 67 M parameters"
        ),
        "unet-small": Entry(
            "vidtrans.networks.unet_small:UNetSmall", "small U-Net: trains in minutes on a CPU; 1.4 M parameters"
        ),
        "warp-mix": Entry(
            "vidtrans.networks.warp_mix:WarpMix",
            "for next-frame: moves the latest frame, repaints parts of it; 1.5 M parameters",
        ),
        "residual": Entry(
            "vidtrans.networks.residual:Residual",
            "for new textures: no skips, as in CycleGAN; 11 M parameters, slow on a CPU",
        ),
        "translator": Entry(
            "vidtrans.networks.translator:Translator",
            "for looks without pairs: new textures and colours in minutes; 0.4 M parameters",
        ),
        "painter": Entry(
            "vidtrans.networks.painter:Painter",
            "for looks from pictures: Johnson's network, with several looks; 0.3 M parameters",
        ),
        "predicted-style": Entry(
            "vidtrans.networks.predicted_style:PredictedStyle",
            "for looks from pictures: predicted norms need no training; 0.1 M parameters",
        ),
        "few-shot": Entry(
            "vidtrans.networks.few_shot:FewShot",
            "for a few painted frames: learns patches in minutes; 0.6 M parameters",
        ),
        "hd": Entry(
            "vidtrans.networks.hd:HD",
            "pix2pixHD's, coarse to fine, for 1024 pixels and larger: 182 M, for a GPU",
        ),
        "spade": Entry(
            "vidtrans.networks.spade:SpadeGenerator",
            "for regions: each area gets its own texture; 92 M parameters, for a GPU",
        ),
        "colour-classes": Entry(
            "vidtrans.networks.colour_classes:ColourClasses",
            "for colorize: chooses among 260 colours, so fewer are pale; 1.4 M parameters",
        ),
        "colour-map": Entry(
            "vidtrans.networks.colour_map:ColourMap", "for grades: a 3D LUT, which maps only the colour of each pixel"
        ),
    },
    group="generators",
)

ONNX_GRAPH = "onnx-graph"  # Name of the generator whose weights are the bytes of an ONNX file

# Generators by name that occur only in model files, because they are computed or imported, not trained from a recipe
UNTRAINED = Registry(
    "generator",
    {
        ONNX_GRAPH: Entry("vidtrans.networks.onnx_graph:OnnxGraph", "network of another tool, run by ONNX Runtime"),
        "optimised": Entry(
            "vidtrans.networks.optimised:Optimised", "optimises each frame to match the style of pictures: slow"
        ),
        "style-net": Entry(
            "vidtrans.networks.style_net:StyleNet", "fast neural style of other tools: PyTorch's examples, raw floats"
        ),
    },
)

# Discriminators by their names in the setting ``discriminator.name``
DISCRIMINATORS = Registry(
    "discriminator",
    {
        "patchgan": Entry(
            "vidtrans.networks.patchgan:PatchGAN", "judges overlapping patches: 70×70 pixels with 3 layers"
        ),
        "multi-scale": Entry(
            "vidtrans.networks.patchgan:MultiScale",
            "pix2pixHD's: a PatchGAN at full, half and quarter size; 8 M parameters",
        ),
    },
)
