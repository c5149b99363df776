"""Networks of these tools that are no generators: no importer takes them, and their tensors show what they are."""

from __future__ import annotations

from peer_networks.layers import Weights


def patch_discriminator(inputs: int, width: int, norm: str, *, blur: bool = False, layers: int = 3) -> Weights:
    """The PatchGAN discriminator; CUT blurs where it halves."""
    made = Weights()
    made.conv("model.0", inputs, width, 4)
    at, channels = 2, width
    for layer in range(1, layers + 1):
        if blur:
            made.blur(f"model.{at}", channels, 1, 2, 1)
        at += blur
        before, channels = channels, width * min(2**layer, 8)
        made.conv(f"model.{at}", before, channels, 4, bias=norm == "instance")
        made.norm(f"model.{at + 1}", channels, norm)
        at += 3
    made.conv(f"model.{at}", channels, 1, 4)
    return made


def pixel_discriminator(inputs: int, width: int) -> Weights:
    """The discriminator of single pixels; its key is ``net``."""
    made = Weights()
    for at, (before, after) in zip((0, 2, 5), ((inputs, width), (width, 2 * width), (2 * width, 1)), strict=True):
        made.conv(f"net.{at}", before, after, 1)
    return made


def multiscale_discriminator(*names: str) -> Weights:
    """Discriminators at two scales: the names of a scale's first, middle and last layers, for pix2pixHD and SPADE."""
    made = Weights()
    for scale in range(2):
        for name, (before, after) in zip(names, ((6, 4), (4, 8), (8, 1)), strict=True):
            made.conv(name.format(scale), before, after, 4)
    return made


def patch_sampler(channels: tuple[int, ...], width: int) -> Weights:
    """The projections of CUT's contrastive loss (its ``net_F``): two linear layers each."""
    made = Weights()
    for number, before in enumerate(channels):
        made.linear(f"mlp_{number}.0", before, width)
        made.linear(f"mlp_{number}.2", width, width)
    return made
