"""The recipe of a training run. The defaults are those of the pix2pix paper (Isola et al., CVPR 2017)."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.settings import Table, setting, to_table


@dataclass(frozen=True)
class TrainingSettings:
    """How a generator is trained."""

    steps: int = setting(80_000, "updates of the generator (the paper: 200 epochs of 400 pictures)", low=1)
    batch: int = setting(1, "pairs a step", low=1, high=256)
    lr: float = setting(2e-4, "Adam's learning rate, for both networks", low=0.0, high=1.0)
    beta1: float = setting(0.5, "Adam's β₁", low=0.0, high=0.999)
    beta2: float = setting(0.999, "Adam's β₂", low=0.0, high=0.99999)
    l1: float = setting(100.0, "weight of the L1 loss (the paper's λ)", low=0.0)
    gan: float = setting(1.0, "weight of the adversarial loss; 0 trains without a discriminator", low=0.0)
    schedule: str = setting(
        "linear",
        "linear: constant, then down to 0 over the second half; cosine: over the whole run",
        choices=("linear", "cosine"),
    )
    warmup: int = setting(0, "steps over which the learning rate rises from 0", low=0)
    crop: int | None = setting(256, 'side in pixels of what a step sees; "none" for whole pictures', low=16)
    jitter: float = setting(286 / 256, "pictures are enlarged by this before the crop", low=1.0, high=2.0)
    flip: bool = setting(True, "mirror half of the pairs, left to right")
    precision: str = setting("auto", "auto takes bf16 where the device has it", choices=("auto", "fp32", "bf16"))
    channels_last: bool = setting(
        False,
        "memory layout; measured on a CPU: a quarter faster with the small U-Net, 0.6 times as fast with U-Net 256",
    )
    checkpoint_seconds: float = setting(30.0, "how much work a crash may cost", low=0.0)
    preview_seconds: float = setting(15.0, "how often the preview sheet is refreshed", low=0.0)

    def for_key(self) -> Table:
        """What of the settings decides the result."""
        return {k: v for k, v in to_table(self).items() if k not in ("checkpoint_seconds", "preview_seconds")}

    def __post_init__(self) -> None:
        if self.l1 == 0 and self.gan == 0:
            raise ValueError("training.l1 and training.gan are both 0: there is nothing to learn from")
