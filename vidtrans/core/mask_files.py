"""Parse the options for masks and regions: ``man=man.mkv``, ``not:man.mkv``, ``person - face``, ``man=ink``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.registry import nearest_name, unknown_name
from vidtrans.core.system import name_key, path_as_stored

INVERTED_PREFIX = "not:"  # Prefix of a mask's file or name that selects the inverted mask: not:man.mkv
KEEP = "keep"  # Value in the place of a region's model that keeps the source's frames unchanged
NAME_PATTERN = re.compile(r"[^\W\d][\w-]*")  # Valid names of masks: a letter or _, then letters, digits, _ and -
FILE = "file"  # The kind of a term that is a mask's file, not found in the picture
PERSON, FACE, KEY, COLOUR, LUMA = "person", "face", "key", "colour", "luma"  # Kinds of terms that are found
# What each kind of mask that is found in the picture is, for help and errors
FOUND_MASKS = {
    PERSON: "the people",
    FACE: "the faces",
    KEY: "what stands before a green or blue screen; key:#00b140 names the screen's colour",
    COLOUR: "a colour, as in colour:#c03020, and how far others may differ: colour:#c03020,30",
    LUMA: "the bright parts, or a range of brightness: luma:0.2..0.6",
}
# Default distance of the colours that a mask of a colour includes, in CIELAB units (ΔE of 1976)
DEFAULT_TOLERANCE = 25.0
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
_TERM = re.compile(
    rf"(?P<kind>{PERSON}|{FACE}|{KEY}(?::(?P<screen>#[0-9a-f]{{6}}))?"
    rf"|{COLOUR}:(?P<colour>#[0-9a-f]{{6}})(?:,(?P<tolerance>{_NUMBER}))?"
    rf"|{LUMA}(?::(?P<low>{_NUMBER})\.\.(?P<high>{_NUMBER}))?)",
    re.IGNORECASE,
)
_INVERTED = re.compile(r"not(?::\s*|\s+)", re.IGNORECASE)  # The word before a term, or before a file
_OPERATOR = re.compile(r"\s+([+-])\s+")  # Between terms that may be files, whose names contain + and -
_CLOSE_OPERATOR = re.compile(r"\s*([+-])\s*")  # Between terms that are found


@dataclass(frozen=True)
class MaskTerm:
    """One term of a mask: what is found in the picture, or a file.

    Attributes:
        kind: ``FILE``, or a key of ``FOUND_MASKS``.
        value: The file's path; or the colour, '#rrggbb', '' for a screen's that is found by itself.
        low: The tolerance around a colour, in CIELAB units; or the least brightness, 0 to 1.
        high: The largest brightness, 0 to 1.
        inverted: Whether the term is what it does not cover.
        is_subtracted: Whether it is taken out of the terms before it, which it else adds to.
    """

    kind: str
    value: str = ""
    low: float = 0.0
    high: float = 1.0
    inverted: bool = False
    is_subtracted: bool = False

    def __str__(self) -> str:
        text = {
            FILE: f"./{self.value}" if _found_term(self.value) or _INVERTED.match(self.value) else self.value,
            KEY: f"{KEY}:{self.value}" if self.value else KEY,
            COLOUR: f"{COLOUR}:{self.value},{_decimal(self.low)}",
            LUMA: f"{LUMA}:{_decimal(self.low)}..{_decimal(self.high)}",
        }.get(self.kind, self.kind)
        return f"not {text}" if self.inverted else text


@dataclass(frozen=True)
class MaskFile:
    """A mask: white where the style is applied, black if ``inverted``. ``name``: for ``--region``.

    Attributes:
        path: The file; the text of a mask that is found in the picture.
        inverted: Whether black is inside.
        name: The mask's name, for ``--region``; '' without one.
        sequence: The folder of masks to which this picture belongs, whose values decide which is inside; None: a single
            file.
        terms: The terms of a mask that is found in the picture; () for a file.
    """

    path: Path
    inverted: bool = False
    name: str = ""
    sequence: Path | None = None
    terms: tuple[MaskTerm, ...] = ()

    @property
    def files(self) -> list[Path]:
        """Return the files that the mask is read from."""
        return [Path(term.value) for term in self.terms if term.kind == FILE] if self.terms else [self.path]

    def inverse(self) -> MaskFile:
        """Return the mask with black and white exchanged."""
        return replace(self, inverted=not self.inverted)


@dataclass(frozen=True)
class RegionLook:
    """A region of the picture, where ``mask`` is white, and the style for it.

    ``models``: a chain of models; if it is empty, ``look`` names pictures or a medium, or the source is kept.
    """

    mask: MaskFile
    models: tuple[str, ...] = ()
    look: str = ""


def parse_mask(text: str, folder: Path = Path(), *, named: bool = False) -> MaskFile:
    """Parse a mask option: ``[not:]FILE``, or a mask that is found in the picture, as ``person - face``.

    If a file with the whole text as its name exists, return that file. ``folder``: the base of a relative path.
    ``named``: the text is ``NAME=MASK``. Raises UsageError.
    """
    if _is_file(folder / text):
        return MaskFile(path_as_stored(folder / text))
    before, equals, rest = text.partition("=")
    name = name_key(before) if named and equals and NAME_PATTERN.fullmatch(name_key(before)) else ""
    file = rest if name else text
    if terms := parse_terms(file, folder):
        return MaskFile(Path(file), name=name, terms=terms)
    inverted = file.startswith(INVERTED_PREFIX) and not _is_file(folder / file)
    file = file.removeprefix(INVERTED_PREFIX) if inverted else file
    if not file:
        raise UsageError(f"--mask {text}", "it names no file", "write --mask FILE, --mask not:FILE or --mask NAME=FILE")
    near = "" if Path(file).suffix else nearest_name(file, FOUND_MASKS)
    if near and not _is_file(folder / file):
        raise UsageError(f"--mask {text}", "no such file", f"did you mean '{near}'?")
    return MaskFile(path_as_stored(folder / file), inverted, name)


def parse_terms(text: str, folder: Path = Path()) -> tuple[MaskTerm, ...]:
    """Parse a mask that is found in the picture: terms joined by + and -; () for the name of a file.

    ``folder``: the base of relative paths of files among the terms. Raises UsageError.
    """
    if any(_is_file(folder / name) for name in (text, text.removeprefix(INVERTED_PREFIX)) if name):
        return ()
    parts = _OPERATOR.split(text.strip())
    if len(parts) == 1:
        close = _CLOSE_OPERATOR.split(text.strip())
        parts = close if all(_found_term(part) for part in close[::2]) else parts
    found = [_found_term(part) for part in parts[::2]]
    if not any(found):
        _check_no_term(text)
        return ()
    terms = []
    for number, (term, part) in enumerate(zip(found, parts[::2], strict=True)):
        if term is None:
            _check_no_term(part)
            inverted = _INVERTED.match(part)
            name = part[inverted.end() :] if inverted else part
            if not name:
                raise UsageError(f"the mask '{text}'", "a term of it names no file", "as in person - hat.png")
            term = MaskTerm(FILE, str(path_as_stored(folder / name)), inverted=bool(inverted))
        terms.append(replace(term, is_subtracted=number > 0 and parts[2 * number - 1] == "-"))
    return tuple(terms)


def _is_file(path: Path) -> bool:
    """Return whether a file or folder exists; a text that is too long for a name is none."""
    try:
        return path_as_stored(path).exists()
    except OSError:
        return False


def _decimal(value: float) -> str:
    """Return a number in digits, without an exponent."""
    return format(Decimal(repr(value)).normalize(), "f")


def parse_live_mask(text: str) -> tuple[MaskTerm, ...]:
    """Parse a mask of a live source, whose terms are all found in the picture; () for ''.

    Texts come from pages on other machines, so no file is looked for. Raises UsageError.
    """
    terms: list[MaskTerm] = []
    parts = _CLOSE_OPERATOR.split(text.strip()) if text.strip() else []
    for number, part in enumerate(parts[::2]):
        term = _found_term(part)
        if term is None:
            _check_no_term(part)
            if not Path(part).suffix:
                raise unknown_name("mask", _INVERTED.sub("", part, count=1)[:60], FOUND_MASKS)
            remedy = f"use {', '.join(FOUND_MASKS)}, joined by + and -, each also with 'not'"
            raise UsageError(f"mask {part[:60]}", "a file's frames belong to no live source", remedy)
        terms.append(replace(term, is_subtracted=number > 0 and parts[2 * number - 1] == "-"))
    return tuple(terms)


def mask_text(mask: MaskFile, change: Callable[[Path], str] = str) -> str:
    """Return the text of a found mask, in which ``change(path)`` replaces the paths of files."""
    texts = []
    for number, term in enumerate(mask.terms):
        own = replace(term, value=change(Path(term.value))) if term.kind == FILE else term
        texts += [*(["-" if term.is_subtracted else "+"] if number else []), str(own)]
    return " ".join(texts)


def _found_term(text: str) -> MaskTerm | None:
    """Parse one term that is found in the picture; None for the name of a file. Raises UsageError."""
    inverted = _INVERTED.match(text)
    match = _TERM.fullmatch(text[inverted.end() :] if inverted else text)
    if not match:
        return None
    kind, given = match["kind"].partition(":")[0].lower(), match.groupdict()
    term = MaskTerm(kind, inverted=bool(inverted))
    if kind == KEY:
        return replace(term, value=(given["screen"] or "").lower())
    if kind == COLOUR:
        return replace(term, value=given["colour"].lower(), low=float(given["tolerance"] or DEFAULT_TOLERANCE))
    if kind == LUMA:
        low, high = float(given["low"] or 0.5), float(given["high"] or 1.0)
        if not 0 <= low < high <= 1:
            raise UsageError(f"the mask '{text}'", "its range is not within 0 to 1", "as in luma:0.2..0.6")
        return replace(term, low=low, high=high)
    return term


def _check_no_term(text: str) -> None:
    """Raise UsageError for a text that begins as a mask of a colour, a screen or a brightness, and is none."""
    start = _INVERTED.sub("", text, count=1).partition(":")
    if start[1] and start[0].lower() in (KEY, COLOUR, LUMA):
        kind = start[0].lower()
        remedy = {KEY: "as in key:#00b140", COLOUR: "as in colour:#c03020 or colour:#c03020,30"}
        raise UsageError(f"the mask '{text}'", f"not a {kind}", remedy.get(kind, "as in luma:0.2..0.6"))


def optional_mask(text: str | None) -> MaskFile | None:
    """Parse the value of a mask option; None (not given) gives None. Raises UsageError."""
    return parse_mask(text) if text is not None else None


def only_mask(masks: Sequence[str], folder: Path = Path()) -> MaskFile | None:
    """Parse the values of --mask of a command that takes at most one; None for no value. Raises UsageError."""
    if len(masks) > 1:
        raise UsageError("--mask", f"{len(masks)} were given", "give a look to each: --region NAME=MODEL")
    return parse_mask(masks[0], folder) if masks else None


def parse_regions(masks: Sequence[str], regions: Sequence[str], folder: Path = Path()) -> tuple[RegionLook, ...]:
    """Parse the regions of a render; later regions cover earlier ones.

    Args:
        masks: Texts ``NAME=[not:]FILE``.
        regions: Texts ``[not:]NAME=MODEL``. A repeated region has a chain of models, in this order.
        folder: The base of relative paths of masks.

    Raises:
        UsageError: A name is unknown, unused, or repeated among the masks.
    """
    named: dict[str, MaskFile] = {}
    for text in masks:
        mask = parse_mask(text, folder, named=True)
        if not mask.name:
            raise UsageError(f"--mask {text}", "a mask of a region has a name", "write --mask NAME=FILE")
        if mask.name in named:
            raise UsageError(f"--mask {text}", f"'{mask.name}' was given twice", "give each mask its own name")
        named[mask.name] = mask
    chains: dict[tuple[str, bool], list[str]] = {}
    for text in regions:
        side, _, model = text.partition("=")
        inverted, name = side.startswith(INVERTED_PREFIX), name_key(side.removeprefix(INVERTED_PREFIX))
        if not name or not model:
            raise UsageError(f"--region {text}", "it is no region with its model", "write --region NAME=MODEL")
        if name not in named:
            raise unknown_name(f"--region {text}: mask", name, named)
        chains.setdefault((name, inverted), []).append(model)
    if unused := next((name for name in named if name not in {name for name, _ in chains}), ""):
        raise UsageError(f"--mask {unused}=…", "no region has it", f"add --region {unused}=MODEL, or leave it out")
    return tuple(
        RegionLook(named[name].inverse() if inverted else named[name], _model_chain(models, f"--region {name}"))
        for (name, inverted), models in chains.items()
    )


def parse_rest(models: Sequence[str]) -> tuple[str, ...]:
    """Return the chain of models for pixels outside of all regions; () if the source is kept. Raises UsageError."""
    return _model_chain(models, "--rest")


def _model_chain(models: Sequence[str], option: str) -> tuple[str, ...]:
    """Return a chain of models; () for the single word ``keep``. Raises UsageError for ``keep`` among models.

    ``option``: the option that has the models, for the error.
    """
    if KEEP not in models:
        return tuple(models)
    if len(models) > 1:
        raise UsageError(f"{option} {KEEP}", "it keeps the frames, and models were given too", "give one of them")
    return ()


def check_regions(
    masks: Sequence[str], regions: Sequence[str], rest: Sequence[str], others: Sequence[tuple[str, object]]
) -> None:
    """Raise UsageError if the options for masks and regions conflict.

    ``others``: the options for the style of the whole picture, as pairs of name and value.
    """
    if not regions:
        only_mask(masks)
        if rest:
            raise UsageError("--rest", "there is no --region", "give one, or give the model as --model")
        return
    for option, given in others:
        if given:
            raise UsageError(option, "each --region names its own look", "give the look of all else as --rest")
    parse_regions(masks, regions)
    parse_rest(rest)
