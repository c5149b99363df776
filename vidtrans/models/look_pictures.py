"""Parse a ``--look`` that names no model: a picture, a mixture, pictures with start times, or a painting medium.

File names in a ``--look`` may contain commas and colons.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vidtrans.config.recipe import Recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.files import base_name
from vidtrans.core.registry import missing_file_remedy, nearest_name
from vidtrans.core.settings import Table, parse_time
from vidtrans.core.system import path_as_stored
from vidtrans.curves.curve import parse_curve, parse_names
from vidtrans.models.model_file import IDENTITY, list_models
from vidtrans.models.paintings import painting_names, shipped_looks
from vidtrans.pipeline.render import look_named
from vidtrans.strokes.media import medium_names
from vidtrans.strokes.settings import medium_of_tables
from vidtrans.video.io.picture_paths import is_picture

MAX_COMMAS = 16  # Largest number of commas in a file name
MAX_READINGS = 8  # Largest number of interpretations of a text that are compared
CLIP = "clip"  # Name that stands for the style of the clip's own frames, unless a file has this name
MEDIUM_SUFFIX = ".toml"  # File suffix of a painting medium
IsName = Callable[[str], bool]  # A function that returns whether a text is a known name
Style = Path | None  # The file of a style picture, or None for the style of the clip's own frames
Mixture = tuple[tuple[Style, float], ...]  # Styles with their shares, which add up to 1
# Advice in errors about the form of a ``--look``
HINT = (
    'give a picture or a medium, a mixture as in "a.jpg: 0.6, b.jpg: 0.4" (or "a.jpg: 0.6, clip: 0.4"; shares may '
    'move, "a.jpg: 1 - low, b.jpg: low"), or moments as in "0: a.jpg, 5s: b.jpg"'
)
MAX_NAME_BYTES = 80  # Largest length of a model's name in bytes, so that it can be part of a file name


@dataclass(frozen=True)
class LookPart:
    """A name in a ``--look``, with the text of its share or of its start time (``moment``), '' if it has none.

    A share is a number or a curve.
    """

    name: str
    share: str = ""
    moment: str = ""

    def __str__(self) -> str:
        before, after = (f"{self.moment}: " if self.moment else "", f": {self.share}" if self.share else "")
        return f"{before}{self.name}{after}"


Reading = tuple[LookPart, ...]  # One interpretation of a ``--look`` as a sequence of names
# A function that yields the interpretations of the text of one name
ReadPart = Callable[[str, IsName], Iterator[LookPart]]


def parse_look_parts(look: str, is_name: IsName, *, has_shares: bool = True) -> Reading:
    """Return the names in a ``--look``, each with its share (if ``has_shares``) or start time; () for another form.

    ``is_name`` decides where names with commas and colons end. Raises UsageError if the text can be read in two ways.
    """
    if is_name(look):
        return (LookPart(look),)
    mixtures = _readings(look, is_name, _with_share) if has_shares else []
    return _require_unique(look, [*mixtures, *_readings(look, is_name, _with_moment)])


def split_names(text: str, is_name: IsName) -> list[str]:
    """Return the names in a comma-separated text; a comma inside a name that ``is_name`` accepts is no separator.

    Raises UsageError if the text can be read in two ways.
    """

    def plain(part: str, is_name: IsName) -> Iterator[LookPart]:
        """Yield the whole text as a name if it has no comma or is a known name."""
        if "," not in part or is_name(part):
            yield LookPart(part)

    readings = _readings(text, is_name, plain)
    matches = [parts for parts in readings if all(is_name(part.name) for part in parts)]
    longest = [parts for parts in readings if len(parts) == min(map(len, readings))]
    return [part.name for part in _require_unique(text, matches or longest)]


def replace_picture_paths(look: str, folder: Path, change: Callable[[Path], str]) -> str:
    """Return a ``--look`` in which ``change(folder / name)`` replaces the name of each picture in ``folder``."""
    if is_file(look, folder):
        return change(path_as_stored(folder / look))

    def changed(part: LookPart) -> str:
        """Return the text of one name, with the path changed if it is a file in ``folder``."""
        name = change(path_as_stored(folder / part.name)) if is_file(part.name, folder) else part.name
        return str(LookPart(name, part.share, part.moment))

    def is_name(name: str) -> bool:
        """Return whether a text is a file in ``folder``, or has no comma and no colon."""
        return is_file(name, folder) or not set(name) & set(",:")

    readings = [parts for read in (_with_moment, _with_share) for parts in _readings(look, is_name, read)]
    matching = next((parts for parts in readings if any(is_file(part.name, folder) for part in parts)), None)
    return look if matching is None else ", ".join(map(changed, matching))


def is_file(name: str, folder: Path) -> bool:
    """Return whether ``name`` is a file in ``folder``; False for a name that is too long for the file system."""
    return bool(name) and os.path.isfile(path_as_stored(folder / name))


def is_number(text: str) -> bool:
    """Return whether a text is a number."""
    with suppress(ValueError):
        float(text)
        return True
    return False


def _readings(text: str, is_name: IsName, read: ReadPart) -> list[Reading]:
    """Return the ways to split a text at commas into parts that ``read`` accepts, at most ``MAX_READINGS``."""
    pieces = text.rstrip().removesuffix(",").split(",")
    readings_from: list[list[Reading]] = [[] for _ in pieces] + [[()]]  # Interpretations from each piece on
    for start in reversed(range(len(pieces))):
        for end in range(start + 1, min(start + 1 + MAX_COMMAS, len(pieces)) + 1):
            if readings_from[end]:
                parts = read(",".join(pieces[start:end]).strip(), is_name)
                readings_from[start] += [(part, *rest) for part in parts for rest in readings_from[end]]
        del readings_from[start][MAX_READINGS:]
    return readings_from[0]


def _with_share(text: str, is_name: IsName) -> Iterator[LookPart]:
    """Yield the ways to read a text as "NAME: SHARE"."""
    for at in (at for at, character in enumerate(text) if character == ":"):
        name, share = text[:at].strip(), text[at + 1 :].strip()
        if is_name(name) and (is_number(share) or _is_curve(share)):
            yield LookPart(name, share=share)


def _is_curve(text: str) -> bool:
    """Return whether the text of a share is an expression of time without key frames."""
    with suppress(UsageError):
        return not parse_curve(text, "--look").moments
    return False


def _with_moment(text: str, is_name: IsName) -> Iterator[LookPart]:
    """Yield the ways to read a text as "START TIME: NAME"."""
    for at in (at for at, character in enumerate(text) if character == ":"):
        name = text[at + 1 :].strip()
        with suppress(UsageError):
            moment = parse_time(text[:at])
            if is_name(name):
                yield LookPart(name, moment=str(moment))


def _require_unique(text: str, readings: list[Reading]) -> Reading:
    """Return the only interpretation of a text, or () without one. Raises UsageError if there are several."""
    if len(readings) > 1:
        first, second = (" and ".join(f"'{part.name}'" for part in parts) for parts in readings[:2])
        raise UsageError(f"--look '{text}'", f"it can be read as {first} or as {second}", "rename a picture")
    return readings[0] if readings else ()


@dataclass(frozen=True)
class NamedPictures:
    """The styles, the painting medium, or the painting with a look that ships, which a ``--look`` names."""

    looks: dict[str, Mixture]  # Mixtures of style pictures, by the name of the mixture
    value: str  # The value of ``--look`` that uses these mixture names
    medium: str = ""  # Name or file of the painting medium; '' for pictures
    painting: str = ""  # Name of the painting whose look ships; '' for others

    @property
    def name(self) -> str:
        """Return the name of the model for these pictures, at most ``MAX_NAME_BYTES`` bytes long."""
        if self.medium or self.painting:
            return self.painting or medium_label(self.medium)
        return "+".join(self.looks).encode()[:MAX_NAME_BYTES].decode(errors="ignore")

    @property
    def files(self) -> list[Path]:
        """Return the paths of all style pictures."""
        return [path for mixture in self.looks.values() for path, _ in mixture if isinstance(path, Path)]

    def with_model(self, recipe: Recipe) -> Recipe:
        """Return the recipe with these styles or this medium. Raises UsageError if the recipe has another medium."""
        if self.painting:
            return recipe.under({"rendering": {"look": ""}})
        if not self.medium:
            return recipe.under({"rendering": {"look": self.value}})
        other = medium_of_tables(recipe.tables)
        if other and other != self.medium:
            why = f"it is a medium, and --strokes {other} is another one"
            raise UsageError(f"--look {self.medium}", why, "leave one of them out")
        return recipe.under({"rendering": {"look": ""}, "strokes": {"medium": self.medium}})

    @property
    def has_clip(self) -> bool:
        """Return whether a mixture includes the style of the clip's own frames."""
        return any(path is None for mixture in self.looks.values() for path, _ in mixture)


