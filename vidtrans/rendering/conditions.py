"""Per-frame conditions of multi-style models: a style code, or style weights with a stroke size.

A style code is drawn at random or encoded from a picture. It is constant within a shot, so that the style cannot
flicker, unless key frames interpolate between styles.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Size, Table, Time, parse_time
from vidtrans.core.system import name_key, path_as_stored
from vidtrans.curves.curve import CurveClock, check_order, neighbours, parse_curve, parse_names
from vidtrans.models.at_once import read_look_picture
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.models.look_pictures import (
    LookPart,
    is_file,
    is_medium,
    is_style,
    parse_look_parts,
    plain_name,
    unknown_look_error,
)
from vidtrans.networks.code_planes import plane_values
from vidtrans.pairing.look_pairing import LookPairing, takes_strokes
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.pipeline.stage import FrameCurve, FrameValues
from vidtrans.video.images.picture import resize

SEED_PER_SHOT = "shots:"  # Prefix of a --look value with a seed from which each shot gets a random style
SEED_PATTERN = re.compile(r"[0-9]{1,15}")  # Matches the seed of a random style, such as "7"
LOOK_OPTION = "--look"  # Name of the command-line option that selects the style
MAX_SHARE = 1e6  # Upper bound of a style's share; the weight of a style is its share of the sum of all shares
MAX_CODE_DEVIATIONS = 2.5  # Limit of random style codes in standard deviations, because rare styles are learned worst


class CodeConditions:
    """The style code of each frame of a clip, for a ``model`` with a style encoder.

    Args:
        model: A model with style codes (``has_codes``).
        look: A seed, a picture, key frames of both, or ``shots:SEED``; '' is the mean style.
        clock: The clip's clock.
        shots: The first frame of each shot of the clip. The list may grow while cuts are still being detected.

    Raises:
        UsageError: ``look`` is malformed.
        MediaError: A picture is damaged.
    """

    def __init__(
        self,
        model: LoadedModel,
        look: str,
        clock: CurveClock,
        shots: Sequence[int] = (0,),
    ) -> None:
        assert model.record is not None
        self._model, self._codes, self._time_of = model, model.record.codes, clock.place
        self._shots: Sequence[int] = ()
        self._key_codes: list[np.ndarray] = []
        names, times = _parse_names_and_times(look)
        self._key_times = [clock.moment(moment) for moment in times]
        check_order(self._key_times, f"--look '{look}'")
        if seed := _seed_of_shots(look):
            self._shots, self._seed = shots or (0,), int(seed)
        else:
            self._key_codes = [self._code(name) for name in names]

    def values(self, frame: int) -> np.ndarray:
        """Return the constant values of a frame's condition channels, (size,) uint8."""
        if self._shots:
            return plane_values(self._draw_code(self._seed, max(0, bisect_right(self._shots, frame) - 1)))
        before, after, share = neighbours(self._key_times, self._time_of(frame))
        return plane_values(interpolate_codes(self._key_codes[before], self._key_codes[after], share))

    def for_key(self) -> Table:
        """Return the style codes and the times from which they apply, for cache keys."""
        times = [str(time) for time in self._key_times or self._shots]
        looks = self._key_codes or [self._draw_code(self._seed, number) for number in range(len(self._shots))]
        return {"codes": [plane_values(code).tolist() for code in looks], "from": times}

    def _code(self, name: str) -> np.ndarray:
        """Return the style code, (size,) float, of a seed, a picture file or '' (the mean style). Raises UsageError."""
        if not name:
            return np.array(self._codes["mean"])
        if is_file(name, Path()):
            return self._encode_picture(path_as_stored(Path(name)))
        if SEED_PATTERN.fullmatch(name):
            return self._draw_code(int(name))
        why = f"'{self._model.name}' takes a number or a picture, and there is no such file"
        raise UsageError(f"--look {name}", why, "give a number from 0 up, or the path of a picture")

    def _encode_picture(self, path: Path) -> np.ndarray:
        """Return the style code of a picture, at the training size and without black bars. Raises MediaError."""
        from vidtrans.inference.codes import encode_style  # torch

        assert self._model.record is not None
        if self._encoder is None:
            why = f"'{self._model.name}' is an exported network, without the one that finds the code of a picture"
            raise UsageError(f"--look {path}", why, "give a number from 0 up, or the model's own file")
        picture = read_look_picture(path, "give another picture, or a seed, such as 7")
        height, width = picture.shape[:2]
        size = Size(short=self._model.record.size).of(width, height)
        return encode_style(self._encoder, resize(picture, *size))

    @cached_property
    def _encoder(self) -> Any:  # noqa: ANN401  (no torch here)
        """Return the torch module that finds the style code of a picture; None if the model file has none."""
        return getattr(self._model.load_generator()[0], "encoder", None)

    def _draw_code(self, *seed: int) -> np.ndarray:
        """Draw a random style code, (size,) float, from the distribution of the training pictures' codes."""
        mean, spread = (np.array(self._codes[name]) for name in ("mean", "spread"))
        noise = np.random.default_rng(seed).standard_normal(len(mean))
        code: np.ndarray = mean + spread * np.clip(noise, -MAX_CODE_DEVIATIONS, MAX_CODE_DEVIATIONS)
        return code


