"""Steering scripts: commands that change the controls at given times of a dream, written or recorded live.

    script = entry {("," | line end) entry}     entry = moment ":" commands     commands = command {"+" command}
    command = name ["*" number] | control "=" number | "goto" shot

An entry lasts until the next one, like keys that are held down. ``#`` begins a comment. "0: left, 4s: right+zoom*2".
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Time, parse_time
from vidtrans.core.system import path_as_stored
from vidtrans.core.text_files import read_text

# (lowest, highest) value of each control that may vary over time
ANIMATED = {
    "zoom": (0.25, 4.0),
    "rotate": (-360.0, 360.0),
    "pan_x": (-1.0, 1.0),
    "pan_y": (-1.0, 1.0),
    "hue": (-360.0, 360.0),
    "speed": (-1000.0, 1000.0),
    "recall": (0.0, 1.0),
    "wander": (0.0, 1.0),
    "blend_amount": (0.0, 1.0),
}
PAN, ZOOM, TURN = 0.012, 1.012, 1.0  # Change per frame: share of the picture's sides, factor, degrees
# Effect of each command per frame, as values by control: a factor for the zoom, a summand for the others
MOVES: Mapping[str, Mapping[str, float]] = {
    "left": {"pan_x": PAN},
    "right": {"pan_x": -PAN},
    "up": {"pan_y": PAN},
    "down": {"pan_y": -PAN},
    "zoom": {"zoom": ZOOM},
    "zoom-out": {"zoom": 1 / ZOOM},
    "turn-left": {"rotate": TURN},
    "turn-right": {"rotate": -TURN},
    "stay": {},
}
GOTO = "goto"  # Command that steers the pointer to a shot
MAX_SPEED = 10.0  # Largest factor on a command's effect, as in left*10
FLAG = "--steer"  # Name, in messages, of the option that takes a steering script
LOG_SUFFIX = ".keys"  # Suffix of a recorded script
PLAYED_ON = "# played on "  # Start of the line in a recorded script that names the model and its digest
_NUMBER = r"(?P<sign>[*=])\s*(?P<number>-?[\d.]+(?:e-?\d+)?)"  # Factor or value: "*2", "=0.5"
# A command: "left", "left*2" (factor), "zoom=1.01" (value), "goto 2" (shot)
_COMMAND = re.compile(rf"(?P<name>[a-z][\w-]*)\s*(?:{_NUMBER}|\s(?P<shot>\d{{1,6}}))?$", re.ASCII)


@dataclass(frozen=True)
class SteeringEntry:
    """The effect of one entry of a steering script on the controls.

    Attributes:
        moves: The summand of each control; for the zoom a factor.
        values: The value that replaces each control's own.
        goal: The goal of the dream: a shot's number, or the name of an action; None without a goal.
    """

    moves: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    goal: int | str | None = None

    def value(self, name: str, own: float) -> float:
        """Return the steered value of a control, within its bounds; ``own``: the value without steering."""
        value = self.values.get(name, own)
        if name in self.moves:
            value = value * self.moves[name] if name == "zoom" else value + self.moves[name]
        low, high = ANIMATED[name]
        return min(max(value, low), high)


IDLE = SteeringEntry()  # The entry without an effect, before the first moment


@dataclass(frozen=True)
class Steering:
    """A steering script, which is empty without steering.

    Each of ``entries`` applies from its time in ``moments`` until the next entry. ``text``: the script in normal form.
    """

    moments: tuple[Time, ...] = ()
    entries: tuple[SteeringEntry, ...] = ()
    text: str = ""
    played_on: str = ""  # Digest of the model with which the script was recorded

    def __bool__(self) -> bool:
        """Return whether the script has entries."""
        return bool(self.entries)

    @property
    def goals(self) -> set[int | str]:
        """Return the shots (numbers) and actions (names) that are goals of entries."""
        return {entry.goal for entry in self.entries if entry.goal is not None}

    @property
    def controls(self) -> set[str]:
        """Return the names of the controls that entries change."""
        return {name for entry in self.entries for name in (*entry.moves, *entry.values)}

    def over(self, rate: Fraction, num_frames: int | None = None) -> Callable[[int], SteeringEntry]:
        """Return a function from a frame number to the entry that applies in the frame.

        ``rate``: frames per second. Raises UsageError for times out of order, or after ``num_frames`` frames.
        """
        keys = [Fraction(m.frame) if m.frame is not None else (m.seconds or Fraction(0)) * rate for m in self.moments]
        for (a, key), (b, following) in pairwise(zip(self.moments, keys, strict=True)):
            if following <= key:
                raise UsageError(FLAG, f"{b} does not come after {a}", "write the moments in order")
        if num_frames is not None and keys and keys[-1] >= num_frames:
            why = f"it steers at {self.moments[-1]}, and the dream has {num_frames} frames"
            raise UsageError(FLAG, why, f"leave out what comes later, or use --frames {int(keys[-1]) + 1} or more")

        def entry_at(frame: int) -> SteeringEntry:
            """Return the entry that applies in a frame."""
            number = bisect_right(keys, frame) - 1
            return self.entries[number] if number >= 0 else IDLE

        return entry_at


def names_file(text: str) -> bool:
    """Return whether a setting's text is the name of a file, not a script."""
    return bool(text) and (":" not in text or text.endswith(LOG_SUFFIX))


