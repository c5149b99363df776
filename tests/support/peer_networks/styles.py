"""Fast neural style (Johnson et al. 2016) of PyTorch's example, from and to 0…255."""

from __future__ import annotations

from peer_networks.layers import ROOT2, Weights


class TransformerNet(Weights):
    """PyTorch's example; its last layer makes values of 0 to 255."""

    def __init__(self, width: int, seed: int = 0) -> None:
        super().__init__(seed)
        channels = 4 * width
        self._pair("conv1", "in1", 3, width, 9)
        self._pair("conv2", "in2", width, 2 * width, 3)
        self._pair("conv3", "in3", 2 * width, channels, 3)
        for block in range(1, 6):
            for layer in (1, 2):
                self._pair(f"res{block}.conv{layer}", f"res{block}.in{layer}", channels, channels, 3)
        self._pair("deconv1", "in4", channels, 2 * width, 3)
        self._pair("deconv2", "in5", 2 * width, width, 3)
        self.conv("deconv3.conv2d", width, 3, 9, gain=40 * ROOT2)
        self.state["deconv3.conv2d.bias"] += 127

    def _pair(self, conv: str, norm: str, inputs: int, outputs: int, size: int) -> None:
        self.conv(f"{conv}.conv2d", inputs, outputs, size)
        self.instance_norms[norm] = outputs
        self.norm(norm, outputs, "affine")