def models_named(models: Sequence[str], tables: Mapping[str, Table]) -> tuple[str, ...]:
    """Return the names of a render's models; () if ``--look`` names pictures, whose model is predicted.

    ``models``: the given names; ``tables``: the tables of the recipe. A painting medium without model or ``--look``
    paints the unchanged frame, so the only name is 'identity'.
    """
    is_plain = not models and medium_of_tables(tables) and not look_named(tables)
    return (IDENTITY,) if is_plain else tuple(models)


def medium_label(medium: str) -> str:
    """Return the name of a painting medium, given by name or file, for messages."""
    return plain_name(Path(medium).stem)


def look_names(pictures: Sequence[Path]) -> list[str]:
    """Return one style name per picture, taken from the file name. Raises UsageError if two names are equal."""
    names = [plain_name(base_name(picture)) for picture in pictures]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise UsageError(f"look '{twice}'", "two pictures have this name", "give each once, or rename one of them")
    return names


def plain_name(text: str) -> str:
    """Return a text without commas and colons, which separate names in a ``--look``."""
    return text.replace(",", "_").replace(":", "_").strip() or "look"


def parse_pictures(look: str, folder: Path = Path()) -> NamedPictures:
    """Return the pictures in ``folder``, the medium or the painting that a ``--look`` names. Raises UsageError."""
    parts = parse_look_parts(look, partial(is_style, folder=folder))
    if not parts:
        raise _look_error(look, folder)
    if alone := [part.name for part in parts if stands_alone(part.name, folder)]:
        return _parse_alone(look, parts, alone, folder)
    if not all(is_number(part.share) for part in parts if part.share):
        looks, used = _unique_names([((_style(part.name, folder), 1.0),) for part in parts])
        value = ", ".join(f"{name}: {part.share}" for name, part in zip(used, parts, strict=True))
        return NamedPictures(looks, value)
    if parts[0].share:
        return name_looks([_mixture(look, parts, folder)])
    moments = [part.moment for part in parts if part.moment]
    return name_looks([((_style(part.name, folder), 1.0),) for part in parts], moments)


