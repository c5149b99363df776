"""The settings of each training method. They need no torch, so that presets and flags are checked quickly."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.core.options import option
from vidtrans.perception import MEASURES


@dataclass(frozen=True)
class MethodSettings:
    """A method's own settings, here none; methods with settings have a subclass, named in ``METHODS``."""


@dataclass(frozen=True)
class LookMethodSettings(MethodSettings):
    """Settings of ``look``."""

    look_pictures: tuple[str, ...] = option((), "paths of the style pictures, one for each look")
    look_measure: str = option("auto", "the measure that compares styles", choices=("auto", *MEASURES))
    look_style: float = option(
        0.35, "weight of the style: 0.2 for a hint of it, 1 where strokes may hide the content", bounds=(0.0, 1000.0)
    )
    look_colour: float = option(10.0, "weight of the colours", bounds=(0.0, 1000.0))
    look_keep: float = option(
        4.0, "weight of the distance from the source where the mask of --keep is white", bounds=(0.0, 1000.0)
    )
    look_steady: float = option(16.0, "weight of the temporal-consistency loss", bounds=(0.0, 1000.0))


@dataclass(frozen=True)
class ClassMethodSettings(MethodSettings):
    """Settings of ``classes``."""

    class_balance: float = option(
        0.25,
        "how much more the pixels of rare classes weigh: 0 not at all, 1 so that all classes count alike",
        bounds=(0.0, 1.0),
    )


_LATENT = option(0.5, "weight of recovering the style code from the output", bounds=(0.0, 100.0))
_KL = option(0.01, "weight of the codes' distance from a normal distribution", bounds=(0.0, None))


@dataclass(frozen=True)
class UnpairedMethodSettings(MethodSettings):
    """Settings of all methods without pairs."""

    pool_size: int = option(50, "earlier outputs in the pool that discriminators see too; 0 for none", bounds=(0, 1000))
    lambda_identity: float = option(
        5.0, "weight of leaving the target's own frames as they are: light and dark do not flip", bounds=(0.0, 1000.0)
    )
    identity_end: float = option(
        1.0, "share of the run after which lambda_identity is off, since it slows large changes", bounds=(0.0, 1.0)
    )
    lambda_steady: float = option(
        0.0,
        "weight of temporal consistency: with the previous frame along the motion, and with a slightly moved copy",
        bounds=(0.0, 1000.0),
    )
    lambda_structure: float = option(
        0.0,
        "weight of keeping edges where the input has them, so that shapes stay in place; try 3",
        bounds=(0.0, 1000.0),
    )
    lambda_latent: float = _LATENT
    lambda_kl: float = _KL
    look_size: int = option(
        0, "size of the style code, which selects one of the target's looks with --look; 0: one look", bounds=(0, 64)
    )


@dataclass(frozen=True)
class CycleGANSettings(UnpairedMethodSettings):
    """Settings of ``cyclegan``."""

    lambda_cycle: float = option(10.0, "weight of the cycle-consistency loss, the paper's λ", bounds=(0.0, 1000.0))


@dataclass(frozen=True)
class RecycleGANSettings(CycleGANSettings):
    """Settings of ``recyclegan``."""

    lambda_recycle: float = option(
        10.0, "weight of the recycle loss, the cycle through predicted frames", bounds=(0.0, 1000.0)
    )
    lambda_prediction: float = option(10.0, "weight of predicting the next frame", bounds=(0.0, 1000.0))
    predictor_channels: int = option(32, "width of the predictors", bounds=(4, 256))


@dataclass(frozen=True)
class CUTSettings(UnpairedMethodSettings):
    """Settings of ``cut``."""

    lambda_contrastive: float = option(
        1.0, "weight of the contrastive loss, which keeps the content of the input", bounds=(0.0, 1000.0)
    )
    contrastive_features: str = option(
        "auto",
        "features of the patches; own: the translator's, as in the paper; else a frozen network's",
        choices=("own", "auto", *(name for name in MEASURES if name != "patches")),
    )
    contrastive_patches: int = option(192, "patches of a picture that are compared", bounds=(2, 4096))
    contrastive_temperature: float = option(
        0.07, "the paper's τ: lower is more exacting about the nearest places", bounds=(0.001, 10.0)
    )


@dataclass(frozen=True)
class BicycleGANSettings(MethodSettings):
    """Settings of ``bicyclegan``."""

    lambda_latent: float = _LATENT
    lambda_kl: float = _KL
    code_size: int = option(8, "size of the style code, which selects the look", bounds=(1, 64))
    lambda_mode_seeking: float = option(
        0.0, "weight of looks that differ (Mao et al., CVPR 2019); try 0.1 where they are alike", bounds=(0.0, None)
    )
