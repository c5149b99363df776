"""Read the names, shares and moments of a ``--look``; names may be files whose names contain commas and colons."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import parse_time
from vidtrans.core.system import as_found
from vidtrans.curves.curve import parse_curve

MOST_COMMAS = 16  # in a name
MOST_READINGS = 8  # of a text
IsName = Callable[[str], bool]


@dataclass(frozen=True)
class LookPart:
    """A name, and the text of the share after it (a number or a curve) or of the moment before it; '' without one."""

    name: str
    share: str = ""
    moment: str = ""

    def __str__(self) -> str:
        before, after = (f"{self.moment}: " if self.moment else "", f": {self.share}" if self.share else "")
        return f"{before}{self.name}{after}"


Reading = tuple[LookPart, ...]
ReadPart = Callable[[str, IsName], Iterator[LookPart]]


def parse_look_parts(look: str, is_name: IsName, *, has_shares: bool = True) -> Reading:
    """Return the parts of a ``--look``: one name, names with shares, or names with moments; () if it has no such form.

    ``is_name``: whether a text is a name, which decides where names with commas and colons end. ``has_shares``: whether
    names may have shares. Raises UsageError if the text can be read in two ways.
    """
    if is_name(look):
        return (LookPart(look),)
    mixtures = _readings(look, is_name, _with_share) if has_shares else []
    return _only_one(look, [*mixtures, *_readings(look, is_name, _with_moment)])


def split_names(text: str, is_name: IsName) -> list[str]:
    """Return names that are separated by commas; the commas in a name that ``is_name`` knows do not separate.

    Raises UsageError if the text can be read in two ways.
    """
    readings = _readings(text, is_name, _plain)
    known = [parts for parts in readings if all(is_name(part.name) for part in parts)]
    longest = [parts for parts in readings if len(parts) == min(map(len, readings))]
    return [part.name for part in _only_one(text, known or longest)]


def with_other_paths(look: str, folder: Path, change: Callable[[Path], str]) -> str:
    """Return a ``--look`` with ``change(folder / name)`` in place of each name of a picture in ``folder``."""
    if is_file(look, folder):
        return change(as_found(folder / look))

    def changed(part: LookPart) -> str:
        name = change(as_found(folder / part.name)) if is_file(part.name, folder) else part.name
        return str(LookPart(name, part.share, part.moment))

    def is_name(name: str) -> bool:
        return is_file(name, folder) or not set(name) & set(",:")

    readings = [parts for read in (_with_moment, _with_share) for parts in _readings(look, is_name, read)]
    found = next((parts for parts in readings if any(is_file(part.name, folder) for part in parts)), None)
    return look if found is None else ", ".join(map(changed, found))


def is_file(name: str, folder: Path) -> bool:
    """Return whether ``name`` is a file in ``folder``; False for a name that is too long, where Path.is_file raises."""
    return bool(name) and os.path.isfile(as_found(folder / name))


def is_number(text: str) -> bool:
    """Return whether a text is a number, as shares are."""
    with suppress(ValueError):
        float(text)
        return True
    return False


def _readings(text: str, is_name: IsName, read: ReadPart) -> list[Reading]:
    """Return the ways to cut a text at some of its commas so that ``read`` finds each part to be one."""
    pieces = text.rstrip().removesuffix(",").split(",")
    rests: list[list[Reading]] = [[] for _ in pieces] + [[()]]  # by piece: the ways to read the text from there on
    for start in reversed(range(len(pieces))):
        for end in range(start + 1, min(start + 1 + MOST_COMMAS, len(pieces)) + 1):
            if rests[end]:
                parts = read(",".join(pieces[start:end]).strip(), is_name)
                rests[start] += [(part, *rest) for part in parts for rest in rests[end]]
        del rests[start][MOST_READINGS:]
    return rests[0]


def _with_share(text: str, is_name: IsName) -> Iterator[LookPart]:
    for at in (at for at, character in enumerate(text) if character == ":"):
        name, share = text[:at].strip(), text[at + 1 :].strip()
        if is_name(name) and (is_number(share) or _moves(share)):
            yield LookPart(name, share=share)


def _moves(text: str) -> bool:
    """Return whether a text is a share that changes over time: an expression without key frames."""
    with suppress(UsageError):
        return not parse_curve(text, "--look").moments
    return False


def _with_moment(text: str, is_name: IsName) -> Iterator[LookPart]:
    for at in (at for at, character in enumerate(text) if character == ":"):
        name = text[at + 1 :].strip()
        with suppress(UsageError):
            moment = parse_time(text[:at])
            if is_name(name):
                yield LookPart(name, moment=str(moment))


def _plain(text: str, is_name: IsName) -> Iterator[LookPart]:
    if "," not in text or is_name(text):
        yield LookPart(text)


def _only_one(text: str, readings: list[Reading]) -> Reading:
    if len(readings) > 1:
        one, other = (" and ".join(f"'{part.name}'" for part in parts) for parts in readings[:2])
        raise UsageError(f"--look '{text}'", f"it can be read as {one} or as {other}", "rename a picture")
    return readings[0] if readings else ()
