"""The OSC addresses of a live session, derived from its controls, models and presets; as JSON for OSCQuery, too."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vidtrans.core.settings import Table
from vidtrans.live.live_controls import describe_controls, describe_pairing, looks_of
from vidtrans.live.osc.osc_messages import Argument
from vidtrans.models.loaded_model import LoadedModel

ROOT = "/vidtrans/"
PRESSED = 0.5  # from which a number switches on

Kind = Literal["number", "whole", "switch", "word", "trigger"]
TYPES: Mapping[Kind, str] = {"number": "f", "whole": "i", "switch": "T", "word": "s", "trigger": "N"}

# What acts, and is no control: its kind, and its help.
ACTIONS: Mapping[str, tuple[Kind, str]] = {
    "record": ("switch", "record a video"),
    "dream": ("switch", "begin or end a dream of a model that predicts frames"),
    "preset": ("word", "load the controls that were saved by this name"),
    "clear": ("trigger", "clear the drawing board that is painted"),
    "undo": ("trigger", "undo the last stroke on the drawing board that is painted"),
    "list": ("trigger", "send all addresses and values to --osc-out"),
}
READ, WRITE, BOTH = 1, 2, 3  # of ACCESS


class OscMismatchError(ValueError):
    """Arguments that an address does not take."""


@dataclass(frozen=True)
class OscAddress:
    """An address. ``name``: of its control, of ACTIONS or of REPORTS.

    ``words``: the texts that it takes; they are also chosen by their numbers, from 1, and '' by 0. ``step_up``: a
    number greater than 0 is at least this. ``is_control``: it has a value among the controls.
    """

    name: str
    kind: Kind
    help: str
    low: float = 0.0
    high: float = 1.0
    words: tuple[str, ...] = ()
    default: Argument = None
    step_up: float = 0.0
    is_control: bool = False

    @property
    def path(self) -> str:
        """Return the address as OSC writes it."""
        return ROOT + self.name.replace(".", "/")

    def value(self, arguments: Sequence[Argument]) -> float | bool | str:
        """Return the value that arguments give, within the bounds: the first of them. Raises OscMismatchError."""
        if self.kind == "trigger":
            return True
        if not arguments:
            raise OscMismatchError("send a value")
        given = arguments[0]
        if self.kind == "word":
            return self._word(given)
        if self.kind == "switch" and isinstance(given, bool):
            return given
        number = _number(given)
        if self.kind == "switch":
            return number >= PRESSED
        if 0 < number < self.step_up:
            number = self.step_up
        number = min(max(number, self.low), self.high)
        return round(number) if self.kind == "whole" else number

    def _word(self, given: Argument) -> str:
        if isinstance(given, str):
            found = given
        else:
            numbered = self.words if self.words[:1] == ("",) else ("", *self.words)
            place = round(_number(given))
            found = numbered[place] if 0 <= place < len(numbered) else ""
        if found not in self.words:
            raise OscMismatchError(f"send one of {', '.join(self.words) or 'nothing: there is none'}"[:200])
        return found


# What is sent, and not received.
REPORTS = (
    OscAddress("frame", "whole", "pictures painted since the session began"),
    OscAddress("fps", "number", "pictures per second"),
    OscAddress("heard/loudness", "number", "loudness of the sound, 0 to 1"),
    OscAddress("heard/onset", "number", "how much begins to sound, 0 to 1"),
    OscAddress("heard/beat", "whole", "the number of the beat, at each beat"),
)


def all_addresses(models: Mapping[str, LoadedModel], presets: Iterable[str]) -> list[OscAddress]:
    """Return the addresses that a session takes, with those of its controls first."""
    looks = [look for model in models.values() for look in looks_of(model)]
    offers = {"models": tuple(models), "looks": tuple(dict.fromkeys(looks))}
    found = [_of_control(name, about, offers) for name, about in describe_controls().items()]
    found += _of_pairings(models)
    saved = {"preset": tuple(presets)}
    return found + [OscAddress(n, kind, text, words=saved.get(n, ())) for n, (kind, text) in ACTIONS.items()]


def _of_control(name: str, about: Table, offers: Mapping[str, tuple[str, ...]]) -> OscAddress:
    default = about["default"]
    kinds: Mapping[type, Kind] = {bool: "switch", int: "whole", float: "number", str: "word"}
    choices = tuple(about.get("choices", ()))
    if "offers" in about:
        choices = (*([""] if "empty" in about else []), *offers[about["offers"]])
    low, high = about.get("low", 0), about.get("high", 1)
    least = about.get("least", 0)
    return OscAddress(name, kinds[type(default)], about["help"], low, high, choices, default, least, is_control=True)


def _of_pairings(models: Mapping[str, LoadedModel]) -> Iterator[OscAddress]:
    found: dict[str, OscAddress] = {}
    for model in models.values():
        for name, about in describe_pairing(model.pairing).items():
            kind: Kind = "whole" if about["whole"] else "number"
            before = found.get(name)
            low = min(about["low"], before.low if before else math.inf)
            high = max(about["high"], before.high if before else -math.inf)
            text = about.get("help", "a setting of what the model sees")
            found[name] = OscAddress(name, kind, text, low, high, default=about["default"], is_control=True)
    yield from found.values()


def _number(given: Argument) -> float:
    """Return a finite number. Raises OscMismatchError."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise OscMismatchError("send a number")
    if not math.isfinite(given):
        raise OscMismatchError("send a finite number")
    return float(given)


def address_tree(addresses: Mapping[str, OscAddress], values: Mapping[str, Argument]) -> Table:
    """Return all addresses as a tree of OSCQuery nodes, with the ``values`` of those that have one, by path."""
    root: Table = {"FULL_PATH": "/", "DESCRIPTION": "vidtrans live"}
    for one in addresses.values():
        access = BOTH if one.path in values else WRITE
        _node(root, one.path).update(_about(one, values.get(one.path)), ACCESS=access)
    for one in REPORTS:
        _node(root, one.path).update(_about(one, None), ACCESS=READ)
    return root


def _about(one: OscAddress, value: Argument) -> Table:
    """Return the attributes of an address."""
    found: Table = {"TYPE": TYPES[one.kind], "DESCRIPTION": one.help}
    if one.kind in ("number", "whole"):
        found["RANGE"] = [{"MIN": one.low, "MAX": one.high}]
    elif one.kind == "word":
        found["RANGE"] = [{"VALS": list(one.words)}]
    if value is not None:
        found["VALUE"] = [value]
    return found


def _node(root: Table, path: str) -> Table:
    """Return the node of a path, made where it is not there."""
    node, names = root, path.strip("/").split("/")
    for depth, name in enumerate(names, 1):
        node = node.setdefault("CONTENTS", {}).setdefault(name, {"FULL_PATH": "/" + "/".join(names[:depth])})
    return node