def interpolate_codes(one: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    """Interpolate linearly between two style codes, both (size,); ``share`` 0 gives ``one``, 1 gives ``other``.

    For 15 pairs of styles the picture half-way differed by 5 levels of 255 from the mean of both pictures. Spherical
    interpolation, which keeps the norm of normally distributed codes, differed by 10. Both kept the contrast.
    """
    code: np.ndarray = (1 - share) * one + share * other
    return code


def look_files(look: str) -> list[Path]:
    """Return the picture files that a ``--look`` value names. Raises UsageError if the value is malformed."""
    return [path_as_stored(Path(name)) for name in _parse_names_and_times(look)[0] if is_file(name, Path())]


def _parse_names_and_times(look: str) -> tuple[list[str], list[Time]]:
    """Return the style names in a ``--look`` value and the time of each; a single name has no time."""
    if not look or _seed_of_shots(look):
        return [look], []

    def is_name(text: str) -> bool:
        """Return whether a text is a style: a seed or an existing file."""
        return is_file(text, Path()) or bool(SEED_PATTERN.fullmatch(text))

    return _names_and_times(parse_look_parts(look, is_name, has_shares=False), look)


def _names_and_times(parts: Sequence[LookPart], look: str) -> tuple[list[str], list[Time]]:
    """Return the style names and the times in a ``--look`` value. ``parts``: the parsed value; if empty, parse it."""
    if not parts:
        return parse_names(look, "--look")
    return [part.name for part in parts], [parse_time(part.moment) for part in parts if part.moment]


def _seed_of_shots(look: str) -> str:
    """Return the seed of ``shots:SEED``; '' if ``look`` has another form. Raises UsageError if SEED is not a number."""
    if not look.startswith(SEED_PER_SHOT):
        return ""
    seed = look.removeprefix(SEED_PER_SHOT).strip()
    if not SEED_PATTERN.fullmatch(seed):
        raise UsageError(f"--look {look}", "after 'shots:' comes a number", f"as in --look {SEED_PER_SHOT}7")
    return seed


class LookConditions:
    """The style weights and the stroke size of each frame of a clip.

    Styles cross-fade between key frames, or have shares that are curves. Raises UsageError for an unknown style.

    Attributes:
        pairing: The model's pairing.
        stroke: The stroke size of each frame.
        moving_shares: Names of styles with the curve of each one's share; empty if no shares were set.
    """

    def __init__(
        self,
        pairing: LookPairing,
        settings: RenderingSettings,
        clock: CurveClock,
    ) -> None:
        looks, look = pairing.settings.looks, settings.look
        parts = parse_look_parts(look or looks[0], lambda name: _find_index(name, looks) is not None)
        self.moving_shares = [
            (
                part.name,
                FrameCurve(parse_curve(part.share, LOOK_OPTION), clock, f"{LOOK_OPTION} {part.name}", MAX_SHARE),
            )
            for part in parts
            if part.share
        ]
        names, times = _names_and_times(parts, look)
        self.pairing, self.stroke = pairing, FrameValues(settings, clock, ["stroke_size"]).curves["stroke_size"]
        self._shares = np.eye(len(looks))[[_look_index(name, looks) for name in names]]
        self._key_times, self._time_of = [clock.moment(moment) for moment in times], clock.place
        check_order(self._key_times, f"--look '{settings.look}'")
        marks = [share.for_key() for _, share in self.moving_shares] or [str(moment) for moment in times]
        self._for_key = {"look": [marks, names], "stroke": self.stroke.for_key()}

    def values(self, frame: int) -> np.ndarray:
        """Return the constant values of a frame's condition channels, (P,) uint8."""
        return self.pairing.plane_values(self._weights(frame), self.stroke(frame))

    def _weights(self, frame: int) -> np.ndarray:
        """Return the weight of each of the model's styles in a frame, (num_looks,) float64; the sum is 1."""
        if self.moving_shares:
            weights = np.array([share(frame) for _, share in self.moving_shares])
            if not weights.sum() > 0:
                raise UsageError("--look", f"at frame {frame} all shares are 0", "let one be more, as 0.01 + low")
            mixed: np.ndarray = weights / weights.sum() @ self._shares
            return mixed
        before, after, share = neighbours(self._key_times, self._time_of(frame))
        shares: np.ndarray = (1 - share) * self._shares[before] + share * self._shares[after]
        return shares

    def for_key(self) -> Table:
        """Return the styles, their times or shares and the stroke size, for cache keys."""
        return dict(self._for_key)


Conditions = LookConditions | CodeConditions  # Per-frame conditions of a model with style weights or style codes


def is_multi_style(model: LoadedModel) -> bool:
    """Return whether a model has several styles: a ``LookPairing``, or style codes."""
    return isinstance(model.pairing, LookPairing) or model.has_codes


def conditions_of(
    model: LoadedModel,
    settings: RenderingSettings,
    clock: CurveClock,
    shots: Sequence[int] = (0,),
) -> Conditions | None:
    """Return the per-frame conditions of a model; for a model chain, those of its only multi-style model.

    ``shots``: the first frame of each shot. Returns None if no model, or more than one, has several styles; raises
    UsageError if ``--look`` or ``--stroke-size`` is set in this case.
    """
    multi_style = [part for part in model.parts if is_multi_style(part)]
    has_stroke = settings.curve("stroke_size").constant != RenderingSettings.stroke_size
    if len(multi_style) == 1:
        [one] = multi_style
        pairing = one.pairing
        if has_stroke and not takes_strokes(pairing):
            why = f"'{one.name}' was not made by 'vidtrans look'"
            raise UsageError("--stroke-size", why, "leave out --stroke-size")
        if one.has_codes:
            return CodeConditions(one, settings.look, clock, shots)
        assert isinstance(pairing, LookPairing)
        return LookConditions(pairing, settings, clock)
    for name, given in (("--look", settings.look), ("--stroke-size", has_stroke)):
        if given and multi_style:
            names = " and ".join(f"'{one.name}'" for one in multi_style)
            made = all(takes_strokes(one.pairing) for one in multi_style)
            kind = "were made by 'vidtrans look'" if made else "have looks"
            why = f"{names} {kind}, and the option applies to one model only"
            raise UsageError(name, why, f"leave out {name}, or render with one of them alone")
        if given:
            why = f"'{model.name}' was not made by 'vidtrans look'" + (", and has one look" if name == "--look" else "")
            remedy = f"leave out {name}"
            if name == "--look" and is_medium(settings.look):
                remedy = f"to paint what it makes: --strokes {settings.look}; or leave out --model"
            elif name == "--look" and is_style(settings.look):
                remedy += ", or --model"
            raise UsageError(name, why, remedy)
    return None


def _look_index(name: str, looks: Sequence[str]) -> int:
    """Return the index of a style by its name or its picture's file name. Raises UsageError."""
    if (index := _find_index(name, looks)) is None:
        raise unknown_look_error(name, looks)
    return index


def _find_index(name: str, looks: Sequence[str]) -> int | None:
    """Return the index of a style by its name or its picture's file name; None if there is no such style."""
    file = Path(name)
    candidates = (name,) if set(file.suffix) & set(",:") else (name, file.stem, plain_name(file.stem))
    known_names = [name_key(look) for look in looks]
    return next((known_names.index(name_key(one)) for one in candidates if name_key(one) in known_names), None)
