"""The OSC addresses of a live session, derived from its controls, models and presets; also as an OSCQuery tree."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vidtrans.core.settings import Table
from vidtrans.live.live_controls import describe_controls, describe_pairing, looks_of
from vidtrans.live.osc.osc_messages import Argument
from vidtrans.models.loaded_model import LoadedModel

ROOT = "/vidtrans/"  # Prefix of all OSC addresses of a session
SWITCH_THRESHOLD = 0.5  # Smallest number that turns on a switch (a control that is on or off)

# Kind of the argument of an OSC address; "whole": an integer, "trigger": no argument
Kind = Literal["number", "whole", "switch", "word", "trigger"]
# OSC type tags by kind of argument; they are also the values of OSCQuery's attribute TYPE
OSC_TYPES: Mapping[Kind, str] = {"number": "f", "whole": "i", "switch": "T", "word": "s", "trigger": "N"}

# Addresses that trigger an action and have no value: the kind of argument and the help text, by name
ACTIONS: Mapping[str, tuple[Kind, str]] = {
    "record": ("switch", "record a video"),
    "dream": ("switch", "begin or end a dream of a model that predicts frames"),
    "preset": ("word", "load the controls that were saved by this name"),
    "clear": ("trigger", "clear the drawing board that is painted"),
    "undo": ("trigger", "undo the last stroke on the drawing board that is painted"),
    "list": ("trigger", "send all addresses and values to --osc-out"),
}
ACCESS_READ, ACCESS_WRITE, ACCESS_BOTH = 1, 2, 3  # Values of OSCQuery's attribute ACCESS


class OscMismatchError(ValueError):
    """Error for arguments whose number, type or value does not suit the address of their message."""


@dataclass(frozen=True)
class OscAddress:
    """An OSC address of a session. ``name``: the name of a control, or a name in ACTIONS or REPORTS.

    ``words``: the accepted texts; a number chooses one by its position from 1, and 0 chooses ''. ``takes_texts``: other
    texts are accepted too. ``min_positive``: smaller numbers above 0 are raised to it. ``is_control``: the address sets
    a control and has a value.
    """

    name: str
    kind: Kind
    help: str
    low: float = 0.0
    high: float = 1.0
    words: tuple[str, ...] = ()
    default: Argument = None
    min_positive: float = 0.0
    is_control: bool = False
    takes_texts: bool = False

    @property
    def path(self) -> str:
        """Return the full OSC address, such as ``/vidtrans/edges/density``."""
        return ROOT + self.name.replace(".", "/")

    def value(self, arguments: Sequence[Argument]) -> float | bool | str:
        """Return the value of the first OSC argument, clamped to the bounds. Raises OscMismatchError."""
        if self.kind == "trigger":
            return True
        if not arguments:
            raise OscMismatchError("send a value")
        argument = arguments[0]
        if self.kind == "word":
            return self._choose_word(argument)
        if self.kind == "switch" and isinstance(argument, bool):
            return argument
        number = _number(argument)
        if self.kind == "switch":
            return number >= SWITCH_THRESHOLD
        if 0 < number < self.min_positive:
            number = self.min_positive
        number = min(max(number, self.low), self.high)
        return round(number) if self.kind == "whole" else number

    def _choose_word(self, argument: Argument) -> str:
        """Return the word that an argument gives as text, or as the word's number from 1. Raises OscMismatchError."""
        if isinstance(argument, str):
            word = argument
        else:
            numbered = self.words if self.words[:1] == ("",) else ("", *self.words)
            place = round(_number(argument))
            word = numbered[place] if 0 <= place < len(numbered) else ""
        if word not in self.words and not (self.takes_texts and isinstance(argument, str)):
            raise OscMismatchError(f"send one of {', '.join(self.words) or 'nothing: there is none'}"[:200])
        return word


# Addresses of values that the session only sends
REPORTS = (
    OscAddress("frame", "whole", "pictures painted since the session began"),
    OscAddress("fps", "number", "pictures per second"),
    OscAddress("heard/loudness", "number", "loudness of the sound, 0 to 1"),
    OscAddress("heard/onset", "number", "strength of beginning sounds, 0 to 1"),
    OscAddress("heard/beat", "whole", "the number of the beat, at each beat"),
)