def parse_steering(text: str) -> Steering:
    """Parse a script; if ``text`` is the name of a file, parse its content. Raises UsageError."""
    script, name = text, f"{FLAG} '{text}'"
    if names_file(text):
        script, name = _read(text), f"{FLAG} {text}"
    moments: list[Time] = []
    entries: list[SteeringEntry] = []
    for number, entry in _entries(script):
        moment, colon, commands = entry.rpartition(":")
        if not colon or not moment.strip():
            why = f"entry {number} ('{entry}') has no moment" if entry else f"entry {number} is empty"
            raise UsageError(name, why, 'write it as in "0: left, 30: right+zoom"')
        if not commands.strip():
            raise UsageError(name, f"entry {number} ('{entry}') has no command", f"write {moment.strip()}: stay")
        moments.append(_moment(moment, number, name))
        entries.append(_parse_commands(commands, number, name))
    if text and not entries:
        raise UsageError(name, "there is no command", 'write it as in "0: left, 30: right+zoom"')
    normal = ",".join(f"{m}:{_normal_form(entry)}" for m, entry in zip(moments, entries, strict=True))
    played_on = next((line.split()[-1] for line in script.splitlines() if line.startswith(PLAYED_ON)), "")
    return Steering(tuple(moments), tuple(entries), normal, played_on)


def _read(text: str) -> str:
    """Return the content of a script's file. Raises UsageError if there is none."""
    if not os.path.lexists(path_as_stored(Path(text))):
        why = "there is no such file, and it is no script"
        raise UsageError(f"{FLAG} {text}", why, 'give a file, or a script as in "0: left, 30: right+zoom"')
    return read_text(Path(text), what=f"{FLAG} {text}", remedy="give a file of moments and commands")


