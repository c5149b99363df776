"""The recipe of a training run. The defaults are those of the pix2pix paper (Isola et al., CVPR 2017)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

from vidtrans.settings import Table, recorded, setting
from vidtrans.training import ADVERSARIAL

FILMS_VERSION = 3  # of what chains, noise and memory make of a run
LONGEST_PAST = 24  # frames: what is kept fades within a few

# What a setting is to the generator's loss, in its metadata as ``loss``. WEIGHT: of the term of that name, which counts
# only with what it ``needs``. CHANGE: it changes what the terms are, or when they count; at its default it does not.
WEIGHT, CHANGE = "weight", "change"


@dataclass(frozen=True)
class TrainingSettings:
    """How a generator is trained."""

    steps: int = setting(80_000, "updates of the generator (the paper: 200 epochs of 400 pictures)", low=1)
    batch: int = setting(1, "pairs a step", low=1, high=256)
    accumulate: int = setting(
        1, "parts in which a batch is worked off, each in turn: less memory, more time", low=1, high=256
    )
    lr: float = setting(2e-4, "Adam's learning rate, for both networks", low=0.0, high=1.0)
    beta1: float = setting(0.5, "Adam's β₁", low=0.0, high=0.999)
    beta2: float = setting(0.999, "Adam's β₂", low=0.0, high=0.99999)
    l1: float = setting(100.0, "weight of the L1 loss (the paper's λ)", low=0.0, loss=WEIGHT)
    gan: float = setting(1.0, "weight of the adversarial loss; 0 trains without a discriminator", low=0.0, loss=WEIGHT)
    adversarial: str = setting(
        "bce",
        "bce: the paper's; least-squares: Mao et al. 2017; hinge: Lim and Ye 2017, SPADE",
        choices=tuple(ADVERSARIAL),
    )
    conditional: bool = setting(
        True, "the discriminator sees the input beside the picture, the paper's cGAN; false is its plain GAN"
    )
    l2: float = setting(0.0, "weight of the mean squared error", low=0.0, loss=WEIGHT)
    feature_matching: float = setting(
        0.0, "weight of the L1 between D's features of output and target (pix2pixHD takes 10)", low=0.0, loss=WEIGHT
    )
    perceptual: float = setting(
        0.0, "weight of the distance between output and target as a network sees them", low=0.0, loss=WEIGHT
    )
    perceptual_network: str = setting(
        "discriminator",
        "discriminator: D's own features, normalised; vgg19: torchvision's, where it and its weights are installed",
        choices=("discriminator", "vgg19"),
    )
    detail: float = setting(
        0.0,
        "weight of the difference in how much fine texture there is, wherever it lies: against blur and noise",
        low=0.0,
        loss=WEIGHT,
    )
    motion: float = setting(
        0.0,
        "by how much more the L1 counts where something moves before a camera at rest (4 does well); 0 for the same",
        low=0.0,
        high=100.0,
        loss=CHANGE,
    )
    plate: bool = setting(
        False,
        "paint onto the still background of the training pictures: for clips of this one camera position only",
    )
    chains: float = setting(
        0.0,
        "share of a batch that goes on from the network's own outputs, as a dream does; for next-frame",
        low=0.0,
        high=1.0,
    )
    chain_length: int = setting(120, "how often in a row, at most; from half of the run on", low=4, high=10_000)
    noise: float = setting(
        0.0,
        "most deviation of noise on an input's pictures, where colours are from -1 to 1: own outputs are not perfect",
        low=0.0,
        high=1.0,
    )
    gan_from: float = setting(
        0.0,
        "share of the run after which the adversarial loss, the dearest part of a step, begins",
        low=0.0,
        high=1.0,
        loss=CHANGE,
    )
    memory: bool = setting(
        False,
        "the model sees what it painted for the frame before, and learns to be consistent: for video",
        loss=CHANGE,
    )
    past: float = setting(
        0.35, "with memory: share of a batch that has such a past; the rest begins anew", low=0.1, high=0.9
    )
    temporal: float = setting(
        4.0,
        "with memory: weight of the L1 between an output and the one before, where the source shows the same",
        low=0.0,
        loss=WEIGHT,
        needs="memory",
    )
    temporal_gan: float = setting(
        0.0,
        "with memory: weight of a discriminator that judges three frames in a row, as vid2vid's",
        low=0.0,
        loss=WEIGHT,
        needs="memory",
    )
    drift: float = setting(
        0.1,
        "with memory: share of pictures that go on as a slow motion given to them, as all photographs do",
        low=0.0,
        high=1.0,
    )
    rebalance: bool = setting(
        False, "the L1 of a pixel counts the more the rarer its colour is in the training pictures", loss=CHANGE
    )
    ema: float = setting(
        0.0,
        "decay of a moving average of the weights, which becomes the model; 0 for none",
        low=0.0,
        high=0.99999,
    )
    freeze: tuple[str, ...] = setting(
        (), 'parts of the generator that keep the weights of --from, as in ["stem", "down.0"]'
    )
    schedule: str = setting(
        "linear",
        "linear: constant, then down to 0 over the second half; cosine: over the whole run",
        choices=("linear", "cosine"),
    )
    warmup: int = setting(0, "steps over which the learning rate rises from 0", low=0)
    crop: int | None = setting(256, 'side in pixels of what a step sees; "none" for whole pictures', low=16)
    jitter: float = setting(286 / 256, "pictures are enlarged by this before the crop", low=1.0, high=2.0)
    flip: bool = setting(True, "mirror half of the pairs, left to right")
    precision: str = setting(
        "auto",
        "auto takes bf16 where the device has it; fp16 is for CUDA devices that do not",
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    channels_last: bool = setting(
        False,
        "memory layout; measured on a CPU: a quarter faster with the small U-Net, 0.6 times as fast with U-Net 256",
    )
    score_every: int = setting(
        0, "steps between scorings of held-out pairs; 0 for twenty a run, 200 apart at least", low=0
    )
    best_by: str = setting("l1", "the held-out score that says which state is the best", choices=("l1", "psnr", "ssim"))
    deliver: str = setting("last", "which state becomes the model; both are kept beside it", choices=("last", "best"))
    patience: int = setting(
        0, "stop after so many scorings without a better one, and deliver the best; 0 never stops early", low=0
    )
    snapshots: int = setting(
        0, "models kept along the way, closer together at first, to film what was learnt when", low=0, high=1000
    )
    checkpoint_seconds: float = setting(30.0, "how much work a crash may cost", low=0.0)
    preview_seconds: float = setting(15.0, "how often the preview sheet is refreshed", low=0.0)

    # What came later: in a key it is only where it is not at its default, so that keys from before hold.
    added: ClassVar[tuple[str, ...]] = (
        *("adversarial", "l2", "feature_matching", "perceptual", "perceptual_network", "rebalance"),
        *("accumulate", "ema", "freeze", "motion", "plate", "conditional", "detail", "chains", "chain_length"),
        *("noise", "gan_from"),
        *("memory", "past", "temporal", "drift", "temporal_gan"),
        *("score_every", "best_by", "deliver", "patience", "snapshots"),
    )
    unrecorded: ClassVar[tuple[str, ...]] = ("checkpoint_seconds", "preview_seconds")

    @property
    def loss_weights(self) -> dict[str, float]:
        """Return the weights of the generator's losses that are on, by the names of the losses."""
        weights = [f for f in fields(self) if f.metadata.get("loss") == WEIGHT]
        counted = [f.name for f in weights if getattr(self, f.metadata.get("needs", f.name))]
        return {name: weight for name in counted if (weight := getattr(self, name))}

    @property
    def loss_changes(self) -> Table:
        """Return the settings that change what the generator's losses are, each with the default that does not."""
        changes = [f for f in fields(self) if f.metadata.get("loss") == CHANGE]
        return {f.name: f.default for f in changes if getattr(self, f.name) != f.default}

    @property
    def films(self) -> Table:
        """The version of chains, noise and memory, for the keys of what is made with them."""
        return {"films": FILMS_VERSION} if self.chains or self.noise or self.memory else {}

    @property
    def looks_through_vgg(self) -> bool:
        return self.perceptual > 0 and self.perceptual_network == "vgg19"

    @property
    def continued(self) -> float:
        """The share of a batch that goes on from own outputs."""
        return self.past if self.memory else self.chains

    @property
    def longest_chain(self) -> int:
        """How often in a row it does, at most. With a memory more is worse: the frames would be seen less evenly."""
        return min(self.chain_length, LONGEST_PAST) if self.memory else self.chain_length

    @property
    def delivers_best(self) -> bool:
        return self.deliver == "best" or self.patience > 0

    def for_key(self) -> Table:
        """What of the settings decides the result."""
        return recorded(self)

    def __post_init__(self) -> None:
        if not any((self.l1, self.gan, self.l2, self.perceptual)):
            raise ValueError("training.l1 and training.gan are both 0: there is nothing to learn from")
        if not self.gan:
            if self.feature_matching:
                raise ValueError("training.feature_matching compares the discriminator's features: training.gan is 0")
            if self.perceptual and self.perceptual_network == "discriminator":
                raise ValueError("training.perceptual looks through the discriminator, and training.gan is 0")
        if self.memory and (self.plate or self.chains):
            other = "plate" if self.plate else "chains"
            raise ValueError(f"training.memory and training.{other} are two ways: choose one of them")
        if self.temporal_gan and not (self.memory and self.gan):
            lacking = "training.gan is 0" if self.memory else "training.memory is off"
            raise ValueError(f"training.temporal_gan judges a memory's outputs in a row: {lacking}, turn it on")
        for name in ("rebalance", "motion"):
            if getattr(self, name) and not self.l1:
                raise ValueError(f"training.{name} weighs the L1, and training.l1 is 0")
        if self.accumulate > self.batch:
            raise ValueError(
                f"training.accumulate = {self.accumulate} parts cannot be made of training.batch = {self.batch}"
            )
