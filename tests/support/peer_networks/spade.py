"""The generator of SPADE (Park et al. 2019), of labels of 0 and 1."""

from __future__ import annotations

from peer_networks.layers import BRANCH, Weights

HIDDEN, SHIFT = 128, 0.3  # channels of a spatial norm's own network, and the gain of what scales and shifts by it
DOUBLINGS = {"normal": 5, "more": 6, "most": 7}


class SpadeGenerator(Weights):
    """From labels, or from a latent vector where ``latent`` is not 0; its output is ``size`` (height, width)."""

    def __init__(
        self,
        labels: int,
        width: int,
        upsampling: str,
        size: tuple[int, int],
        norm: str = "batch",
        spectral: bool = True,
        kernel: int = 3,
        latent: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        self._labels, self._norm, self._kernel, self._spectral = labels, norm, kernel, spectral
        top = 16 * width
        if latent:
            self.linear("fc", latent, top * (size[0] >> DOUBLINGS[upsampling]) * (size[1] >> DOUBLINGS[upsampling]))
        else:
            self.conv("fc", labels, top, 3)
        for name in ("head_0", "G_middle_0", "G_middle_1"):
            self._block(name, top, top)
        count = 5 if upsampling == "most" else 4
        for number in range(count):
            self._block(f"up_{number}", top >> number, top >> (number + 1))
        self.conv("conv_img", top >> count, 3, 3, gain=BRANCH)

    def _block(self, name: str, inputs: int, outputs: int) -> None:
        """A residual block, with a shortcut of its own where the number of channels changes."""
        middle, shortcut = min(inputs, outputs), inputs != outputs
        self._conv(f"{name}.conv_0", inputs, middle, 3)
        self._conv(f"{name}.conv_1", middle, outputs, 3)
        if shortcut:
            self._conv(f"{name}.conv_s", inputs, outputs, 1, bias=False)
        for part, channels in {"0": inputs, "1": middle, **({"s": inputs} if shortcut else {})}.items():
            norm = f"{name}.norm_{part}"
            if self._norm == "batch":
                self.statistics(f"{norm}.param_free_norm", channels)
            self.conv(f"{norm}.mlp_shared.0", self._labels, HIDDEN, self._kernel)
            self.conv(f"{norm}.mlp_gamma", HIDDEN, channels, self._kernel, gain=SHIFT)
            self.conv(f"{norm}.mlp_beta", HIDDEN, channels, self._kernel, gain=SHIFT)

    def _conv(self, name: str, inputs: int, outputs: int, size: int, *, bias: bool = True) -> None:
        if self._spectral:
            self.spectral(name, inputs, outputs, size, bias=bias)
        else:
            self.conv(name, inputs, outputs, size, bias=bias, gain=BRANCH)