def all_addresses(models: Mapping[str, LoadedModel], presets: Iterable[str]) -> list[OscAddress]:
    """Return the addresses that a session receives: those of its controls, then those of ACTIONS."""
    looks = [look for model in models.values() for look in looks_of(model)]
    offers = {"models": tuple(models), "looks": tuple(dict.fromkeys(looks))}
    addresses = [_control_address(name, about, offers) for name, about in describe_controls().items()]
    addresses += _pairing_addresses(models)
    words = {"preset": tuple(presets)}
    return addresses + [OscAddress(n, kind, text, words=words.get(n, ())) for n, (kind, text) in ACTIONS.items()]


def _control_address(name: str, about: Table, offers: Mapping[str, tuple[str, ...]]) -> OscAddress:
    """Return the address of a control; ``about``: its description, ``offers``: names of models and looks."""
    default = about["default"]
    kinds: Mapping[type, Kind] = {bool: "switch", int: "whole", float: "number", str: "word"}
    choices = tuple(about.get("choices", ()))
    if "offers" in about or "suggestions" in about:
        offered = offers[about["offers"]] if "offers" in about else about["suggestions"]
        choices = (*([""] if "empty" in about else []), *offered)
    low, high = about.get("low", 0), about.get("high", 1)
    least = about.get("least", 0)
    return OscAddress(
        name,
        kinds[type(default)],
        about["help"],
        low,
        high,
        choices,
        default,
        least,
        is_control=True,
        takes_texts="suggestions" in about,
    )


def _pairing_addresses(models: Mapping[str, LoadedModel]) -> Iterator[OscAddress]:
    """Yield the addresses of the settings of the models' pairings; settings of several models get the widest bounds."""
    addresses: dict[str, OscAddress] = {}
    for model in models.values():
        for name, about in describe_pairing(model.pairing).items():
            kind: Kind = "whole" if about["whole"] else "number"
            before = addresses.get(name)
            low = min(about["low"], before.low if before else math.inf)
            high = max(about["high"], before.high if before else -math.inf)
            text = about.get("help", "a setting of what the model sees")
            addresses[name] = OscAddress(name, kind, text, low, high, default=about["default"], is_control=True)
    yield from addresses.values()


def _number(argument: Argument) -> float:
    """Return an OSC argument as a finite number. Raises OscMismatchError."""
    if isinstance(argument, bool) or not isinstance(argument, int | float):
        raise OscMismatchError("send a number")
    if not math.isfinite(argument):
        raise OscMismatchError("send a finite number")
    return float(argument)


def address_tree(addresses: Mapping[str, OscAddress], values: Mapping[str, Argument]) -> Table:
    """Return all addresses as a tree of OSCQuery nodes; ``values``: their current values by path."""
    root: Table = {"FULL_PATH": "/", "DESCRIPTION": "vidtrans live"}
    for address in addresses.values():
        access = ACCESS_BOTH if address.path in values else ACCESS_WRITE
        _node(root, address.path).update(_attributes(address, values.get(address.path)), ACCESS=access)
    for address in REPORTS:
        _node(root, address.path).update(_attributes(address, None), ACCESS=ACCESS_READ)
    return root


def _attributes(address: OscAddress, value: Argument) -> Table:
    """Return the OSCQuery attributes of an address: type, help, range and current value."""
    attributes: Table = {"TYPE": OSC_TYPES[address.kind], "DESCRIPTION": address.help}
    if address.kind in ("number", "whole"):
        attributes["RANGE"] = [{"MIN": address.low, "MAX": address.high}]
    elif address.kind == "word":
        attributes["RANGE"] = [{"VALS": list(address.words)}]
    if value is not None:
        attributes["VALUE"] = [value]
    return attributes


def _node(root: Table, path: str) -> Table:
    """Return the OSCQuery node of a path below ``root``; create it and its parents if missing."""
    node, names = root, path.strip("/").split("/")
    for depth, name in enumerate(names, 1):
        node = node.setdefault("CONTENTS", {}).setdefault(name, {"FULL_PATH": "/" + "/".join(names[:depth])})
    return node
