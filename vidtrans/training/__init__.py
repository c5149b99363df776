"""The registries of training methods and of losses, with their settings; interrupted runs resume exactly.

A method is a ``methods.base.TrainingMethod``, a loss a ``losses.base.Term``. Settings, records, ``losses.csv``, curves,
ablations and docs derive from the two registries here. Like the settings of the methods, they need no torch, so that
presets and flags are checked quickly.

An adversarial objective is a class with two static methods on logits of any shape: ``discriminator(on_fake,
on_real)`` is what D minimises, ``generator(on_fake)`` what G minimises; both are means and give a scalar.
``balance`` is D's loss when it cannot tell fake from real.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, dataclass, field, make_dataclass
from typing import Any, NamedTuple

from vidtrans.core.options import option
from vidtrans.core.registry import Entry, Registry
from vidtrans.networks import GENERATORS
from vidtrans.perception import DEFAULT, MEASURES


class Label(NamedTuple):
    """The label of a curve: ``name``, explanation ``hint``, ``unit``, and ``aim``, the best value.

    ``aim`` is −∞ if lower is better, ∞ if higher is better, and None if there is no best value.
    """

    name: str
    hint: str
    unit: str = ""
    aim: float | None = None

    def best(self, values: Sequence[float]) -> float | None:
        """Return the value nearest to ``aim``; None without values or without an aim."""
        if self.aim is None or not values:
            return None
        if math.isinf(self.aim):
            return max(values) if self.aim > 0 else min(values)
        aim = self.aim
        return min(values, key=lambda v: abs(v - aim))


@dataclass(frozen=True)
class Loss(Entry):
    """A term of the generator's loss. The setting ``lambda_NAME`` is the term's weight; 0 turns the term off.

    ``weight``: the default weight. ``needs``: settings that must be on. ``alone``: it can be the only loss.
    ``reported``: the loss has a column in ``losses.csv`` even at weight 0.
    """

    label: Label
    weight: float = 0.0
    needs: tuple[str, ...] = ()
    alone: bool = True
    reported: bool = False

    def setting(self) -> Field[float]:
        """Return the dataclass field of the loss's weight, the setting ``lambda_NAME``."""
        weight: Field[float] = option(self.weight, f"weight of {self.summary}", bounds=(0.0, None))
        return weight


@dataclass(frozen=True)
class MethodSettings:
    """The settings of one training method; empty here, with a subclass in ``METHODS`` per method that has settings."""


@dataclass(frozen=True)
class LookMethodSettings(MethodSettings):
    """Settings of the training method ``look``, which learns the styles of pictures."""

    look_pictures: tuple[str, ...] = option((), "paths of the style pictures, one for each look")
    look_measure: str = option(DEFAULT, "measure that compares styles", choices=tuple(MEASURES))
    look_style: float = option(
        0.35, "weight of the style: 0.2 for a weak style; at 1, strokes can hide the content", bounds=(0.0, 1000.0)
    )
    look_colour: float = option(10.0, "weight of the colours", bounds=(0.0, 1000.0))
    look_tone: float = option(1.0, "weight of tones: light and dark areas stay as in the source", bounds=(0.0, 1000.0))
    look_keep: float = option(
        4.0, "weight of the distance from the source where the mask of --keep is white", bounds=(0.0, 1000.0)
    )
    look_steady: float = option(16.0, "weight of the temporal-consistency loss", bounds=(0.0, 1000.0))


@dataclass(frozen=True)
class ClassMethodSettings(MethodSettings):
    """Settings of the training method ``classes``, which learns label maps."""

    class_balance: float = option(
        0.25,
        "additional weight of rare classes: 0 none, 1 gives all classes the same weight",
        bounds=(0.0, 1.0),
    )


# Setting ``lambda_latent`` of all methods with style codes.
_LATENT = option(0.5, "weight of the error of the style code that is recovered from the output", bounds=(0.0, 100.0))


# Setting ``lambda_kl`` of all methods with style codes.
_KL = option(0.01, "weight of the distance of style codes from a normal distribution", bounds=(0.0, None))


