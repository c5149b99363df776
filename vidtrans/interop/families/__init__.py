"""Families of networks: other tools' generators, known by the names and shapes of their tensors.

To add one: a file here with a class like those beside it (see ``base.Family``), and a line below. A checkpoint is of
the family that accounts for all of its tensors, whatever its file is called.
"""

from __future__ import annotations

from vidtrans.core.registry import Entry, Registry

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
            "vidtrans.interop.families.local_enhancer:LocalEnhancer",
            "local enhancers of pix2pixHD, with their global one",
        ),
        "spade": Entry("vidtrans.interop.families.spade_family:PeerSpade", "SPADE: label maps, 256 pixels and up"),
        "fast-style": Entry(
            "vidtrans.interop.families.fast_style:FastStyle", "fast neural style of PyTorch's examples, of any width"
        ),
    },
)