def names_pictures(look: str) -> bool:
    """Return whether a ``--look`` names a picture, or styles with shares."""
    parts = parse_look_parts(look, is_style)
    return is_file(look, Path()) or any(part.share for part in parts)


def name_looks(mixtures: Sequence[Mixture], moments: Sequence[str] = ()) -> NamedPictures:
    """Give mixtures of pictures unique names; ``moments``: the start time of each, or () to use only the first mixture.

    The result contains the mixtures by name, and a ``--look`` that uses the names.
    """
    looks, used = _unique_names(mixtures)
    value = ", ".join(f"{moment}: {name}" for moment, name in zip(moments, used, strict=True)) if moments else used[0]
    return NamedPictures(looks, value)


def _unique_names(mixtures: Sequence[Mixture]) -> tuple[dict[str, Mixture], list[str]]:
    """Return the mixtures by unique name, and the name of each given mixture; equal mixtures share a name."""
    looks: dict[str, Mixture] = {}
    used = []
    for mixture in mixtures:
        plain = name = plain_name("+".join(style.stem if style else CLIP for style, _ in mixture))
        number = 2
        while looks.get(name, mixture) != mixture:
            name, number = f"{plain}-{number}", number + 1
        looks[name] = mixture
        used.append(name)
    return looks, used


def is_style(name: str, folder: Path = Path()) -> bool:
    """Return whether a text names a medium, a painting that ships, the clip's own style, or a file in ``folder``."""
    return name in (CLIP, *shipped_looks()) or is_file(name, folder)


def stands_alone(name: str, folder: Path = Path()) -> bool:
    """Return whether a text is a medium, or a painting whose look ships: neither is mixed with other looks."""
    return is_medium(name, folder) or (name in painting_names() and not is_file(name, folder))


def is_medium(name: str, folder: Path = Path()) -> bool:
    """Return whether a text is a painting medium's name or file; a picture with a medium's name is a picture."""
    return name.endswith(MEDIUM_SUFFIX) if is_file(name, folder) else name in medium_names()


