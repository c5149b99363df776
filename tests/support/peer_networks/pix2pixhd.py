"""Networks of pix2pixHD (Wang et al. 2018), of pictures or of labels."""

from __future__ import annotations

from peer_networks.layers import Weights


class GlobalGenerator(Weights):
    """The coarse generator; without blocks it is the encoder of instance features, which is no generator."""

    def __init__(
        self, inputs: int, outputs: int, width: int, downs: int, blocks: int, norm: str, seed: int = 0
    ) -> None:
        super().__init__(seed)
        at = self.features(inputs, width, downs, blocks, norm)
        self.conv(f"model.{at + 1}", width, outputs, 7)

    def features(self, inputs: int, width: int, downs: int, blocks: int, norm: str) -> int:
        """All layers but the last, which begins at the place returned."""
        self.conv("model.1", inputs, width, 7)
        self.norm("model.2", width, norm)
        at, channels = 4, width
        for _ in range(downs):
            channels *= 2
            self.conv(f"model.{at}", channels // 2, channels, 3)
            self.norm(f"model.{at + 1}", channels, norm)
            at += 3
        for block in range(blocks):
            self.residual(f"model.{at + block}", channels, norm, bias=True)
        at += blocks
        for _ in range(downs):
            channels //= 2
            self.doubling(f"model.{at}", f"model.{at + 1}", channels, norm)
            at += 3
        return at

    def doubling(self, name: str, norm_name: str, channels: int, norm: str) -> None:
        self.transposed(name, 2 * channels, channels, 3)
        self.norm(norm_name, channels, norm)


class LocalEnhancer(GlobalGenerator):
    """The coarse generator on the input halved ``enhancers`` times, refined level by level to ``width`` channels."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        downs: int,
        blocks: int,
        enhancers: int,
        enhancer_blocks: int,
        norm: str,
        seed: int = 0,
    ) -> None:
        Weights.__init__(self, seed)
        self.features(inputs, width << enhancers, downs, blocks, norm)
        for number in range(1, enhancers + 1):
            channels, own = width << (enhancers - number), f"model{number}_1"
            self.conv(f"{own}.1", inputs, channels, 7)
            self.norm(f"{own}.2", channels, norm)
            self.conv(f"{own}.4", channels, 2 * channels, 3)
            self.norm(f"{own}.5", 2 * channels, norm)
            branch = f"model{number}_2"
            for block in range(enhancer_blocks):
                self.residual(f"{branch}.{block}", 2 * channels, norm, bias=True)
            self.doubling(f"{branch}.{enhancer_blocks}", f"{branch}.{enhancer_blocks + 1}", channels, norm)
        self.conv(f"model{enhancers}_2.{enhancer_blocks + 4}", width, outputs, 7)
