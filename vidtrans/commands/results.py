"""The results of the Python functions: the table that ``--json`` prints, with typed attributes, shown by notebooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, overload

from vidtrans.core.settings import Table

Kind = TypeVar("Kind")


class Fact(Generic[Kind]):
    """An attribute of a result that reads ``key`` of its table by ``read``.

    Where the table has no such entry, of a dry run for example, reading it raises AttributeError.
    """

    def __init__(self, key: str, read: Callable[[Any], Kind], meaning: str) -> None:
        self.key, self.read, self.__doc__ = key, read, meaning

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, table: None, owner: type) -> Self: ...
    @overload
    def __get__(self, table: Table, owner: type) -> Kind: ...
    def __get__(self, table: Table | None, owner: type) -> Self | Kind:
        if table is None:
            return self
        if self.key in table:
            return self.read(table[self.key])
        why = "a dry run" if table.get("dry_run") else f"this one, which has: {', '.join(map(str, table))}"
        raise AttributeError(f"no '{self._name}' in a {owner.__name__} of {why}", name=self._name, obj=table)


def _or_none(read: Callable[[Any], Kind]) -> Callable[[Any], Kind | None]:
    def optional(value: Any) -> Kind | None:  # noqa: ANN401  (an entry of a table)
        return None if value is None else read(value)

    optional.__name__ = f"{getattr(read, '__name__', '')} | None"
    return optional


def size(value: Any) -> tuple[int, int]:  # noqa: ANN401  (an entry of a table)
    """Return (width, height)."""
    width, height = value
    return int(width), int(height)


def numbers(value: Any) -> tuple[int, ...]:  # noqa: ANN401
    """Return whole numbers."""
    return tuple(map(int, value))


def texts(value: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return lines of text."""
    return tuple(map(str, value))


