"""The settings of a training run. The defaults are those of the pix2pix paper (Isola et al., CVPR 2017)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self, TypeVar, get_type_hints

from vidtrans.core.options import Group, option
from vidtrans.core.settings import JoinedSettings, SettingFields, Table, record_table, setting_fields
from vidtrans.training import ADVERSARIAL, LOSSES, METHODS, MethodSettings, weight_key

S = TypeVar("S", bound=MethodSettings)  # The class of a method's own settings.


def _plugin_losses(keys: Iterable[str]) -> list[str]:
    """Return the losses of plug-ins whose weights ``lambda_NAME`` are among ``keys``."""
    prefix = weight_key("")
    names = [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
    return [name for name in names if name not in LOSSES.builtin and name in LOSSES]


ROLLOUT_VERSION = 5  # Version of the training on own outputs and on noisy inputs, a part of cache keys.
# On an H100, 64 pairs are 1.5 times as fast as 16, but 16 fit into more GPUs.
# Number of pairs in a step if batch_size is 0: by kind of device, and for other kinds of devices.
AUTO_BATCH, DEFAULT_AUTO_BATCH = {"cuda": 16}, 4
# Maximum rollout length of a recurrent model, in frames; the model's memory fades within a few frames.
MAX_RECURRENT_LENGTH = 24


@dataclass(frozen=True)
class TrainingSettings(JoinedSettings):
    """The settings of the table [training].

    ``of`` takes the fields of this class, weights ``lambda_NAME`` of ``LOSSES``, and a method's own settings.
    """

    method: str = option("pix2pix", "training method", choices=METHODS)
    steps: int = option(
        80_000,
        "number of updates of the generator (the paper: 200 epochs of 400 pictures)",
        Group.TRAINING,
        bounds=(1, None),
        flag_help="Number of training steps. To continue a finished training, give a larger number.",
        form="main",
    )
    batch_size: int = option(1, "number of pairs in a step; 0: 4, or 16 on a CUDA device", bounds=(0, 256))
    grad_accum_steps: int = option(
        1, "number of parts of a batch whose gradients are added: less memory, more time", bounds=(1, 256)
    )
    lr: float = option(2e-4, "Adam's learning rate, for both networks", bounds=(0.0, 1.0))
    beta1: float = option(0.5, "Adam's β₁", bounds=(0.0, 0.999))
    beta2: float = option(0.999, "Adam's β₂", bounds=(0.0, 0.99999))
    gan_mode: str = option(
        "bce",
        "adversarial loss; bce: the paper's; least-squares: Mao et al. 2017; hinge: Lim and Ye 2017, SPADE",
        choices=tuple(ADVERSARIAL),
    )
    conditional: bool = option(
        True, "the discriminator also sees the input, as in the paper's cGAN; false: the paper's plain GAN"
    )
    perceptual_network: str = option(
        "discriminator",
        "Features of the perceptual loss. discriminator: the discriminator's own, normalised. distilled-vgg: "
        "those of a small VGG-19 trained on photographs, which keep the form of eyes and mouths.",
        choices=("discriminator", "distilled-vgg"),
    )
    motion_weight: float = option(
        0.0,
        "additional weight of the L1 where something moves in front of a still camera; 4 works well; 0: equal weights",
        bounds=(0.0, 100.0),
    )
    background_plate: bool = option(
        False, "paint onto the still background of the training pictures, only for clips with this camera position"
    )
    rollout_fraction: float = option(
        0.0, "share of a batch whose inputs are the network's own outputs; for next-frame", bounds=(0.0, 1.0)
    )
    max_rollout_length: int = option(
        120, "longest rollout, in steps of the model; reached at half of the run", bounds=(4, 10_000)
    )
    input_noise: float = option(
        0.0,
        "largest σ of the noise that is added to inputs, for colours from -1 to 1; it imitates the errors of a rollout",
        bounds=(0.0, 1.0),
    )
    forget: float = option(
        0.0, "share of a batch in which a model with a position does not use kept frames", bounds=(0.0, 1.0)
    )
    camera: float = option(
        0.0, "share of a batch of next frames that a moving camera shows, in windows of crop_size", bounds=(0.0, 1.0)
    )
    gan_start: float = option(
        0.0,
        "share of the run after which the adversarial loss begins; it is the most expensive part of a step",
        bounds=(0.0, 1.0),
    )
    recurrent: bool = option(
        False, "for video: the model sees its previous output, and learns to be consistent with it"
    )
    recurrent_fraction: float = option(
        0.35, "with recurrent: share of a batch that has a previous output; the rest starts a shot", bounds=(0.1, 0.9)
    )
    synthetic_motion_fraction: float = option(
        0.1,
        "with recurrent: share of pairs that are continued by a slow synthetic motion of one picture; "
        "photographs always are",
        bounds=(0.0, 1.0),
    )
    colour_rebalancing: bool = option(
        False, "increase the weight of a pixel in the L1 if its colour is rare in the training pictures"
    )
    ema_decay: float = option(
        0.0,
        "decay of the exponential moving average of the weights, which becomes the model; 0: none",
        bounds=(0.0, 0.99999),
    )
    freeze: tuple[str, ...] = option(
        (), 'parts of the generator that keep the weights of --from, as in ["stem", "down.0"]'
    )
    lr_schedule: str = option(
        "linear",
        "schedule of the learning rate. linear: constant, then falls to 0 over the second half; cosine: falls "
        "over the whole run",
        choices=("linear", "cosine"),
    )
    lr_warmup_steps: int = option(0, "number of steps in which the learning rate rises from 0", bounds=(0, None))
    crop_size: int | None = option(
        256, 'side of the random crop in pixels; "none" for whole pictures', bounds=(16, None)
    )
    grow_from: int = option(
        0,
        "side of the first crops in pixels, from pictures that are scaled down; it doubles up to full size; "
        "0: full size",
        bounds=(0, None),
    )
    grow_share: float = option(0.5, "with grow_from: share of the run before full size", bounds=(0.0, 1.0))
    jitter: float = option(286 / 256, "factor by which pictures are enlarged before the crop", bounds=(1.0, 2.0))
    zoom_range: float = option(
        1.0,
        "largest factor of a random enlargement or reduction, in addition to jitter and never below the crop; 1: none",
        bounds=(1.0, 4.0),
    )
    flip: bool = option(True, "mirror half of the pairs horizontally")
    precision: str = option(
        "auto",
        "Number format. auto: bf16 if the device supports it. fp16: for CUDA devices without bf16. tf32: fp32 "
        "with factors rounded to 10 bits, for CUDA.",
        choices=("auto", "fp32", "bf16", "fp16", "tf32"),
    )
    channels_last: bool = option(
        False,
        "channels-last memory layout; measured on a CPU: a quarter faster with the small U-Net, 0.6 times as "
        "fast with U-Net 256",
    )
    cuda_graph: bool = option(
        True, "on a CUDA device: record a step and replay it, if a test replay gives the same numbers"
    )
    compile: bool = option(
        False, "compile the networks with torch.compile: rounding differs, and the first step takes minutes longer"
    )
    val_interval: int = option(
        0,
        "number of steps between two scores of held-out pairs; 0: twenty scores in a run, at least 200 steps apart",
        bounds=(0, None),
    )
    best_metric: str = option(
        "l1",
        "held-out score that selects the best state; patch_distance without pairs, mean_iou for classes",
        choices=("l1", "psnr", "ssim", "patch_distance", "mean_iou"),
    )
    final_weights: str = option(
        "last", "state that becomes the model: last or best; both are saved beside it", choices=("last", "best")
    )
    patience: int = option(
        0,
        "number of scores without a better one after which training stops, with the best state; 0: never",
        bounds=(0, None),
    )
    snapshots: int = option(
        0,
        "number of models saved during training, closer together at first, for a film of the progress",
        bounds=(0, 1000),
    )
    checkpoint_seconds: float = option(
        30.0, "number of seconds between checkpoints; a crash loses the work since the last one", bounds=(0.0, None)
    )
    preview_seconds: float = option(15.0, "number of seconds between updates of the preview sheet", bounds=(0.0, None))
    tensorboard: bool = option(False, "also write losses and scores as TensorBoard event files, next to the previews")

    weights: Mapping[str, float] = field(default_factory=lambda: {n: loss.weight for n, loss in LOSSES.builtin.items()})
    method_settings: MethodSettings = field(default_factory=MethodSettings)

    # Settings that change which losses are used, or when, if they do not have their default values.
    changing_losses: ClassVar[tuple[str, ...]] = ("motion_weight", "gan_start", "recurrent", "colour_rebalancing")
    unrecorded: ClassVar[tuple[str, ...]] = (
        "checkpoint_seconds",
        "preview_seconds",
        "tensorboard",
        "cuda_graph",
        "look_pictures",
    )

    @classmethod
    def table_fields(cls, wanted: Collection[str] = ()) -> SettingFields:
        """Return (field, type) of each setting by key: of this class, of the loss weights and of all methods' settings.

        Losses and methods of plug-ins are included only if a key of ``wanted`` is not built in.
        """
        hints = get_type_hints(cls)
        fields_by_key: SettingFields = {f.name: (f, hints[f.name]) for f in fields(cls) if f.metadata}
        fields_by_key |= {weight_key(name): (loss.setting(), float) for name, loss in LOSSES.builtin.items()}
        for method in METHODS.builtin.values():
            fields_by_key |= setting_fields(method.settings)
        for name in _plugin_losses(wanted):
            fields_by_key[weight_key(name)] = (LOSSES[name].setting(), float)
        if not fields_by_key.keys() >= set(wanted):
            for _, method in METHODS.working_entries():
                fields_by_key |= setting_fields(method.settings)
        return fields_by_key

    @classmethod
    def of(cls, **values: Any) -> Self:  # noqa: ANN401  (of settings)
        """Return the settings from values by key; settings of other methods than ``method`` have no effect.

        The loss of a plug-in is off unless its weight is among the values. Raises ValueError if values conflict.
        """
        weights = {name: values.pop(weight_key(name), loss.weight) for name, loss in LOSSES.builtin.items()}
        added = {name: values.pop(weight_key(name)) for name in _plugin_losses(values.keys())}
        weights |= {name: weight for name, weight in added.items() if weight}
        own_keys = {f.name for f in fields(cls)}
        others = {key: values.pop(key) for key in values.keys() & cls.table_fields(values).keys() - own_keys}
        own = METHODS[values.get("method", cls.method)].settings
        method = own(**{key: value for key, value in others.items() if key in setting_fields(own)})
        return cls(**values, weights=weights, method_settings=method)

    def values(self) -> Table:
        """Return the settings' values by key, without those of training methods other than ``method``."""
        run = {f.name: getattr(self, f.name) for f in fields(self) if f.metadata}
        weights = {weight_key(name): weight for name, weight in self.weights.items()}
        return run | weights | {f.name: getattr(self.method_settings, f.name) for f in fields(self.method_settings)}

    def own(self, cls: type[S]) -> S:
        """Return the settings that only the chosen method has; ``cls``: their class, which is checked."""
        assert isinstance(self.method_settings, cls)
        return self.method_settings

    @property
    def loss_weights(self) -> dict[str, float]:
        """Return the weights of the losses in use, by name."""
        return {name: weight for name, weight in self.weights.items() if weight and not self._missing_setting(name)}

    @property
    def loss_changes(self) -> Table:
        """Return, by key, the default of each setting in ``changing_losses`` whose value here is not the default."""
        defaults = {name: getattr(type(self), name) for name in self.changing_losses}
        return {name: default for name, default in defaults.items() if getattr(self, name) != default}

    @property
    def rollout_version(self) -> Table:
        """Return the version of rollouts and input noise for the cache keys of runs that use them; {} for others."""
        return {"rollouts": ROLLOUT_VERSION} if self.rollout_fraction or self.input_noise or self.recurrent else {}

    @property
    def uses_vgg(self) -> bool:
        """Return whether the perceptual loss uses VGG-19."""
        return self.weights["perceptual"] > 0 and self.perceptual_network == "distilled-vgg"

    @property
    def own_output_fraction(self) -> float:
        """Return the share of a batch whose inputs contain the network's own outputs."""
        return self.recurrent_fraction if self.recurrent else self.rollout_fraction

    @property
    def max_own_outputs(self) -> int:
        """Return the maximum rollout length, in steps of the model."""
        return min(self.max_rollout_length, MAX_RECURRENT_LENGTH) if self.recurrent else self.max_rollout_length

    @property
    def exports_best(self) -> bool:
        """Return whether the best state becomes the model instead of the last."""
        return self.final_weights == "best" or self.patience > 0

    def for_key(self) -> Table:
        """Return the settings that affect the result, for cache keys; ``compile`` and ``grow_*`` only if on."""
        others = set[str]()
        if not self.compile:
            others.add("compile")
        if not self.grow_from:
            others |= {"grow_from", "grow_share"}
        return {name: value for name, value in record_table(self).items() if name not in others}

    def on(self, kind: str) -> TrainingSettings:
        """Return the settings with ``batch_size`` 0 replaced by the default for this ``kind`` of device ('cuda' …)."""
        return replace(self, batch_size=self.batch_size or AUTO_BATCH.get(kind, DEFAULT_AUTO_BATCH))

    def _missing_setting(self, loss: str) -> str:
        """Return the first setting that a loss needs and that is off; '' if all needed settings are on."""
        return next((key for key in LOSSES[loss].needs if not self._value(key)), "")

    def _value(self, key: str) -> object:
        """Return the value of a setting or of a loss weight ``lambda_NAME``."""
        loss = key.removeprefix(weight_key(""))
        return self.weights[loss] if loss in self.weights else getattr(self, key)

    def __post_init__(self) -> None:
        if not any(LOSSES[name].alone for name in self.loss_weights):
            raise ValueError("training.lambda_l1 and training.lambda_gan are both 0: there is nothing to learn from")
        for name, weight in self.weights.items():
            if weight and not LOSSES[name].weight and (lacking := self._missing_setting(name)):
                is_off = "off" if self._value(lacking) is False else "0"
                raise ValueError(f"training.{weight_key(name)} needs training.{lacking}, which is {is_off}: turn it on")
        if self.weights["perceptual"] and not self.weights["gan"] and self.perceptual_network == "discriminator":
            raise ValueError(
                "training.lambda_perceptual compares D's features, but training.lambda_gan is 0: set it to 1"
            )
        if self.recurrent and self.compile:
            raise ValueError("training.compile is for networks without a history: turn training.recurrent off")
        if self.recurrent and (self.background_plate or self.rollout_fraction):
            other = "background_plate" if self.background_plate else "rollout_fraction"
            raise ValueError(f"training.recurrent and training.{other} exclude each other: choose one of them")
        for name in ("colour_rebalancing", "motion_weight"):
            if getattr(self, name) and not self.weights["l1"]:
                raise ValueError(f"training.{name} weights the L1, but training.lambda_l1 is 0: set it above 0")
        size = self.batch_size or DEFAULT_AUTO_BATCH
        if self.grad_accum_steps > size:
            parts = self.grad_accum_steps
            raise ValueError(f"training.grad_accum_steps = {parts} is more than training.batch_size = {size}")