def _parse_alone(look: str, parts: Sequence[LookPart], alone: Sequence[str], folder: Path) -> NamedPictures:
    """Return the medium or the painting of a ``--look``. Raises UsageError if it is combined with other names.

    ``parts``: all names in the ``--look``; ``alone``: the names of media and paintings among them.
    """
    [first, *_] = alone
    is_painting = not is_medium(first, folder)
    if look == first:
        if is_painting:
            return NamedPictures({}, "", painting=look)
        return NamedPictures({}, "", str(path_as_stored(folder / look)) if is_file(look, folder) else look)
    picture = next((part.name for part in parts if part.name not in alone), "")
    remedy = f"give --look {first} alone"
    if picture and not is_painting:
        remedy = f"to paint what a picture's look makes: --look {picture} --strokes {first}"
    kind = "look" if is_painting else "medium"
    raise UsageError(f"--look '{look}'", f"the {kind} {first} stands alone, without shares and moments", remedy)


def _style(name: str, folder: Path) -> Style:
    """Return the path of the style picture ``name`` in ``folder``; None for the style of the clip itself."""
    return None if name == CLIP and not is_file(name, folder) else path_as_stored(folder / name)


def _mixture(look: str, parts: Sequence[LookPart], folder: Path) -> Mixture:
    """Return the styles of a ``--look`` with their shares, scaled to add up to 1. Raises UsageError."""
    shares = [float(part.share) for part in parts]
    total = sum(shares)
    if min(shares) < 0 or not 0 < total < float("inf"):
        raise UsageError(f"--look '{look}'", "shares are from 0, and not all 0", HINT)
    return tuple((_style(part.name, folder), share / total) for part, share in zip(parts, shares, strict=True))


def _look_error(look: str, folder: Path) -> UsageError:
    """Return the error for a ``--look`` with an unknown name or form."""
    parts = [[each.strip() for each in part.rpartition(":")[::2]] for part in look.split(",")]
    if all(is_style(name, folder) for name, _ in parts):
        return UsageError(f"--look '{look}'", "after a picture comes its share, a number", HINT)
    names = [look]
    if len(parts) > 1 and ":" in look:
        is_mixture = all(is_number(share) for _, share in parts)
        names = [name for name, _ in parts] if is_mixture else parse_names(look, "--look")[0]
    several = [name.strip() for name in look.split(",")]
    if len(several) > 1 and all(is_style(name, folder) for name in several):
        remedy = f"compare them: vidtrans try VIDEO --vary look={','.join(several)}"
        if any(each in painting_names() for each in several):
            remedy = "give one; 'vidtrans try VIDEO --model ONE --model OTHER' compares models, as those of paintings"
        return UsageError(f"--look {look}", "a clip has one look", remedy)
    name = next((name for name in names if not is_style(name, folder)), look)
    if name and (folder / name).is_dir():
        return UsageError(f"--look {name}", "it is a folder", "name a picture in it")
    if is_picture(Path(name)):
        return UsageError(f"--look {name}", "no such picture", missing_file_remedy(folder / name))
    models = [*list_models(), IDENTITY]
    near = nearest_name(name, [*models, *shipped_looks()])
    if near in models and near not in painting_names():
        remedy = f"did you mean the model '{near}'? vidtrans stylize VIDEO --model {near}"
    elif near:
        remedy = f"did you mean '{near}'?"
    elif set(name) & set(",:"):
        remedy = HINT
    else:
        remedy = f"give a picture, or choose from: {', '.join(shipped_looks())}"
    return UsageError(f"--look {name}", "there is no such medium, painting or picture", remedy)


def unknown_look_error(name: str, looks: Sequence[str]) -> UsageError:
    """Return the error for a name that is not in ``looks``; it suggests the nearest name of a style or medium."""
    near = nearest_name(name, [*(medium for medium in medium_names() if medium not in looks), *looks])
    hint = f"did you mean '{near}'? " if near else ""
    if near and near not in looks:
        hint = f"to paint what the model makes in {near}: --strokes {near}; or "
    remedy = f"choose from: {', '.join(looks)}" if looks else "give a picture or a medium"
    return UsageError(f"unknown look '{name}'", "the model has no such look", hint + remedy)
