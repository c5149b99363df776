"""The coarse-to-fine generator of pix2pixHD (Wang et al., CVPR 2018).

"High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs". The generator is trained in stages as
in the paper: first with ``enhancers`` 0 at half the size; then with 1 enhancer at full size, initialised by
``load_coarser`` (``--from``), at first with the coarser network frozen; then the whole network.

Names in the state dict: ``whole.`` is the global network up to its last features, ``enhancers.0.`` the enhancer at
twice the global network's size, ``enhancers.1.`` at four times this size; ``head.`` maps the finest features to the
picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.errors import UsageError
from vidtrans.core.options import option
from vidtrans.core.settings import Table
from vidtrans.networks.layers import norm_setting, run_stages
from vidtrans.networks.residual import (
    BlockSettings,
    ResidualBody,
    downsample_layer,
    first_layer,
    multiple_of,
    picture_head,
    residual_blocks,
    upsample_layer,
)


@dataclass(frozen=True)
class HDSettings(BlockSettings):
    """Settings of ``HD``. The default is the paper's global network; with 1 enhancer it is the paper's full network."""

    norm: str = norm_setting("instance")
    channels: int = option(
        64, "channels of the global network at its size; inner layers have 2 to 16 times as many", bounds=(4, None)
    )
    downsamplings: int = option(4, "number of downsamplings in the global network", bounds=(2, 6))
    blocks: int = option(9, "number of residual blocks in the global network", bounds=(1, 18))
    enhancers: int = option(
        0, "number of local enhancers, each for twice the size; 0: only the global network", bounds=(0, 2)
    )
    enhancer_blocks: int = option(3, "number of residual blocks in each enhancer", bounds=(1, 9))

    def __post_init__(self) -> None:
        if self.channels % 2**self.enhancers:
            raise ValueError(f"generator.channels must be a multiple of {2**self.enhancers}: each enhancer halves it")


class Enhancer(nn.Module):
    """A local enhancer, in the paper's notation: c7s1-k, d2k, plus the coarser network's features, R2k×3, uk."""

    def __init__(self, inputs: int, channels: int, settings: HDSettings) -> None:
        super().__init__()
        self.checkpointing = settings.grad_checkpointing
        self.entrance = first_layer(inputs, channels, settings)
        self.down = downsample_layer(channels, 2 * channels, settings)
        self.blocks = residual_blocks(2 * channels, settings.enhancer_blocks, settings)
        self.up = upsample_layer(2 * channels, channels, settings)

    def forward(self, x: Tensor, coarser: Tensor) -> Tensor:
        """Input (N, inputs, H, W), coarser features (N, 2·channels, H/2, W/2) → (N, channels, H, W)."""
        x = run_stages((self.entrance, self.down), x, checkpointing=self.checkpointing)
        return run_stages((*self.blocks, self.up), x + coarser, checkpointing=self.checkpointing)


class HD(nn.Module):
    """The coarse-to-fine generator: global network G1 (c7s1-64 d128 … d1024 R1024×9 u512 … u64), then enhancers.

    G1 works at half size for one ``Enhancer`` (the paper's G2), and at a quarter of the size for two.
    """

    Settings = HDSettings

    def __init__(self, in_channels: int, out_channels: int, settings: HDSettings) -> None:
        super().__init__()
        halvings = settings.downsamplings + settings.enhancers
        self.multiple, self.stride = multiple_of(halvings, settings.norm), 2**halvings
        self.smallest = 2 ** (halvings + 1)  # Norms need more than one value in training
        self.checkpointing = settings.grad_checkpointing
        widths = [settings.channels // 2**i for i in range(settings.enhancers + 1)]
        self.whole = ResidualBody(in_channels, widths[0], settings.downsamplings, settings.blocks, settings)
        self.enhancers = nn.ModuleList(Enhancer(in_channels, width, settings) for width in widths[1:])
        self.head = picture_head(widths[-1], out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) → (N, out, H, W)."""
        sizes = [x]
        for _ in self.enhancers:
            sizes.append(F.avg_pool2d(sizes[-1], 3, 2, 1, count_include_pad=False))
        features = self.whole(sizes.pop())
        for enhancer in self.enhancers:
            features = enhancer(sizes.pop(), features)
        return run_stages((self.head,), features, checkpointing=self.checkpointing)


def is_coarser(table: Table, other: Table) -> bool:
    """Return whether settings ``other`` are those of a coarser generator that can be loaded into one with ``table``.

    ``table``, ``other``: complete settings of ``HD``. ``other`` must have fewer enhancers and otherwise equal settings;
    without any enhancers, its ``enhancer_blocks`` may differ.
    """
    free_keys = ("enhancers",) if other["enhancers"] else ("enhancers", "enhancer_blocks")
    return other["enhancers"] < table["enhancers"] and {**other, **{k: table[k] for k in free_keys}} == table


def load_coarser(generator: HD, state: Mapping[str, Tensor]) -> None:
    """Load the weights ``state`` of a coarser generator into ``generator``, except its head, which has another width.

    Raises UsageError, and changes nothing, if the weights do not fit.
    """
    target = generator.state_dict()
    loaded = {k: v for k, v in state.items() if not k.startswith("head.")}
    mismatched = [k for k, v in loaded.items() if k not in target or target[k].shape != v.shape]
    if mismatched or any(k.startswith("whole.") and k not in loaded for k in target):
        why = f"'{mismatched[0]}' does not fit the new generator" if mismatched else "it has no global network"
        raise UsageError("a coarser hd generator", why, "use the same generator settings and only add enhancers")
    generator.load_state_dict(loaded, strict=False)