@dataclass(frozen=True)
class UnpairedMethodSettings(MethodSettings):
    """Settings that all training methods without pairs share."""

    pool_size: int = option(50, "number of earlier outputs that discriminators judge, too; 0: none", bounds=(0, 1000))
    lambda_identity: float = option(
        5.0,
        "weight of the identity loss: frames of the target do not change, so light and dark do not flip",
        bounds=(0.0, 1000.0),
    )
    identity_end: float = option(
        1.0, "share of the run after which lambda_identity is off, because it slows large changes", bounds=(0.0, 1.0)
    )
    lambda_steady: float = option(
        0.0,
        "weight of temporal consistency, with the previous frame along the motion and with a slightly moved copy",
        bounds=(0.0, 1000.0),
    )
    lambda_structure: float = option(
        0.0,
        "weight of edges where the input has edges, so that shapes stay in place; try 3",
        bounds=(0.0, 1000.0),
    )
    lambda_latent: float = _LATENT
    lambda_kl: float = _KL
    look_size: int = option(
        0, "length of the style code, which selects a look of the target with --look; 0: one look", bounds=(0, 64)
    )


@dataclass(frozen=True)
class CycleGANSettings(UnpairedMethodSettings):
    """Settings of the training method ``cyclegan``."""

    lambda_cycle: float = option(10.0, "weight of the cycle-consistency loss, the paper's λ", bounds=(0.0, 1000.0))


@dataclass(frozen=True)
class RecycleGANSettings(CycleGANSettings):
    """Settings of the training method ``recyclegan``."""

    lambda_recycle: float = option(
        10.0, "weight of the recycle loss, the cycle through predicted frames", bounds=(0.0, 1000.0)
    )
    lambda_prediction: float = option(10.0, "weight of the prediction of the next frame", bounds=(0.0, 1000.0))
    predictor_channels: int = option(32, "number of channels of the predictors", bounds=(4, 256))


@dataclass(frozen=True)
class CUTSettings(UnpairedMethodSettings):
    """Settings of the training method ``cut``."""

    lambda_contrastive: float = option(
        1.0, "weight of the contrastive loss, which keeps the content of the input", bounds=(0.0, 1000.0)
    )
    contrastive_features: str = option(
        DEFAULT,
        "features of the patches: own (those of the translator, as in the paper), or those of a frozen network",
        choices=("own", *MEASURES),
    )
    contrastive_patches: int = option(192, "number of patches that are compared in a picture", bounds=(2, 4096))
    contrastive_temperature: float = option(
        0.07, "temperature τ of the paper; lower values compare the nearest patches more strictly", bounds=(0.001, 10.0)
    )


@dataclass(frozen=True)
class BicycleGANSettings(MethodSettings):
    """Settings of the training method ``bicyclegan``."""

    lambda_latent: float = _LATENT
    lambda_kl: float = _KL
    code_size: int = option(8, "length of the style code, which selects the look", bounds=(1, 64))
    lambda_mode_seeking: float = option(
        0.0,
        "weight of the difference between looks (Mao et al., CVPR 2019); try 0.1 if looks are similar",
        bounds=(0.0, None),
    )


@dataclass(frozen=True)
class Method(Entry):
    """A training method. ``curves``: labels of losses that are not in ``LOSSES``; ``settings``: the settings class."""

    curves: Mapping[str, Label] = field(default_factory=dict)
    settings: type[MethodSettings] = MethodSettings


def own_settings(**settings: Any) -> type[MethodSettings]:  # noqa: ANN401  (fields, as of ``core.options.option``)
    """Return a settings class for a method in ``METHODS`` with few settings, each given as ``NAME=option(…)``."""
    typed = [(name, type(value.default), value) for name, value in settings.items()]
    return make_dataclass("OwnSettings", typed, bases=(MethodSettings,), frozen=True)


def weight_key(loss: str) -> str:
    """Return the name of the setting that holds a loss's weight."""
    return f"lambda_{loss}"


# Labels of the losses of style codes, by column of losses.csv.
_CODE_LOSS_LABELS = {
    "latent": Label("Codes", "Error of the code that is recovered from an output.", aim=-math.inf),
    "kl": Label("Codes: KL", "Distance of the codes from a normal distribution, in nats."),
}


