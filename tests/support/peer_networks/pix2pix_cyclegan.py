"""Generators of pix2pix (Isola et al. 2017), CycleGAN (Zhu et al. 2017) and CUT (Park et al. 2020)."""

from __future__ import annotations

from peer_networks.layers import Weights


class UnetGenerator(Weights):
    """The U-Net of ``downs`` levels, each within the one above it. Dropout has no tensors, and moves none."""

    def __init__(self, inputs: int, outputs: int, downs: int, width: int, norm: str, seed: int = 0) -> None:
        super().__init__(seed)
        self._kind, self._bias = norm, norm == "instance"
        self.conv("model.model.0", inputs, width, 4, bias=self._bias)
        self._level("model.model.1.model", [width * min(2**level, 8) for level in range(downs)])
        self.transposed("model.model.3", 2 * width, outputs, 4)

    def _level(self, name: str, widths: list[int]) -> None:
        outer, inner, *below = widths
        self.conv(f"{name}.1", outer, inner, 4, bias=self._bias)
        if below:
            self.norm(f"{name}.2", inner, self._kind)
            self._level(f"{name}.3.model", [inner, *below])
        up = 5 if below else 3
        self.transposed(f"{name}.{up}", 2 * inner if below else inner, outer, 4, bias=self._bias)
        self.norm(f"{name}.{up + 1}", outer, self._kind)


class ResnetGenerator(Weights):
    """Residual blocks at a quarter of the size. CUT blurs where it halves, where it doubles, or both (Zhang 2019)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        blocks: int,
        width: int,
        norm: str,
        dropout: bool = False,
        blur_down: bool = False,
        blur_up: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        bias = norm == "instance"
        self.conv("model.1", inputs, width, 7, bias=bias)
        self.norm("model.2", width, norm)
        at = 4
        for channels in (2 * width, 4 * width):
            self.conv(f"model.{at}", channels // 2, channels, 3, bias=bias)
            self.norm(f"model.{at + 1}", channels, norm)
            if blur_down:
                self.blur(f"model.{at + 3}", channels, 1, 2, 1)
            at += 4 if blur_down else 3
        for block in range(blocks):
            self.residual(f"model.{at + block}", 4 * width, norm, bias=bias, dropout=dropout)
        at += blocks
        for channels in (2 * width, width):
            if blur_up:
                self.blur(f"model.{at}", 2 * channels, 1, 3, 3, 1)
                self.conv(f"model.{at + 1}", 2 * channels, channels, 3, bias=bias)
            else:
                self.transposed(f"model.{at}", 2 * channels, channels, 3, bias=bias)
            at += 2 if blur_up else 1
            self.norm(f"model.{at}", channels, norm)
            at += 2
        self.conv(f"model.{at + 1}", width, outputs, 7)
