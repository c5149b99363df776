"""CUT: unpaired training of one translator, whose output patches match the input patches at the same positions.

Park et al., "Contrastive Learning for Unpaired Image-to-Image Translation", ECCV 2020. Each output patch must match the
input patch at its position better than other input patches. Patches are compared by the translator's own features,
projected by a small network, or by those of a frozen network, which are meaningful from the first step on.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.errors import UsageError
from vidtrans.networks.init import inner_generator
from vidtrans.perception import MEASURES, load_measure
from vidtrans.training import CUTSettings
from vidtrans.training.methods.base import Setup
from vidtrans.training.methods.unpaired_method import TARGET, Translation, UnpairedMethod
from vidtrans.training.picture_codes import TargetCodes, append_code_planes
from vidtrans.training.settings import TrainingSettings

PROJECTED_CHANNELS = 64  # Channels of projected features; the paper's 256 are slower and no better in short runs.
OWN = "own"  # Value of ``contrastive_features`` that selects the translator's own features.
# Remedy in error messages about the translator's features.
FROZEN = "--set training.contrastive_features=efficientnet for a frozen network"


class Projection(nn.Module):
    """CUT's network H, which projects patch features before they are compared: two linear layers per feature layer.

    (N, patches, C) → (N, patches, ``PROJECTED_CHANNELS``). ``channels``: C of each feature layer.
    """

    smallest = 1

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Linear(count, PROJECTED_CHANNELS), nn.ReLU(), nn.Linear(PROJECTED_CHANNELS, PROJECTED_CHANNELS)
            )
            for count in channels
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Project the patch features of each layer, (N, patches, C)."""
        return [layer(f) for layer, f in zip(self.layers, features, strict=True)]


