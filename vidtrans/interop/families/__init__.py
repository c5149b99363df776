"""Families of networks: generators of other tools, recognised by the names and shapes of their tensors.

To add a family, add a file with a subclass of ``base.Family`` here, and a line to ``FAMILIES``. A checkpoint belongs to
the family whose layout contains all of its tensors; the file name does not matter.
"""

from __future__ import annotations

from vidtrans.core.registry import Entry, Registry

# Families of generators by name.
FAMILIES = Registry(
    "family",
    {
        "pix2pix-unet": Entry(
            "vidtrans.interop.families.pix2pix_unet:PeerUNet",
            "U-Net of pytorch-CycleGAN-and-pix2pix: pix2pix, 32 to 512 pixels",
        ),
        "resnet": Entry(
            "vidtrans.interop.families.resnet:PeerResnet",
            "ResNet of pytorch-CycleGAN-and-pix2pix and CUT: CycleGAN, 1 to 18 blocks, with or without anti-aliasing",
        ),
        "pix2pixhd": Entry("vidtrans.interop.families.resnet:GlobalGenerator", "global generator of pix2pixHD"),
        "pix2pixhd-local": Entry(
            "vidtrans.interop.families.resnet:LocalEnhancer",
            "local enhancers of pix2pixHD, with the global generator",
        ),
        "spade": Entry("vidtrans.interop.families.spade_family:PeerSpade", "SPADE: label maps, 256 pixels and up"),
        "fast-style": Entry(
            "vidtrans.interop.families.fast_style:FastStyle", "fast neural style of PyTorch's examples, of any width"
        ),
    },
)