def scores(value: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return scores by name."""
    return dict(value or {})


def moments(value: Any) -> tuple[dict[str, Any], ...]:  # noqa: ANN401
    """Return tables, a moment each."""
    return tuple(map(dict, value))


class CommandResult(dict[str, Any]):
    """What a command returns: the table that ``--json`` prints, as a dictionary, with typed attributes.

    ``print`` shows the report of the command line. Notebooks show what was made. Reading an attribute that the table
    has no entry for, as of a dry run, raises AttributeError.
    """

    seconds = Fact("seconds", float, "The seconds that the command took.")
    is_cached = Fact("cached", bool, "Whether the result was up to date, so that nothing was done.")

    def __init__(self, table: Mapping[str, Any], describe: Callable[[Table], str] | None = None) -> None:
        """Not for users: functions make results. ``describe``: returns the report of a table as text."""
        super().__init__(table)
        self._describe = describe

    @property
    def path(self) -> Path:
        """The file or folder that was written."""
        if self.get("output") is None:
            raise AttributeError("nothing was written", name="path", obj=self)
        return Path(self["output"])

    @property
    def each(self) -> tuple[Self, ...]:
        """The results of several clips, one for each; of one clip the result itself."""
        if not {"items", "failed"} <= self.keys():
            return (self,)
        return tuple(type(self)(item, self._describe) for item in self["items"])

    def __str__(self) -> str:
        if self._describe is None:
            return repr(self)
        return "\n".join(result._describe(result) for result in self.each if result._describe)

    def _views(self) -> list[str]:
        """Return what notebooks show above the report, as HTML."""
        return []

    def _repr_html_(self) -> str:
        from vidtrans.notebooks.views import text_view

        return "".join([*self._views(), text_view(str(self))])


class RenderedClip(CommandResult):
    """A clip that was rendered."""

    frames = Fact("frames", int, "The number of frames.")
    size = Fact("size", size, "The (width, height) in pixels.")
    duration = Fact("duration_s", float, "The clip's length in seconds.")
    model = Fact("model", _or_none(str), "The model's name; a chain's are joined by '+'.")
    source = Fact("source", _or_none(Path), "The clip that it was made from.")

    @property
    def score(self) -> ClipScores | None:
        """The scores, if they were asked for (``score=True``)."""
        table = self.get("score")
        return None if table is None else ClipScores(table)

    def _views(self) -> list[str]:
        from vidtrans.notebooks.views import film_view

        clips = () if self.get("dry_run") or "job" in self else self.each
        return [film_view(Path(one["output"]), one.get("source"), one.get("source_part")) for one in clips]


class MadePicture(CommandResult):
    """A sheet, a grid or a comparison: a picture, or a video."""

    frames = Fact("frames", int, "The number of frames that it shows.")

    def _views(self) -> list[str]:
        from vidtrans.notebooks.views import file_view

        if self.get("dry_run"):
            return []
        sheet = self.path / "sheet.png"  # of key frames
        return [file_view(sheet if sheet.is_file() else self.path)]


class MadeDataset(CommandResult):
    """A dataset of pairs."""

    frames = Fact("frames", int, "The number of frames that it holds.")
    pairs = Fact("pairs", int, "The number of pairs, those held out among them.")
    held_out = Fact("held_out", int, "The number of pairs that are held out, to score models by.")
    shots = Fact("shots", int, "The number of shots.")

    def _views(self) -> list[str]:
        from vidtrans.notebooks.views import dataset_view

        return [] if self.get("dry_run") else [dataset_view(one.path) for one in self.each]


class TrainedModel(CommandResult):
    """A model that was trained."""

    steps = Fact("steps", int, "The number of steps that it has learned for.")
    held_out = Fact("held_out", scores, "The mean scores of held-out pairs, by name; empty if none were held out.")
    best = Fact("best", _or_none(int), "The step of the best state, which is the model's.")
    report = Fact("report", Path, "The page on how it learned.")

    def _views(self) -> list[str]:
        from vidtrans.notebooks.views import file_view

        return [file_view(Path(self[key])) for key in ("report", "picture") if self.get(key)]


class ClipScores(CommandResult):
    """The scores of a clip. ``None``: it could not be measured, or what it is compared with was not given."""

    frames = Fact("frames", int, "The number of frames.")
    ratio = Fact("ratio", _or_none(float), "Warping error, as a share of the per-frame video's.")
    removed = Fact("removed", _or_none(float), "The share of the per-frame video's flicker that is gone.")
    sharpness = Fact("sharpness", _or_none(float), "Sharpness, as a share of what it is compared with.")
    psnr = Fact("psnr", _or_none(float), "PSNR to what it is compared with, in dB.")
    ssim = Fact("ssim", _or_none(float), "SSIM to what it is compared with, to 1.")
    worst = Fact("worst", moments, "The worst frames: tables of ``frame``, ``seconds`` and scores.")

    def _views(self) -> list[str]:
        return _plots(self)


class ProbedClip(CommandResult):
    """What a clip contains."""

    frames = Fact("frames", int, "The number of frames.")
    width = Fact("width", int, "Pixels, as it is shown.")
    height = Fact("height", int, "Pixels, as it is shown.")
    rate = Fact("rate", Fraction, "The nominal rate in frames a second.")
    duration = Fact("seconds", float, "The clip's length in seconds.")
    cuts = Fact("cuts", numbers, "The first frame of each shot but the first.")
    warnings = Fact("warnings", texts, "What is unusual about it.")


class SampledCurves(CommandResult):
    """Curves over a clip."""

    frames = Fact("frames", int, "The number of frames.")
    curves = Fact("curves", moments, "The curves: tables of ``curve``, ``low``, ``high``, ``mean`` and ``values``.")

    def _views(self) -> list[str]:
        return _plots(self)


class VoteOutcome(CommandResult):
    """The outcome of a vote."""

    votes = Fact("votes", int, "The number of votes that count.")
    verdict = Fact("verdict", str, "What they show, in a sentence.")
    conditions = Fact("conditions", moments, "The conditions, the best first: tables of ``name`` and scores.")
    pairs = Fact("pairs", moments, "The comparisons of two conditions: tables of ``first``, ``second`` and chances.")


def _plots(result: CommandResult) -> list[str]:
    """Return the view of a result that is a picture."""
    from vidtrans.notebooks.views import file_view

    plot = Path(result.get("output") or "")
    return [file_view(plot)] if plot.suffix.lower() == ".png" else []
