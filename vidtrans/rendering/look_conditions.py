"""What a model with looks is told of each frame: a code; a painter the shares of its looks and the size of strokes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from vidtrans.config.rendering_settings import RenderingSettings
from vidtrans.core.curves import check_order, neighbours, parse_names
from vidtrans.core.errors import UsageError
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import Table, Time
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.pairing.look_pairing import LookPairing
from vidtrans.rendering.code_conditions import CodeConditions


class LookConditions:
    """The conditions of a clip's frames; one look passes into the next between their key frames.

    ``pts_of`` places a moment among ``pts``. Raises UsageError where the model has no look of a name.
    """

    def __init__(
        self,
        pairing: LookPairing,
        settings: RenderingSettings,
        pts: Sequence[int],
        pts_of: Callable[[Time], Fraction],
    ) -> None:
        looks = pairing.settings.looks
        wanted, moments = parse_names(settings.look or looks[0], "--look")
        self._pairing, self._stroke = pairing, settings.stroke_curve().over(pts, pts_of, "--stroke-size")
        self._shares = np.eye(len(looks))[[_number(name, looks) for name in wanted]]
        self._keys, self._pts = [pts_of(moment) for moment in moments], pts
        check_order(self._keys, f"--look '{settings.look}'")
        self._for_key = {"look": [[str(m) for m in moments], wanted], "stroke": str(settings.stroke_curve())}

    def values(self, frame: int) -> np.ndarray:
        """Return the values of the planes for frame ``frame``, (P,) uint8."""
        before, after, share = neighbours(self._keys, self._pts[frame])
        shares: np.ndarray = (1 - share) * self._shares[before] + share * self._shares[after]
        return self._pairing.plane_values(shares, self._stroke(frame))

    def for_key(self) -> Table:
        """Return what decides them, for cache keys."""
        return dict(self._for_key)


Conditions = LookConditions | CodeConditions


def has_conditions(model: LoadedModel) -> bool:
    """Return whether a model has looks to choose from: a painter of looks, or one of many looks."""
    return isinstance(model.pairing, LookPairing) or model.has_codes


def conditions_of(
    model: LoadedModel,
    settings: RenderingSettings,
    pts: Sequence[int],
    pts_of: Callable[[Time], Fraction],
    shots: Sequence[int] = (0,),
) -> Conditions | None:
    """Return the conditions of a model's render, of a chain those of its one model with looks to choose from.

    ``shots``: the first frame of each shot. None where nothing is told: there is no such model, or there are several.
    Raises UsageError where they are set then.
    """
    told = [part for part in model.parts if has_conditions(part)]
    has_stroke = settings.stroke_curve().constant != 0.5
    if len(told) == 1 and told[0].has_codes:
        if has_stroke:
            raise UsageError("--stroke-size", f"'{told[0].name}' was not made by 'vidtrans look'", "leave it out")
        return CodeConditions(told[0], settings.look, pts, pts_of, shots)
    if len(told) == 1:
        pairing = told[0].pairing
        assert isinstance(pairing, LookPairing)
        return LookConditions(pairing, settings, pts, pts_of)
    for name, given in (("--look", settings.look), ("--stroke-size", has_stroke)):
        if given and told:
            names = " and ".join(f"'{one.name}'" for one in told)
            kind = "have many looks" if any(one.has_codes for one in told) else "are painters of looks"
            why = f"{names} {kind}, and it is for one of them"
            raise UsageError(name, why, "leave it out, or render one of them by itself")
        if given:
            why = f"'{model.name}' was not made by 'vidtrans look'" + (", and has one look" if name == "--look" else "")
            raise UsageError(name, why, "leave it out")
    return None


def _number(name: str, looks: Sequence[str]) -> int:
    """Return the number of a look, by its name or by the name of its picture. Raises UsageError."""
    for candidate in (name, Path(name).stem):
        if candidate in looks:
            return looks.index(candidate)
    raise unknown_name("look", name, list(looks))
