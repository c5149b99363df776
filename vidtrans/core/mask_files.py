"""Parse the options for masks and regions: ``man=man.mkv``, ``not:man.mkv``, ``man=ink``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.registry import unknown_name
from vidtrans.core.system import name_key, path_as_stored

INVERTED_PREFIX = "not:"  # Prefix of a mask's file or name that selects the inverted mask: not:man.mkv
KEEP = "keep"  # Value in the place of a region's model that keeps the source's frames unchanged
NAME_PATTERN = re.compile(r"[^\W\d][\w-]*")  # Valid names of masks: a letter or _, then letters, digits, _ and -


@dataclass(frozen=True)
class MaskFile:
    """The file of a matte: white where the style is applied, black if ``inverted``. ``name``: for ``--region``.

    ``sequence``: the folder of masks to which this picture belongs, whose values decide which is inside; None: a single
    file.
    """

    path: Path
    inverted: bool = False
    name: str = ""
    sequence: Path | None = None

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
    """Parse a mask option, ``[not:]FILE``. If a file with the whole text as its name exists, return that file.

    ``folder``: the base of a relative path. ``named``: the text is ``NAME=[not:]FILE``. Raises UsageError.
    """
    whole = path_as_stored(folder / text)
    if whole.exists():
        return MaskFile(whole)
    before, equals, rest = text.partition("=")
    name = name_key(before) if named and equals and NAME_PATTERN.fullmatch(name_key(before)) else ""
    file = rest if name else text
    inverted = file.startswith(INVERTED_PREFIX) and not path_as_stored(folder / file).exists()
    file = file.removeprefix(INVERTED_PREFIX) if inverted else file
    if not file:
        raise UsageError(f"--mask {text}", "it names no file", "write --mask FILE, --mask not:FILE or --mask NAME=FILE")
    return MaskFile(path_as_stored(folder / file), inverted, name)


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
