"""The recipe of a training run. The defaults are those of the pix2pix paper (Isola et al., CVPR 2017)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, TypeVar

from vidtrans.settings import Table, record_table, setting
from vidtrans.training import ADVERSARIAL, LOSSES, METHODS

T = TypeVar("T")
FILMS_VERSION = 3  # of what chains, noise and memory make of a run
LONGEST_PAST = 24  # frames: what is kept fades within a few


def _with_tables(cls: type[T]) -> type[T]:
    """Add the settings of the tables: the weight of each loss, and what methods have of their own."""
    more = {name: loss.setting() for name, loss in LOSSES.items()}
    for method in METHODS.values():
        more |= method.settings
    for name, field in more.items():
        cls.__annotations__[name] = type(field.default)
        setattr(cls, name, field)
    return cls


@dataclass(frozen=True)
@_with_tables
class TrainingSettings:
    """How a generator is trained. Beside the fields below it has those of ``LOSSES`` and ``METHODS``.

    In the metadata of a field, ``loss`` says that it changes what the losses are, or when they count, unless it is at
    its default.
    """

    method: str = setting("pix2pix", "how it is trained", choices=tuple(METHODS))
    steps: int = setting(80_000, "updates of the generator (the paper: 200 epochs of 400 pictures)", low=1)
    batch: int = setting(1, "pairs a step", low=1, high=256)
    accumulate: int = setting(
        1, "parts in which a batch is worked off, each in turn: less memory, more time", low=1, high=256
    )
    lr: float = setting(2e-4, "Adam's learning rate, for both networks", low=0.0, high=1.0)
    beta1: float = setting(0.5, "Adam's β₁", low=0.0, high=0.999)
    beta2: float = setting(0.999, "Adam's β₂", low=0.0, high=0.99999)
    adversarial: str = setting(
        "bce",
        "bce: the paper's; least-squares: Mao et al. 2017; hinge: Lim and Ye 2017, SPADE",
        choices=tuple(ADVERSARIAL),
    )
    conditional: bool = setting(
        True, "the discriminator sees the input beside the picture, the paper's cGAN; false is its plain GAN"
    )
    perceptual_network: str = setting(
        "discriminator",
        "discriminator: D's own features, normalised; vgg19: torchvision's, where it and its weights are installed",
        choices=("discriminator", "vgg19"),
    )
    motion: float = setting(
        0.0,
        "by how much more the L1 counts where something moves before a camera at rest (4 does well); 0 for the same",
        low=0.0,
        high=100.0,
        loss=True,
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
        loss=True,
    )
    memory: bool = setting(
        False,
        "the model sees what it painted for the frame before, and learns to be consistent: for video",
        loss=True,
    )
    past: float = setting(
        0.35, "with memory: share of a batch that has such a past; the rest begins anew", low=0.1, high=0.9
    )
    drift: float = setting(
        0.1,
        "with memory: share of pictures that go on as a slow motion given to them, as all photographs do",
        low=0.0,
        high=1.0,
    )
    rebalance: bool = setting(
        False, "the L1 of a pixel counts the more the rarer its colour is in the training pictures", loss=True
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
        *("method", "adversarial", "perceptual_network", "rebalance"),
        *("accumulate", "ema", "freeze", "motion", "plate", "conditional", "chains", "chain_length"),
        *("noise", "gan_from"),
        *("memory", "past", "drift"),
        *("score_every", "best_by", "deliver", "patience", "snapshots"),
        *(name for name, loss in LOSSES.items() if not loss.reported),
        *(name for method in METHODS.values() for name in method.settings),
    )
    unrecorded: ClassVar[tuple[str, ...]] = ("checkpoint_seconds", "preview_seconds")

    @property
    def weights(self) -> dict[str, float]:
        """Return the weight of each loss."""
        return {name: getattr(self, name) for name in LOSSES}

    @property
    def loss_weights(self) -> dict[str, float]:
        """Return the weights of the losses that are on."""
        return {name: weight for name, weight in self.weights.items() if weight and not self._lacks(name)}

    @property
    def loss_changes(self) -> Table:
        """Return the settings that change what the losses are, each with the default that does not."""
        changes = [f for f in fields(self) if f.metadata.get("loss")]
        return {f.name: f.default for f in changes if getattr(self, f.name) != f.default}

    @property
    def method_settings(self) -> Table:
        """Return what the method has of its own."""
        return {name: getattr(self, name) for name in METHODS[self.method].settings}

    @property
    def films(self) -> Table:
        """The version of chains, noise and memory, for the keys of what is made with them."""
        return {"films": FILMS_VERSION} if self.chains or self.noise or self.memory else {}

    @property
    def looks_through_vgg(self) -> bool:
        return self.weights["perceptual"] > 0 and self.perceptual_network == "vgg19"

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
        return record_table(self)

    def _lacks(self, loss: str) -> str:
        """Return the first setting that a loss needs and that is off; '' where none is."""
        return next((name for name in LOSSES[loss].needs if not getattr(self, name)), "")

    def __post_init__(self) -> None:
        if not any(LOSSES[name].alone for name in self.loss_weights):
            raise ValueError("training.l1 and training.gan are both 0: there is nothing to learn from")
        for name, weight in self.weights.items():
            if weight and not LOSSES[name].weight and (lacking := self._lacks(name)):
                is_off = "off" if getattr(self, lacking) is False else "0"
                raise ValueError(f"training.{name} does nothing where training.{lacking} is {is_off}: turn it on")
        if self.weights["perceptual"] and not self.weights["gan"] and self.perceptual_network == "discriminator":
            raise ValueError("training.perceptual looks through the discriminator, and training.gan is 0")
        if self.memory and (self.plate or self.chains):
            other = "plate" if self.plate else "chains"
            raise ValueError(f"training.memory and training.{other} are two ways: choose one of them")
        for name in ("rebalance", "motion"):
            if getattr(self, name) and not self.weights["l1"]:
                raise ValueError(f"training.{name} weighs the L1, and training.l1 is 0")
        if self.accumulate > self.batch:
            raise ValueError(
                f"training.accumulate = {self.accumulate} parts cannot be made of training.batch = {self.batch}"
            )