# Labels of the losses that several methods share, by column of losses.csv.
_SHARED_LOSS_LABELS = {
    "discriminator": Label("D", "Near 0, D has won: it gives G almost no gradient."),
    "source_discriminator": Label("D of the source", "Loss of the discriminator of the source domain."),
    "identity": Label("Identity", "Change of the target's own frames; lower is better.", aim=-math.inf),
    "memory": Label("Memory", "Recurrent output: distance to the new picture, plus adversarial."),
    "steady": Label("Steadiness", "Difference of outputs along the motion; lower is better.", aim=-math.inf),
    "structure": Label("Structure", "Mismatch of edges of output and input; 0 is good.", aim=-math.inf),
    **_CODE_LOSS_LABELS,
}


# Training methods by the name in the setting ``training.method``.
METHODS = Registry(
    "training method",
    {
        "pix2pix": Method(
            "vidtrans.training.methods.pix2pix:Pix2Pix",
            "pairs, a generator and a discriminator: Isola et al., CVPR 2017",
            curves={
                "discriminator": _SHARED_LOSS_LABELS["discriminator"],
                "temporal_discriminator": Label(
                    "D: three frames", "Loss of D on three frames in a row; 0 in steps without any."
                ),
            },
        ),
        "classes": Method(
            "vidtrans.training.methods.class_method:ClassMethod",
            "label maps, a channel for each class, by cross-entropy: Long et al., CVPR 2015",
            curves={"cross_entropy": Label("Cross-entropy", "Of the right classes; lower is better.", aim=-math.inf)},
            settings=ClassMethodSettings,
        ),
        "colour-classes": Method(
            "vidtrans.training.methods.class_method:ColourClassMethod",
            "grey to colour, with colours as classes: Zhang, Isola and Efros, ECCV 2016",
            curves={"cross_entropy": Label("Cross-entropy", "Of the right colours; lower is better.", aim=-math.inf)},
        ),
        "look": Method(
            "vidtrans.training.methods.look_method:LookMethod",
            "a painter and style pictures: Johnson et al., ECCV 2016; see 'vidtrans look'",
            curves={
                "style": Label("Style", "Distance to the style of the pictures; lower is better.", aim=-math.inf),
                "content": Label("Content", "Distance to the content of the frames; lower is better.", aim=-math.inf),
                "colour": Label("Colour", "Distance to the colours of the style pictures.", aim=-math.inf),
                "tone": Label("Tone", "Difference of light and dark areas from those of the frames.", aim=-math.inf),
                "steadiness": Label(
                    "Steadiness",
                    "Difference to the previous output along the motion, or to a moved view.",
                    aim=-math.inf,
                ),
            },
            settings=LookMethodSettings,
        ),
        "cyclegan": Method(
            "vidtrans.training.methods.cyclegan:CycleGAN",
            "two domains without pairs, two translators: Zhu et al., ICCV 2017",
            curves={
                "cycle": Label("Cycle", "Difference of the input and its round trip.", aim=-math.inf),
                **_SHARED_LOSS_LABELS,
            },
            settings=CycleGANSettings,
        ),
        "recyclegan": Method(
            "vidtrans.training.methods.recyclegan:RecycleGAN",
            "CycleGAN with a cycle through predicted frames: Bansal et al., ECCV 2018",
            curves={
                "recycle": Label(
                    "Recycle", "Error of the frame after translation, prediction and back.", aim=-math.inf
                ),
                "prediction": Label("Prediction", "Error of the predicted next frame.", aim=-math.inf),
                "cycle": Label("Cycle", "Difference of the input and its round trip.", aim=-math.inf),
                **_SHARED_LOSS_LABELS,
            },
            settings=RecycleGANSettings,
        ),
        "cut": Method(
            "vidtrans.training.methods.cut:CUT",
            "two domains without pairs, one translator, patches: Park et al., ECCV 2020",
            curves={
                "contrastive": Label(
                    "Patches", "Error of matching output patches to their input patches.", aim=-math.inf
                ),
                **_SHARED_LOSS_LABELS,
            },
            settings=CUTSettings,
        ),
        "bicyclegan": Method(
            "vidtrans.training.methods.bicyclegan:BicycleGAN",
            "pairs, with many looks for one input: Zhu et al., NeurIPS 2017",
            curves={
                "discriminator": _SHARED_LOSS_LABELS["discriminator"],
                "drawn_gan": Label("G: drawn looks", "Adversarial loss of G with random codes."),
                **_CODE_LOSS_LABELS,
                "mode_seeking": Label(
                    "Difference", "Code difference over picture difference; large if looks are alike."
                ),
            },
            settings=BicycleGANSettings,
        ),
    },
    group="training_methods",
)


