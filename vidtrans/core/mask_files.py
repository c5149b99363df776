"""Masks and regions as options name them: ``man=man.mkv``, ``not:man.mkv``, ``man=ink``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.registry import unknown_name
from vidtrans.core.system import as_found, name_key

NOT = "not:"  # before a file or a name: the other side of it
KEEP = "keep"  # instead of a model: the frames as they are
NAME = re.compile(r"[^\W\d][\w-]*")


@dataclass(frozen=True)
class MaskFile:
    """A matte, white where the look is; ``inverted``: white where it is not. ``name``: for ``--region``.

    ``sequence``: the masks, of which this picture is one, that decide together what is inside; None: it decides itself.
    """

    path: Path
    inverted: bool = False
    name: str = ""
    sequence: Path | None = None

    def inverse(self) -> MaskFile:
        """Return the other side of the matte."""
        return replace(self, inverted=not self.inverted)


@dataclass(frozen=True)
class RegionLook:
    """A part of the picture with its own look, where ``mask`` is white.

    ``models``: a chain; none: the source is kept, unless ``look`` names pictures or a medium.
    """

    mask: MaskFile
    models: tuple[str, ...] = ()
    look: str = ""


def parse_mask(text: str, folder: Path = Path(), *, named: bool = False) -> MaskFile:
    """Return the mask that an option names: ``[not:]FILE``; an existing file of the whole name is that file.

    ``folder``: of a relative path. ``named``: a name precedes it, ``NAME=[not:]FILE``. Raises UsageError.
    """
    whole = as_found(folder / text)
    if whole.exists():
        return MaskFile(whole)
    before, equals, rest = text.partition("=")
    name = name_key(before) if named and equals and NAME.fullmatch(name_key(before)) else ""
    file = rest if name else text
    inverted = file.startswith(NOT) and not as_found(folder / file).exists()
    file = file.removeprefix(NOT) if inverted else file
    if not file:
        raise UsageError(f"--mask {text}", "it names no file", "write --mask FILE, --mask not:FILE or --mask NAME=FILE")
    return MaskFile(as_found(folder / file), inverted, name)


def given_mask(text: str | None) -> MaskFile | None:
    """Return the mask of an option that may be left out; None without one. Raises UsageError."""
    return parse_mask(text) if text is not None else None


def only_mask(masks: Sequence[str], folder: Path = Path()) -> MaskFile | None:
    """Return the mask of a command that takes one; None without one. Raises UsageError for several."""
    if len(masks) > 1:
        raise UsageError("--mask", f"{len(masks)} were given", "give a look to each: --region NAME=MODEL")
    return parse_mask(masks[0], folder) if masks else None


def parse_regions(masks: Sequence[str], regions: Sequence[str], folder: Path = Path()) -> tuple[RegionLook, ...]:
    """Return the regions of a render, of which later ones lie over earlier ones.

    Args:
        masks: ``NAME=[not:]FILE``, each.
        regions: ``[not:]NAME=MODEL``, each; one that is repeated has a chain of models, in the order given.
        folder: of relative paths of masks.

    Raises:
        UsageError: A name is unknown, not used, or given twice.
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
        inverted, name = side.startswith(NOT), name_key(side.removeprefix(NOT))
        if not name or not model:
            raise UsageError(f"--region {text}", "it is no region with its model", "write --region NAME=MODEL")
        if name not in named:
            raise unknown_name(f"--region {text}: mask", name, named)
        chains.setdefault((name, inverted), []).append(model)
    if unused := next((name for name in named if name not in {name for name, _ in chains}), ""):
        raise UsageError(f"--mask {unused}=…", "no region has it", f"add --region {unused}=MODEL, or leave it out")
    return tuple(
        RegionLook(named[name].inverse() if inverted else named[name], _kept(models, f"--region {name}"))
        for (name, inverted), models in chains.items()
    )


def parse_rest(models: Sequence[str]) -> tuple[str, ...]:
    """Return the models of what is in no region; () if it is kept. Raises UsageError."""
    return _kept(models, "--rest")


def _kept(models: Sequence[str], option: str) -> tuple[str, ...]:
    """Return a chain of models; () for ``keep``."""
    if KEEP not in models:
        return tuple(models)
    if len(models) > 1:
        raise UsageError(f"{option} {KEEP}", "it keeps the frames, and models were given too", "give one of them")
    return ()


def check_regions(
    masks: Sequence[str], regions: Sequence[str], rest: Sequence[str], others: Sequence[tuple[str, object]]
) -> None:
    """Raise UsageError if options for masks and regions do not fit each other.

    ``others``: options for the look of the whole picture, with their values.
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