def _entries(script: str) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each entry of a script; a line may hold several entries."""
    number = 0
    for line in script.splitlines():
        line = line.partition("#")[0].strip()
        if not line:
            continue
        for entry in line.removesuffix(",").split(","):
            number += 1
            yield number, entry.strip()


def _moment(text: str, number: int, name: str) -> Time:
    """Parse the time of an entry: a frame number or seconds. Raises UsageError.

    ``number`` and ``name``: of the entry, and of the script, for messages.
    """
    try:
        return parse_time(text.strip())
    except UsageError as error:
        raise UsageError(name, f"entry {number}: '{text.strip()}' is not a moment", error.remedy) from None


def _parse_commands(text: str, number: int, name: str) -> SteeringEntry:
    """Parse the commands of an entry, as in ``left+zoom=1.01``. Raises UsageError.

    ``number`` and ``name``: of the entry, and of the script, for messages.
    """
    moves: dict[str, float] = {}
    values: dict[str, float] = {}
    goal: int | str | None = None
    for part in text.split("+"):
        command = part.strip().lower()
        match = _COMMAND.match(command)
        if match is None:
            raise UsageError(name, f"entry {number}: '{command}' is no command", _choices(command))
        word, sign, shot = match["name"], match["sign"], match["shot"]
        value = _number(match["number"], command, number, name) if match["number"] else 1.0
        if word == GOTO and shot is None:
            raise UsageError(name, f"entry {number}: '{command}' names no shot", "write goto 2 for the second shot")
        if word != GOTO and shot is not None:
            raise UsageError(name, f"entry {number}: '{command}' has a number", f"write {word}*{shot} for a speed")
        if goal is not None and (word == GOTO or (sign is None and word not in MOVES)):
            raise UsageError(name, f"entry {number}: it goes to '{goal}' and to '{command}'", "give one of them")
        if sign == "=":
            values[word] = _check_value(word, value, number, name)
        elif word in MOVES:
            _add_move(moves, word, value, number, name)
        elif sign is None:
            goal = word if shot is None else int(shot)
        else:
            raise UsageError(name, f"entry {number}: '{command}' is no command", _choices(word))
    return SteeringEntry(moves, values, goal)


def _add_move(moves: dict[str, float], word: str, value: float, number: int, name: str) -> None:
    """Add the effect of a movement command ``word``, times ``value``, to ``moves``. Raises UsageError if out of bounds.

    ``number`` and ``name``: see ``_moment``.
    """
    if not 0 <= value <= MAX_SPEED:
        raise UsageError(name, f"entry {number}: '{word}*{value:g}' is out of bounds", f"use 0 to {MAX_SPEED:g}")
    for control, step in MOVES[word].items():
        if control == "zoom":
            moves[control] = moves.get(control, 1.0) * step**value
        else:
            moves[control] = moves.get(control, 0.0) + step * value


def _number(text: str, command: str, number: int, name: str) -> float:
    """Parse the number ``text`` in a command, such as the 2 in ``left*2``. Raises UsageError.

    ``number`` and ``name``: of the entry, and of the script, for messages.
    """
    try:
        return float(text)
    except ValueError:
        raise UsageError(name, f"entry {number}: '{command}' has no number", "write one as in left*2") from None


def _check_value(word: str, value: float, number: int, name: str) -> float:
    """Return the ``value`` that a command sets for the control ``word``; raise UsageError if it is out of bounds.

    Also raise it if the control is unknown. ``number`` and ``name``: see ``_moment``.
    """
    if word not in ANIMATED or word == "blend_amount":
        known = ", ".join(control for control in ANIMATED if control != "blend_amount")
        raise UsageError(name, f"entry {number}: '{word}' is no control", f"choose from: {known}")
    low, high = ANIMATED[word]
    if not low <= value <= high:
        raise UsageError(name, f"entry {number}: {word}={value:g} is out of bounds", f"use {low:g} to {high:g}")
    return value


def _choices(word: str) -> str:
    """Return a hint about valid commands for a message, with the one most similar to ``word``."""
    near = get_close_matches(word, MOVES, n=1, cutoff=0.6)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"{hint}choose from: {', '.join(MOVES)}, goto SHOT, an action of the model, or CONTROL=NUMBER"


def _normal_form(entry: SteeringEntry) -> str:
    """Return an entry as text in a normal form, for cache keys."""
    moves = [f"{name} by {value!r}" for name, value in sorted(entry.moves.items())]
    values = [f"{name}={value!r}" for name, value in sorted(entry.values.items())]
    return "+".join([*moves, *values, *([f"goal {entry.goal}"] if entry.goal is not None else [])]) or "stay"


def unknown_goal(goal: int | str, known: Sequence[int | str]) -> UsageError:
    """Return the error for a goal (shot or action) that is not in ``known``, the goals of a model."""
    if isinstance(goal, int):
        shots = ", ".join(str(shot) for shot in known if isinstance(shot, int))
        return UsageError(f"{GOTO} {goal}", f"the model keeps no frames of such a shot, but of {shots}", "give another")
    choices = [*MOVES, *(name for name in known if isinstance(name, str))]
    near = get_close_matches(goal, choices, n=1, cutoff=0.6)
    hint = f"did you mean '{near[0]}'? " if near else ""
    why = "it is neither a command nor an action"
    return UsageError(f"{FLAG} '{goal}'", why, f"{hint}choose from: {', '.join(choices)}")
