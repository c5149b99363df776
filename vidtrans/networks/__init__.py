"""Generators and discriminators. Each is a torch module with a frozen ``Settings`` dataclass.

A generator is made with ``(in_channels, out_channels, settings)``, states in ``multiple`` what its input's
sides must be multiples of and in ``smallest`` how small a side it can train on, and maps (N, in, H, W) in
[−1, 1] to (N, out, H, W) in [−1, 1].
A discriminator is made with ``(channels, settings)`` and maps the input and the picture, concatenated, to a
map of logits, one a patch.
"""

from __future__ import annotations

from vidtrans.registry import Entry, Registry

GENERATORS = Registry(
    "generator",
    {
        "unet-256": Entry("vidtrans.networks.unet:UNet256", "the U-Net of pix2pix: 8 downsamplings, 54 M parameters"),
        "unet-small": Entry("vidtrans.networks.unet_small:UNetSmall", "trains in minutes on a CPU: 1.4 M parameters"),
    },
)

DISCRIMINATORS = Registry(
    "discriminator",
    {
        "patchgan": Entry("vidtrans.networks.patchgan:PatchGAN", "judges overlapping patches: 70×70 with 3 layers"),
    },
)
