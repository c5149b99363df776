"""A chain of models, used like a single model: its pairing, the engine that runs the models, and their sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.files import canonical_json, digest_of
from vidtrans.core.settings import Table, parse_size
from vidtrans.inference.engine import Engine
from vidtrans.models.loaded_model import OWN_SIZES, LoadedModel, load_engine, load_model
from vidtrans.models.model_file import IDENTITY
from vidtrans.networks.code_planes import append_planes
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.look_pairing import LookPairing
from vidtrans.pairing.pairing_records import pairing_record
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.images.picture import resize

PixelSize = tuple[int, int]  # Size of a picture: (width, height) in pixels
SEPARATOR = "+"  # Separator between the models' names in the name of a chain


class ChainPairing(Pairing):
    """The pairing of a chain of models, which makes the chain's input like the pairing of the ``first`` model.

    If the first pairing ``finishes``, it needs the frame together with the network's output: then the chain's input is
    the frame, and the chain computes the network's input from the frame. ``upscale_factor``: the factor of the chain.
    """

    name = "chain"

    def __init__(self, first: Pairing, upscale_factor: int) -> None:
        """Create the pairing of a chain; ``first``: the pairing of its first model."""
        super().__init__(first.settings)
        self._first, self.upscale_factor = first, upscale_factor
        self.in_channels = chain_channels(first)
        self.offsets, self.guides, self.extraction = first.offsets, first.guides, first.extraction
        self.deep = first.deep

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return the chain's input, (H, W, in_channels): the frame or the first network's input; see ``ChainPairing``.

        ``frames``: the frame and, if the first model needs them, its neighbours, (H, W, 3) each.
        """
        return frames[0] if self._first.finishes else self._first.input(frames)

    def drawing_input(self, picture: np.ndarray) -> np.ndarray:
        """Return the input that the first model's pairing makes of a drawing (H, W, 3) uint8."""
        return self._first.drawing_input(picture)


def chain_channels(first: Pairing) -> int:
    """Return the number of channels of a chain's input: 3 (the frame) if the ``first`` pairing has a last step.

    Otherwise it is the number of the first network's input channels; see ``ChainPairing``.
    """
    return 3 if first.finishes else first.in_channels


