"""Several models in sequence as one engine: each model's output is the next one's input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidtrans.core.files import canonical_json
from vidtrans.inference.engine import Engine
from vidtrans.networks.code_planes import with_planes
from vidtrans.pairing.base import Pairing, chain_channels
from vidtrans.pairing.look_pairing import LookPairing
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.images.picture import resize

PixelSize = tuple[int, int]  # width, height


@dataclass(frozen=True)
class ChainLink:
    """One model of a chain: its ``pairing``, its ``engine``, and the (width, height) at which its ``network`` runs.

    ``has_codes``: it takes a style code as constant channels beside its input. If ``pairing.finishes``, the output has
    the size of the input picture, otherwise the network's size.
    """

    pairing: Pairing
    engine: Engine
    network: PixelSize
    has_codes: bool = False

    def __call__(self, pictures: Sequence[np.ndarray], values: np.ndarray, *, deep: bool) -> list[np.ndarray]:
        """Return this model's pictures, one for each picture of the previous model.

        Args:
            pictures: (H, W, 3) uint8, or uint16 of a ``deep`` chain, all of one size.
            values: (N, P) uint8, the conditions of each picture for a multi-style model; P is 0 without any.
            deep: return uint16 pictures.
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
    """An engine that runs the ``links`` in order, on the input of a ``ChainPairing``; its output has one ``size``.

    Additional constant channels of the input are the conditions of the multi-style model, except for a ``LookPairing``
    that comes first, whose input contains them. Models exchange arrays, of 16 bits in a deep chain.
    """

    def __init__(self, links: Sequence[ChainLink], size: PixelSize) -> None:
        self._links, self._size = links, size
        engines = [link.engine for link in links]
        self.batch = max(engine.batch for engine in engines)
        self.device_kind = engines[0].device_kind
        self.precision = "+".join(dict.fromkeys(engine.precision for engine in engines))
        self.identity = self._joined([engine.identity for engine in engines])

    def _joined(self, identities: Sequence[dict[str, str]]) -> dict[str, str]:
        """Combine the identities of all engines into one."""
        joined = {name: _each_once(identities, name) for name in ("engine", "precision", "device")}
        joined["chain"] = canonical_json([identities, [link.network for link in self._links], self._size])
        return joined

    def identity_at(self, width: int, height: int) -> dict[str, str]:
        """Return the identity for cache keys; the arguments are unused, as the chain fixes each network's size."""
        return self._joined([link.engine.identity_at(*link.network) for link in self._links])

    def batch_for(self, height: int, width: int) -> int:
        """Return the largest batch of the engines; the arguments are unused, as the chain fixes each network's size."""
        return max(link.engine.batch_for(*reversed(link.network)) for link in self._links)

    @property
    def exact(self) -> list[str]:
        """Return the operators that any engine computes in fp32 because its precision gives wrong results."""
        return sorted({name for link in self._links for name in getattr(link.engine, "exact", ())})

    @property
    def tile(self) -> int | None:
        """Return the longest side in pixels of the smallest tiles of any network; None if all pictures fit whole."""
        tiles = [tile for link in self._links if (tile := getattr(link.engine, "tile", None))]
        return min(tiles, default=None)

    def __call__(self, inputs: np.ndarray, *, deep: bool = False) -> np.ndarray:
        """Run (N, h, w, C) uint8 or uint16 → (N, H, W, 3) uint8, or uint16 if ``deep``, at the chain's size."""
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
    """Join the engines' distinct values of a property with '+'."""
    return "+".join(dict.fromkeys(identity[name] for identity in identities))