class CUT(UnpairedMethod):
    """The CUT method. Losses of a step: gan, contrastive, identity, steady, structure, and the discriminator's loss.

    ``network``: the frozen network whose features compare patches; None for the translator's own features.
    """

    def __init__(
        self,
        setup: Setup,
        translators: dict[str, nn.Module],
        discriminators: dict[str, nn.Module],
        network: Any,  # noqa: ANN401  (a measure with ``features``; None for the translator's own)
    ) -> None:
        super().__init__(setup, translators, discriminators)
        own_settings = self.settings.own(CUTSettings)
        self.count, self.temperature = own_settings.contrastive_patches, own_settings.contrastive_temperature
        self.feature_network = network and network.to(self.device.torch)

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Build the method with the translator G, its discriminator D_Y and the projection H. Raises UsageError."""
        full_generator = setup.make_generator()
        generator: Any = inner_generator(full_generator)
        own_settings = setup.settings.own(CUTSettings)
        frozen = _frozen_network_name(own_settings.contrastive_features)
        if not frozen and own_settings.look_size:
            why = "a translator of many looks has different features for each look"
            raise UsageError("training.look_size", why, f"use {FROZEN}")
        if not frozen and not hasattr(generator, "forward_with_taps"):
            why = "this generator does not return its inner features"
            remedy = f"use --set generator.name=translator, or {FROZEN}"
            raise UsageError("training.method=cut", why, remedy)
        network: Any = load_measure(frozen) if frozen else None
        with torch.no_grad():
            blank = torch.zeros(1, 3, 64, 64)
            taps = network.features(blank) if frozen else generator.taps(blank)
        projection = Projection([tap.shape[1] for tap in taps])
        setup.initialise(projection, 1)
        translators = {"generator": full_generator, "projection": projection}
        return cls(setup, translators, {TARGET: setup.make_discriminator(3, 2)}, network)

    @staticmethod
    def own_weights(settings: TrainingSettings) -> dict[str, float]:
        """Return the weights of the contrastive (PatchNCE), identity and steadiness losses by name."""
        own_settings = settings.own(CUTSettings)
        return {
            "contrastive": own_settings.lambda_contrastive,
            "identity": own_settings.lambda_identity,
            "steady": own_settings.lambda_steady,
        }

    @staticmethod
    def identity(settings: TrainingSettings) -> str:
        """Return the identifier of the frozen network, for the run's cache key.

        Raises UsageError if it is not installed.
        """
        frozen = _frozen_network_name(settings.own(CUTSettings).contrastive_features)
        identity: str = MEASURES.load(frozen).identity() if frozen else OWN
        return identity

    def translate(
        self, discriminator: str, x: Tensor, y: Tensor, random: torch.Generator, weights: Collection[str]
    ) -> Translation:
        """Return outputs and unweighted losses: gan, contrastive and, if in ``weights``, identity and steady.

        See ``UnpairedMethod.translate``.
        """
        frames, look = torch.cat([x[:, :3], y[:, :3]]), self.encode_look(y[:, :3], random)
        output, keys = self._forward(frames, look and look._replace(code=look.code.repeat(2, 1)))
        count = len(x)
        fake = output[:count]
        losses = {
            "gan": self.adversarial_loss(discriminator, fake),
            "contrastive": self._contrastive(self._features(output), keys, random),
        }
        if "identity" in weights:
            losses["identity"] = (output[count:] - frames[count:]).abs().mean()
        if "steady" in weights:
            generate = lambda frames: self.run(self.generator, append_code_planes(frames, look))  # noqa: E731
            losses["steady"] = self.steadiness(generate, x, fake, random)
        return Translation(losses, fake, look)

    def _forward(self, frames: Tensor, look: TargetCodes | None) -> tuple[Tensor, list[Tensor]]:
        """Return the outputs for ``frames``, (N, 3, H, W), and the frames' features by layer; ``look``: style codes."""
        with self.g.autocast():
            if self.feature_network is None:
                network: Any = inner_generator(self.generator)
                output, taps = network.forward_with_taps(frames)
                return output.float(), [tap.detach() for tap in taps]
            output = self.run(self.generator, append_code_planes(frames, look))
            with torch.no_grad():
                return output, self.feature_network.features(frames)

    def _features(self, pictures: Tensor) -> list[Tensor]:
        """Return the features of pictures by layer, from the translator or the frozen network."""
        network: Any = inner_generator(self.generator)
        with self.g.autocast():
            features: list[Tensor] = (
                network.taps(pictures) if self.feature_network is None else self.feature_network.features(pictures)
            )
            return features

    def _contrastive(self, queries: list[Tensor], keys: list[Tensor], random: torch.Generator) -> Tensor:
        """Return the PatchNCE loss, the mean over layers: the cross-entropy of matching output to input patches.

        ``queries``, ``keys``: features of outputs and of inputs by layer, (N, C, h, w) each.
        """
        sizes = [query.shape[2] * query.shape[3] for query in queries]
        positions = [torch.randperm(size, generator=random)[: self.count] for size in sizes]  # Flat, row-major.
        project = self.networks["projection"]
        projected = (project(list(map(_select_patches, side, positions))) for side in (queries, keys))
        losses = []
        for query, key in zip(*projected, strict=True):
            logits = F.normalize(query, dim=-1) @ F.normalize(key.detach(), dim=-1).transpose(1, 2) / self.temperature
            labels = torch.arange(logits.shape[1], device=logits.device).expand(len(logits), -1)
            losses.append(F.cross_entropy(logits.flatten(0, 1), labels.flatten()))
        return torch.stack(losses).mean()


def _frozen_network_name(name: str) -> str:
    """Return the name of the frozen network that a setting selects; '' for the translator's own features."""
    return name if name != OWN and hasattr(MEASURES.load(name), "features") else ""


def _select_patches(features: Tensor, positions: Tensor) -> Tensor:
    """Return the features at flat pixel ``positions``, (N, patches, C) float32."""
    return features.float().flatten(2)[:, :, positions.to(features.device)].transpose(1, 2)
