"""Several models one after the other, as one engine: what one paints is what the next one sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidtrans.core.files import canonical_json
from vidtrans.inference.engine import Engine
from vidtrans.networks.code_planes import with_planes
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.chain import chain_channels
from vidtrans.pairing.look_pairing import LookPairing
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.images.picture import resize

PixelSize = tuple[int, int]  # width, height


@dataclass(frozen=True)
class ChainLink:
    """One model of a chain: its ``pairing``, its ``engine``, and the (width, height) at which its ``network`` runs.

    ``has_codes``: it has many looks, and takes the planes of a code beside its input.
    A pairing that finishes gives a picture of the size of the one that it gets; any other one of the network's size.
    """

    pairing: Pairing
    engine: Engine
    network: PixelSize
    has_codes: bool = False

    def __call__(self, pictures: Sequence[np.ndarray], values: np.ndarray, *, deep: bool) -> list[np.ndarray]:
        """Return this model's pictures of others.

        Args:
            pictures: (H, W, 3) uint8, or uint16 of a ``deep`` chain, of one size.
            values: (N, P) uint8, what the model with looks is told of each picture; P is 0 where it is told nothing.
            deep: whether the pictures that are made are uint16.
        """
        made = [self._input(*one) for one in zip(pictures, values, strict=True)]
        outputs = list(self.engine(np.stack(made), deep=deep))
        return [self._finished(*one) for one in zip(pictures, outputs, made, strict=True)]

    def _input(self, picture: np.ndarray, values: np.ndarray) -> np.ndarray:
        picture = resize(picture if self.pairing.deep else to_uint8(picture), *self.network)
        if len(values) and isinstance(self.pairing, LookPairing):
            return self.pairing.with_planes(picture, values)
        made = self.pairing.input([picture])
        return with_planes(made, values) if self.has_codes else made

    def _finished(self, picture: np.ndarray, output: np.ndarray, net_input: np.ndarray) -> np.ndarray:
        if not self.pairing.finishes:
            return output
        size = picture.shape[1], picture.shape[0]
        return self.pairing.finish(picture, resize(output, *size), resize(net_input, *size))


class ChainEngine:
    """Runs the ``links`` in order, on the input of a ``ChainPairing``; its pictures are of one ``size``.

    Further channels of the input, each of one value, are what the model with looks is told, unless that is a painter
    and comes first: its pairing has them. Pictures pass from one model to the next as arrays, in 16 bits where the
    chain is deep.
    """

    def __init__(self, links: Sequence[ChainLink], size: PixelSize) -> None:
        self._links, self._size = links, size
        engines = [link.engine for link in links]
        self.batch = max(engine.batch for engine in engines)
        self.device_kind = engines[0].device_kind
        self.precision = "+".join(dict.fromkeys(engine.precision for engine in engines))
        self.identity = self._joined([engine.identity for engine in engines])

    def _joined(self, identities: Sequence[dict[str, str]]) -> dict[str, str]:
        """Return one identity of those of all engines."""
        joined = {name: _each_once(identities, name) for name in ("engine", "precision", "device")}
        joined["chain"] = canonical_json([identities, [link.network for link in self._links], self._size])
        return joined

    def identity_at(self, width: int, height: int) -> dict[str, str]:
        """Return what decides its results: each network has a size of its own in the chain."""
        return self._joined([link.engine.identity_at(*link.network) for link in self._links])

    @property
    def exact(self) -> list[str]:
        """Return what any engine computes in fp32 since it would be wrong otherwise."""
        return sorted({name for link in self._links for name in getattr(link.engine, "exact", ())})

    @property
    def tile(self) -> int | None:
        """Return the longest side in pixels of the smallest tiles of any network; None where all pictures fit whole."""
        tiles = [tile for link in self._links if (tile := getattr(link.engine, "tile", None))]
        return min(tiles, default=None)

    def __call__(self, inputs: np.ndarray, *, deep: bool = False) -> np.ndarray:
        """Run (N, h, w, C) uint8 or uint16 → (N, H, W, 3) uint8, or uint16 if ``deep``, of the chain's size."""
        first, channels = self._links[0], chain_channels(self._links[0].pairing)
        values, whole, inputs = inputs[:, 0, 0, channels:], inputs, inputs[..., :channels]
        if values.dtype == np.uint16:
            values = (values >> 8).astype(np.uint8)  # as ``to_uint8``, which does not take an empty array
        if first.pairing.finishes:
            pictures = first(list(inputs), values, deep=deep)
        else:
            pictures = list(first.engine(whole if first.has_codes else inputs, deep=deep))
        for link in self._links[1:]:
            pictures = link(pictures, values, deep=deep)
        return np.stack([resize(picture, *self._size) for picture in pictures])


def _each_once(identities: Sequence[dict[str, str]], name: str) -> str:
    """Return what the engines say under a name, each once."""
    return "+".join(dict.fromkeys(identity[name] for identity in identities))