@dataclass(frozen=True)
class ChainLink:
    """One model of a chain: its ``pairing``, its ``engine``, and the (width, height) of its network's input.

    ``has_codes``: the model takes a style code as constant channels in addition to its input. If ``pairing.finishes``,
    the output has the size of the input picture, otherwise the network's size.
    """

    pairing: Pairing
    engine: Engine
    network: PixelSize
    has_codes: bool = False

    def __call__(self, pictures: Sequence[np.ndarray], values: np.ndarray, *, deep: bool) -> list[np.ndarray]:
        """Return this model's output for each of the previous model's pictures with its conditions, ``values`` (N, P).

        Args:
            pictures: (H, W, 3) uint8, or uint16 of a ``deep`` chain, all of one size.
            values: (N, P) uint8, the conditions of each picture for a multi-style model; P is 0 without any.
            deep: return uint16 pictures.
        """
        inputs = [self._input(*item) for item in zip(pictures, values, strict=True)]
        outputs = list(self.engine(np.stack(inputs), deep=deep))
        return [self._finish(*item) for item in zip(pictures, outputs, inputs, strict=True)]

    def _input(self, picture: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return the network's input for a picture (H, W, 3), with the conditions ``values`` (P,) as constant planes.

        The conditions are the style weights or the style code of a multi-style model.
        """
        picture = resize(picture if self.pairing.deep else to_uint8(picture), *self.network)
        if len(values) and isinstance(self.pairing, LookPairing):
            return self.pairing.with_planes(picture, values)
        network_input = self.pairing.input([picture])
        return append_planes(network_input, values) if self.has_codes else network_input

    def _finish(self, picture: np.ndarray, output: np.ndarray, net_input: np.ndarray) -> np.ndarray:
        """Return the model's output; if the pairing has a last step, ``finish``, it is at the size of ``picture``.

        ``picture``: the source; ``output``, ``net_input``: output and input of the network.
        """
        if not self.pairing.finishes:
            return output
        size = picture.shape[1], picture.shape[0]
        return self.pairing.finish(picture, resize(output, *size), resize(net_input, *size))


class ChainEngine:
    """An engine that runs the ``links`` in order on the input of a ``ChainPairing``; outputs have the size ``size``.

    Additional constant channels of the input are the conditions of the multi-style model, except for a first
    ``LookPairing``, whose input contains them. Models exchange uint8 arrays, uint16 in a deep chain.
    """

    def __init__(self, links: Sequence[ChainLink], size: PixelSize) -> None:
        """Create the engine; ``size``: the (width, height) of the chain's output."""
        self._links, self._size = links, size
        engines = [link.engine for link in links]
        self.batch = max(engine.batch for engine in engines)
        self.device_kind = engines[0].device_kind
        self.precision = "+".join(dict.fromkeys(engine.precision for engine in engines))
        self.identity = self._join_identities([engine.identity for engine in engines])

    def _join_identities(self, identities: Sequence[dict[str, str]]) -> dict[str, str]:
        """Return the chain's properties that affect the results, for cache keys, from those of its engines."""
        joined = {
            name: "+".join(dict.fromkeys(identity[name] for identity in identities))
            for name in ("engine", "precision", "device")
        }
        joined["chain"] = canonical_json([identities, [link.network for link in self._links], self._size])
        return joined

    def identity_at(self, width: int, height: int) -> dict[str, str]:
        """Return the properties that affect the results, for cache keys, at the size that the chain gives each network.

        The arguments have no effect.
        """
        return self._join_identities([link.engine.identity_at(*link.network) for link in self._links])

    def batch_for(self, height: int, width: int) -> int:
        """Return the largest batch size of the engines; the picture size has no effect."""
        return max(link.engine.batch_for(*reversed(link.network)) for link in self._links)

    @property
    def exact(self) -> list[str]:
        """Return the operators that an engine computes in fp32, because a lower precision gives wrong results."""
        return sorted({name for link in self._links for name in getattr(link.engine, "exact", ())})

    @property
    def tile(self) -> int | None:
        """Return the longest side, in pixels, of the smallest tiles of any network; None if no network uses tiles."""
        tiles = [tile for link in self._links if (tile := getattr(link.engine, "tile", None))]
        return min(tiles, default=None)

    def __call__(self, inputs: np.ndarray, *, deep: bool = False) -> np.ndarray:
        """Run (N, h, w, C) uint8 or uint16 → (N, H, W, 3) uint8, or uint16 if ``deep``, at the chain's size."""
        first, channels = self._links[0], chain_channels(self._links[0].pairing)
        values, all_channels, inputs = inputs[:, 0, 0, channels:], inputs, inputs[..., :channels]
        if values.dtype == np.uint16:
            values = (values >> 8).astype(np.uint8)  # Not by ``to_uint8``, which rejects empty arrays
        if first.pairing.finishes:
            pictures = first(list(inputs), values, deep=deep)
        else:
            pictures = list(first.engine(all_channels if first.has_codes else inputs, deep=deep))
        for link in self._links[1:]:
            pictures = link(pictures, values, deep=deep)
        return np.stack([resize(picture, *self._size) for picture in pictures])


@dataclass(frozen=True)
class ModelChain(LoadedModel):
    """Several models, each of which takes the output of the previous model as its source.

    ``steps``: the models in order; ``digest`` covers their digests and pairings. A model runs at the size that it was
    trained at. Exceptions keep the size of their source: models that map the colours of single pixels, or that restore
    the pixels of the frame (``Pairing.finishes``).
    """

    steps: tuple[LoadedModel, ...] = ()

    @property
    def parts(self) -> tuple[LoadedModel, ...]:
        """Return the models of the chain in order."""
        return self.steps

    def with_changes(self, changes: Table) -> ModelChain:
        """Return the chain with changed settings of the first model's pairing."""
        first, *others = self.steps
        return replace(self, steps=(first.with_changes(changes), *others)) if changes else self

    @property
    def pairing(self) -> Pairing:
        """Return the pairing that makes the chain's input from a frame."""
        return ChainPairing(self.steps[0].pairing, prod(step.pairing.upscale_factor for step in self.steps))

    def check_renders(self) -> None:
        """Raise UsageError for a model that cannot be in a chain, or not at its position in the chain."""
        enlarged = ""
        for number, step in enumerate(self.steps):
            step.check_renders()
            if why := _chain_obstacle(step, first=number == 0):
                remedy = "render it alone first, then the other models on its result"
                raise UsageError(f"model '{step.name}' in a chain", why, remedy)
            if enlarged and not _keeps_source_size(step):
                why = f"it paints at its own size, so the enlargement by '{enlarged}' is lost"
                raise UsageError(f"model '{step.name}' in a chain", why, f"give '{enlarged}' after it")
            enlarged = step.name if step.pairing.upscale_factor > 1 else enlarged

    @property
    def maps_colours(self) -> bool:
        """Return whether all models map the colours of single pixels."""
        return all(step.maps_colours for step in self.steps)

    def working_size(self, size: str, source: PixelSize) -> PixelSize:
        """Return the (width, height) of the chain's output, which is also the size at which source frames are read.

        ``size``: a value of ``rendering.size``; ``source``: the (width, height) of the source.
        """
        width, height = self._painted_size(size, source)
        factor = prod(step.pairing.upscale_factor for step in self.steps)
        return width * factor, height * factor

    def input_size(self, size: str, source: PixelSize) -> PixelSize:
        """Return the (width, height) of the frames that the first model receives."""
        first = self.steps[0]
        return self._painted_size(size, source) if first.pairing.finishes else self.network_sizes(size, source)[0]

    def network_sizes(self, size: str, source: PixelSize) -> list[PixelSize]:
        """Return the (width, height) of each network's input, in the order of the models.

        ``size``: a value of ``rendering.size``; ``source``: the (width, height) of the source.
        """
        sizes: list[PixelSize] = []
        current = self._painted_size(size, source)
        for step in self.steps:
            if step.pairing.at_source_size:
                factor = step.pairing.upscale_factor
                current = current[0] * factor, current[1] * factor
                sizes.append(current)
            elif step.pairing.finishes:
                sizes.append(step.size_for(size).of(*source) if size in OWN_SIZES else current)
            else:
                current = step.size_for(size).of(*source)
                sizes.append(current)
        return sizes

    def _painted_size(self, size: str, source: PixelSize) -> PixelSize:
        """Return the (width, height) of the chain's output before upscaling.

        For an own size of the models (``OWN_SIZES``) it is the largest of their sizes, or the source's if all models
        keep the size of their source.
        """
        if size not in OWN_SIZES:
            return parse_size(size).of(*source)
        sizes = [step.size_for(size).of(*source) for step in self.steps if not _keeps_source_size(step)]
        return max(sizes, default=source)


def _keeps_source_size(model: LoadedModel) -> bool:
    """Return whether a model's output keeps the size and detail of its source, whatever the training size."""
    return model.pairing.at_source_size or model.pairing.finishes


def _chain_obstacle(model: LoadedModel, *, first: bool) -> str:
    """Return the reason why a model cannot be in a chain, or only as the ``first`` one; '' if it can."""
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


def without_identity(names: Sequence[str]) -> list[str]:
    """Return the model names without 'identity', or only 'identity' if no other name is left."""
    return [name for name in names if name != IDENTITY] or [IDENTITY]


def load_model_chain(names: Sequence[str], context: Context, changes: Mapping[str, Any]) -> LoadedModel:
    """Find the models of a render and return a ``ModelChain``, or the model itself if there is only one.

    'identity' is left out of a chain. ``changes``: settings of the first model's pairing. Raises like ``load_model``,
    and UsageError if ``names`` is empty.
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
