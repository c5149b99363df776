"""Looks of pictures, and looks that ship: names, and a ``--look`` without a model: one, a mixture, or in turn."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidtrans.core.curves import parse_names
from vidtrans.core.errors import UsageError
from vidtrans.core.files import base_name
from vidtrans.models.gallery import gallery_looks

CLIP = "clip"  # names the style of the clip's own frames, unless a file has this name
Style = Path | str | None  # a picture, the name of a look that ships, or None: the style of the clip's own frames
Mixture = tuple[tuple[Style, float], ...]  # styles and shares, which add up to 1
HINT = (
    'give a picture or a look that ships, a mixture as in "a.jpg: 0.6, b.jpg: 0.4" (or "a.jpg: 0.6, clip: 0.4"), or '
    'moments as in "0: a.jpg, 5s: oil"'
)
LONGEST_NAME = 80  # bytes, of a file


@dataclass(frozen=True)
class NamedPictures:
    """The pictures of a ``--look``: a mixture for each look by its name, and the value of ``--look`` in these names."""

    looks: dict[str, Mixture]
    value: str

    @property
    def name(self) -> str:
        """Return the name of the model that is made of the pictures."""
        return "+".join(self.looks).encode()[:LONGEST_NAME].decode(errors="ignore")

    @property
    def files(self) -> list[Path]:
        """Return the pictures' files."""
        return [path for mixture in self.looks.values() for path, _ in mixture if isinstance(path, Path)]

    @property
    def has_clip(self) -> bool:
        """Return whether the style of the clip's own frames has a part in a look."""
        return any(path is None for mixture in self.looks.values() for path, _ in mixture)


def look_names(pictures: Sequence[Path]) -> list[str]:
    """Return the names of looks, taken from the file names of their pictures.

    Raises UsageError if two are equal, or if one contains a comma or colon, which ``--look`` uses as separators.
    """
    names = [base_name(picture) for picture in pictures]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise UsageError(f"look '{twice}'", "two pictures have this name", "give each once, or rename one of them")
    if unclear := next((name for name in names if set(name) & set(",:")), ""):
        why = "a look has the name of its picture, and several are listed with commas and colons"
        raise UsageError(f"look '{unclear}'", why, "rename the picture")
    return names


def parse_pictures(look: str, folder: Path = Path()) -> NamedPictures:
    """Return the pictures that a ``--look`` names. Raises UsageError if it names anything else.

    ``folder``: of relative paths.
    """
    if _is_source(look, folder):
        return name_looks([_alone(look, folder)])
    parts = [[each.strip() for each in part.rpartition(":")[::2]] for part in look.split(",")]
    if all(_is_source(name, folder) for name, _ in parts):
        return name_looks([_mixture(look, parts, folder)])
    names, moments = parse_names(look, "--look")
    for name in names:
        if not _is_source(name, folder):
            why = "there is no model, no such picture, and no look of this name"
            raise UsageError(f"--look {name}", why, f"{HINT}; these ship: {', '.join(gallery_looks())}")
    return name_looks([_alone(name, folder) for name in names], [str(moment) for moment in moments])


def names_pictures(look: str) -> bool:
    """Return whether a ``--look`` names pictures, or pictures with shares."""
    names = [part.rpartition(":")[0].strip() for part in look.split(",")]
    return _is_file(look, Path()) or all(_is_source(name, Path()) for name in names)


def name_looks(mixtures: Sequence[Mixture], moments: Sequence[str] = ()) -> NamedPictures:
    """Return looks with a unique name for each; ``moments``: when each begins; without them the first is shown."""
    looks: dict[str, Mixture] = {}
    used = []
    for mixture in mixtures:
        plain = "+".join(_plain_name(style) for style, _ in mixture)
        plain = name = plain.replace(",", "_").replace(":", "_").strip() or "look"
        number = 2
        while looks.get(name, mixture) != mixture:
            name, number = f"{plain}-{number}", number + 1
        looks[name] = mixture
        used.append(name)
    value = ", ".join(f"{moment}: {name}" for moment, name in zip(moments, used, strict=True)) if moments else used[0]
    return NamedPictures(looks, value)


def with_other_paths(look: str, folder: Path, change: Callable[[Path], str]) -> str:
    """Return a ``--look`` with ``change(folder / name)`` in place of each name of a picture in ``folder``."""
    if _is_file(look, folder):
        return change(folder / look)
    parts = []
    for part in look.split(","):
        before, colon, after = part.rpartition(":")
        if colon and _is_file(before.strip(), folder):
            part = f"{change(folder / before.strip())}:{after}"
        elif _is_file(after.strip(), folder):
            part = f"{before}{colon} {change(folder / after.strip())}".strip()
        parts.append(part.strip())
    return ", ".join(parts)


def _is_source(name: str, folder: Path) -> bool:
    return name == CLIP or name in gallery_looks() or _is_file(name, folder)


def _is_file(name: str, folder: Path) -> bool:
    return bool(name) and os.path.isfile(folder / name)  # not Path.is_file, which raises for a name that is too long


def _source(name: str, folder: Path) -> Style:
    if _is_file(name, folder):
        return folder / name
    return None if name == CLIP else name


def _plain_name(style: Style) -> str:
    return CLIP if style is None else style if isinstance(style, str) else style.stem


def _alone(name: str, folder: Path) -> Mixture:
    return ((_source(name, folder), 1.0),)


def _mixture(look: str, parts: Sequence[Sequence[str]], folder: Path) -> Mixture:
    try:
        shares = [float(share) for _, share in parts]
    except ValueError:
        raise UsageError(f"--look '{look}'", "after a picture comes its share, a number", HINT) from None
    total = sum(shares)
    if min(shares) < 0 or not 0 < total < float("inf"):
        raise UsageError(f"--look '{look}'", "shares are from 0, and not all 0", HINT)
    return tuple((_source(name, folder), share / total) for (name, _), share in zip(parts, shares, strict=True))
