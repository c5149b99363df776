"""A chain of models: several models rendered one after the other, used as a single model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_of
from vidtrans.core.settings import Table, parse_size
from vidtrans.inference.chain_engine import ChainEngine, ChainLink
from vidtrans.models.loaded_model import OWN_SIZES, LoadedModel, load_engine, load_model
from vidtrans.models.model_file import IDENTITY
from vidtrans.pairing.base import ChainPairing, Pairing
from vidtrans.pairing.pairing_records import pairing_record
from vidtrans.pipeline.settings import RenderingSettings
from vidtrans.session import Context

PixelSize = tuple[int, int]  # width, height
SEPARATOR = "+"  # between the models' names


@dataclass(frozen=True)
class ModelChain(LoadedModel):
    """Several models, each of which takes the output of the model before it as its source.

    ``steps``: the models in order; ``digest`` covers their digests and pairings. A model runs at the size that it was
    trained for, except one that maps the colours of single pixels or restores the frame's pixels
    (``Pairing.finishes``): it keeps the size of its source.
    """

    steps: tuple[LoadedModel, ...] = ()

    @property
    def parts(self) -> tuple[LoadedModel, ...]:
        """Return the models in order."""
        return self.steps

    def with_changes(self, changes: Table) -> ModelChain:
        """Return the chain with other settings of its first model's pairing."""
        first, *others = self.steps
        return replace(self, steps=(first.with_changes(changes), *others)) if changes else self

    @property
    def pairing(self) -> Pairing:
        """Return the pairing that makes the chain's input from a raw frame."""
        return ChainPairing(self.steps[0].pairing, prod(step.pairing.upscale_factor for step in self.steps))

    def check_renders(self) -> None:
        """Raise UsageError for a model that cannot be in a chain, or not at its position in it."""
        enlarged = ""
        for number, step in enumerate(self.steps):
            step.check_renders()
            if why := _alone(step, first=number == 0):
                raise _refused(step, why, "render it alone first, then the other models on its result")
            if enlarged and not _follows(step):
                why = f"it paints at its own size, so the enlargement by '{enlarged}' is lost"
                raise _refused(step, why, f"give '{enlarged}' after it")
            enlarged = step.name if step.pairing.upscale_factor > 1 else enlarged

    @property
    def maps_colours(self) -> bool:
        """Whether every model of the chain maps colours pixel by pixel."""
        return all(step.maps_colours for step in self.steps)

    def working_size(self, wanted: str, source: PixelSize) -> PixelSize:
        """Return the (width, height) of the chain's output, at which sources are read, for a ``rendering.size``."""
        width, height = self._painted_size(wanted, source)
        factor = prod(step.pairing.upscale_factor for step in self.steps)
        return width * factor, height * factor

    def input_size(self, wanted: str, source: PixelSize) -> PixelSize:
        """Return the (width, height) of the frames that the first model gets."""
        first = self.steps[0]
        return self._painted_size(wanted, source) if first.pairing.finishes else self.network_sizes(wanted, source)[0]

    def network_sizes(self, wanted: str, source: PixelSize) -> list[PixelSize]:
        """Return the (width, height) at which each network of the chain runs, in order."""
        sizes: list[PixelSize] = []
        current = self._painted_size(wanted, source)
        for step in self.steps:
            if step.pairing.at_source_size:
                factor = step.pairing.upscale_factor
                current = current[0] * factor, current[1] * factor
                sizes.append(current)
            elif step.pairing.finishes:
                sizes.append(step.size_for(wanted).of(*source) if wanted in OWN_SIZES else current)
            else:
                current = step.size_for(wanted).of(*source)
                sizes.append(current)
        return sizes

    def _painted_size(self, wanted: str, source: PixelSize) -> PixelSize:
        """Return the (width, height) of the largest picture of the chain before upscaling.

        This is the source's size if no model paints at a size of its own.
        """
        if wanted not in OWN_SIZES:
            return parse_size(wanted).of(*source)
        own = [step.size_for(wanted).of(*source) for step in self.steps if not _follows(step)]
        return max(own, default=source)


def _follows(model: LoadedModel) -> bool:
    """Return whether a model's output keeps the size and detail of its source, whatever size it was trained for."""
    return model.pairing.at_source_size or model.pairing.finishes


def _alone(model: LoadedModel, *, first: bool) -> str:
    """Return the reason why a model cannot be in a chain, or not after another model; '' if it can."""
    pairing = model.pairing
    if model.is_recurrent:
        return "its input includes its previous output"
    if pairing.uses_mask:
        return "its input has a matte" if pairing.needs_matte else "it paints only where the mask is"
    if first:
        return ""
    if pairing.offsets != (0,):
        return "its input includes earlier frames of its source"
    if pairing.guides:
        return "its input is a folder of guides"
    if pairing.extraction:
        return "another network makes its input from the frames of its source"
    if model.record and model.record.plate:
        return "it knows the background of one scene, which frames painted by another model do not show"
    return ""


def _refused(model: LoadedModel, why: str, remedy: str) -> UsageError:
    return UsageError(f"model '{model.name}' in a chain", why, remedy)


def without_identity(names: Sequence[str]) -> list[str]:
    """Return the model names without ``identity``; if nothing else is left, return ``identity`` alone."""
    return [name for name in names if name != IDENTITY] or [IDENTITY]


def load_models_in_turn(names: Sequence[str], context: Context, changes: Mapping[str, Any]) -> LoadedModel:
    """Find the models of a render and return them as a ``ModelChain``; return a single model as it is.

    ``identity`` is left out of a chain. ``changes`` are settings of the first model's pairing. Raises as
    ``load_model``, and UsageError if ``names`` is empty.
    """
    if not names:
        raise UsageError("--model", "no model was given", "give one, or several to apply one after the other")
    first, *others = without_identity(names)
    steps = [load_model(first, context, changes), *(load_model(name, context) for name in others)]
    if not others:
        return steps[0]
    digest = digest_of([[step.digest, pairing_record(step.pairing)] for step in steps])
    name, extractor = SEPARATOR.join(step.name for step in steps), steps[0].extractor
    return ModelChain(None, digest, name, None, extractor=extractor, steps=tuple(steps))


def load_chain_engine(
    chain: ModelChain, settings: RenderingSettings, source: PixelSize, context: Context
) -> ChainEngine:
    """Return the chain's engine for a source (width, height). Raises ModelError, DeviceError, UsageError."""
    sizes = chain.network_sizes(settings.size, source)
    links = [
        ChainLink(step.pairing, load_engine(step, settings, context), size, step.has_codes)
        for step, size in zip(chain.steps, sizes, strict=True)
    ]
    return ChainEngine(links, chain.working_size(settings.size, source))