# The first two losses make up the loss of the pix2pix paper.
# Terms of the generator's loss by name, in the order of the columns of losses.csv.
LOSSES = Registry(
    "loss",
    {
        "gan": Loss(
            "vidtrans.training.losses.adversarial:GAN",
            "the adversarial loss; 0: no discriminator",
            Label("G: adversarial", "Adversarial loss of G. It need not fall, because D also learns."),
            weight=1.0,
            reported=True,
        ),
        "l1": Loss(
            "vidtrans.training.losses.pixels:L1",
            "the L1 loss, the paper's λ",
            Label("G: L1", "Mean distance to the target, where colours are from −1 to 1."),
            weight=100.0,
            reported=True,
        ),
        "l2": Loss(
            "vidtrans.training.losses.pixels:L2",
            "the mean squared error: large errors count more; softer than the L1",
            Label("G: L2", "Mean squared distance to the target.", unit="squared"),
        ),
        "gradients": Loss(
            "vidtrans.training.losses.pixels:Gradients",
            "the L1 of differences between neighbouring pixels (edges); try half of lambda_l1",
            Label("G: gradients", "Distance between the differences of neighbouring pixels."),
        ),
        "feature_matching": Loss(
            "vidtrans.training.losses.adversarial:FeatureMatching",
            "the L1 between D's features of output and target: sharper, steadier; try 10",
            Label("G: feature matching", "Distance between D's features of output and target."),
            needs=("lambda_gan",),
        ),
        "texture": Loss(
            "vidtrans.training.losses.pixels:Texture",
            "the difference in fine texture around each pixel: no blur, no noise; try 60",
            Label("G: texture", "Difference in how much fine texture there is around each place."),
            alone=False,
        ),
        "perceptual": Loss(
            "vidtrans.training.losses.perceptual:Perceptual",
            "the perceptual distance between output and target; try 1",
            Label("G: perceptual", "Distance between output and target as a network sees them."),
        ),
        "temporal": Loss(
            "vidtrans.training.losses.pixels:Temporal",
            "the L1 to the previous output where the source is unchanged: steadier, softer",
            Label("G: temporal", "Distance to the previous output where the source is unchanged."),
            weight=4.0,
            needs=("recurrent",),
            alone=False,
        ),
        "temporal_gan": Loss(
            "vidtrans.training.losses.adversarial:TemporalGAN",
            "vid2vid's second discriminator, which judges three consecutive frames; try 1",
            Label("G: three frames", "Adversarial loss of three outputs in a row; 0 in steps without any."),
            needs=("recurrent", "lambda_gan"),
            alone=False,
        ),
    },
    group="losses",
)


# Adversarial objectives (loss functions of D and G) by the name in the setting ``training.gan_mode``.
ADVERSARIAL = Registry(
    "adversarial objective",
    {
        "bce": Entry(
            "vidtrans.training.losses.adversarial:CrossEntropy",
            "cross-entropy, the paper's: the probability that a picture is real",
        ),
        "least-squares": Entry(
            "vidtrans.training.losses.adversarial:LeastSquares", "least squares (LSGAN): steadier, never saturates"
        ),
        "hinge": Entry("vidtrans.training.losses.adversarial:Hinge", "hinge loss, as in SPADE: D stops at a margin"),
    },
)


def plugins_in_use(losses: Iterable[str], method: str, generator: str = "") -> dict[str, Any]:
    """Return ``{"plugins": …}`` with the plug-in packages of these losses, method and generator; {} without any."""
    origins = {name: LOSSES.origin(name) for name in losses} | {"method": METHODS.origin(method)}
    origins |= {"generator": GENERATORS.origin(generator)} if generator else {}
    found = {name: origin["plugin"] for name, origin in origins.items() if origin}
    return {"plugins": found} if found else {}
