"""Results of the Python functions: the table that ``--json`` prints, with typed attributes and views for notebooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, overload

from vidtrans.core.settings import Table

Kind = TypeVar("Kind")  # Type of a result's attribute


class ResultField(Generic[Kind]):
    """A typed attribute of a result, converted by ``read`` from the entry ``key`` of its table.

    ``meaning``: the attribute's docstring. Reading the attribute raises AttributeError if the table has no such entry,
    for example after a dry run.
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


def _optional(read: Callable[[Any], Kind]) -> Callable[[Any], Kind | None]:
    """Return a converter that keeps None, and converts other values with ``read``."""

    def optional(value: Any) -> Kind | None:  # noqa: ANN401  (an entry of a table)
        """Return None for None, and the converted value otherwise."""
        return None if value is None else read(value)

    optional.__name__ = f"{getattr(read, '__name__', '')} | None"
    return optional


def to_size(value: Any) -> tuple[int, int]:  # noqa: ANN401  (an entry of a table)
    """Convert a JSON array to (width, height) in pixels."""
    width, height = value
    return int(width), int(height)


def to_ints(value: Any) -> tuple[int, ...]:  # noqa: ANN401
    """Convert a JSON array to a tuple of integers."""
    return tuple(map(int, value))


def to_strings(value: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Convert a JSON array to a tuple of strings."""
    return tuple(map(str, value))


def to_scores(value: Any) -> dict[str, Any]:  # noqa: ANN401
    """Convert a JSON object to scores by name; None gives {}."""
    return dict(value or {})


def to_tables(value: Any) -> tuple[dict[str, Any], ...]:  # noqa: ANN401
    """Convert a JSON array of objects to a tuple of dictionaries."""
    return tuple(map(dict, value))


class CommandResult(dict[str, Any]):
    """The result of a command: the table that ``--json`` prints, as a dictionary with typed attributes.

    ``print`` shows the report of the command line; notebooks display the written files. Reading an attribute without
    an entry in the table, for example after a dry run, raises AttributeError.
    """

    seconds = ResultField("seconds", float, "The seconds that the command took.")
    is_cached = ResultField("cached", bool, "Whether the result was up to date, so that nothing was computed.")

    def __init__(self, table: Mapping[str, Any], describe: Callable[[Table], str] | None = None) -> None:
        """Wrap the table of a command; only Python functions call this. ``describe``: returns the report of a table."""
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
        """The result of each clip of a batch; for a single clip, this result."""
        if not {"items", "failed"} <= self.keys():
            return (self,)
        return tuple(type(self)(item, self._describe) for item in self["items"])

    def __str__(self) -> str:
        if self._describe is None:
            return repr(self)
        return "\n".join(result._describe(result) for result in self.each if result._describe)

    def _views(self) -> list[str]:
        """Return HTML views of the result, which notebooks show above the report."""
        return []

    def _repr_html_(self) -> str:
        """Return the HTML that notebooks display: views of the written files, and the report."""
        from vidtrans.notebooks.views import text_view

        return "".join([*self._views(), text_view(str(self))])


class RenderedClip(CommandResult):
    """The result of a command that renders a clip."""

    frames = ResultField("frames", int, "The number of frames.")
    size = ResultField("size", to_size, "The (width, height) in pixels.")
    duration = ResultField("duration_s", float, "The clip's length in seconds.")
    model = ResultField("model", _optional(str), "The model's name; the names of a chain are joined by '+'.")
    source = ResultField("source", _optional(Path), "The clip that it was made from.")

    @property
    def score(self) -> ClipScores | None:
        """The scores, if they were requested (``score=True``); None otherwise."""
        table = self.get("score")
        return None if table is None else ClipScores(table)

    def _views(self) -> list[str]:
        """Return an HTML player for each rendered clip; [] after a dry run."""
        from vidtrans.notebooks.views import film_view

        clips = () if self.get("dry_run") or "job" in self else self.each
        return [film_view(Path(one["output"]), one.get("source"), one.get("source_part")) for one in clips]


class MadePicture(CommandResult):
    """The result of a command that makes a picture or video: a sheet, a grid or a comparison."""

    frames = ResultField("frames", int, "The number of frames that it shows.")

    def _views(self) -> list[str]:
        """Return the HTML view of the picture or video; for a folder of key frames, of its contact sheet."""
        from vidtrans.notebooks.views import file_view

        if self.get("dry_run"):
            return []
        sheet = self.path / "sheet.png"  # Contact sheet in a folder of key frames
        return [file_view(sheet if sheet.is_file() else self.path)]


class MadeDataset(CommandResult):
    """The numbers of frames, pairs and shots of a dataset."""

    frames = ResultField("frames", int, "The number of frames that it holds.")
    pairs = ResultField("pairs", int, "The number of pairs, including held-out pairs.")
    held_out = ResultField("held_out", int, "The number of held-out pairs, on which models are scored.")
    shots = ResultField("shots", int, "The number of shots.")

    def _views(self) -> list[str]:
        """Return the HTML view of each dataset; [] after a dry run."""
        from vidtrans.notebooks.views import dataset_view

        return [] if self.get("dry_run") else [dataset_view(one.path) for one in self.each]


class TrainedModel(CommandResult):
    """The number of steps, the scores and the report page of a training."""

    steps = ResultField("steps", int, "The number of training steps.")
    held_out = ResultField(
        "held_out", to_scores, "The mean scores of held-out pairs, by name; empty if none were held out."
    )
    best = ResultField("best", _optional(int), "The step of the best state, which the model contains.")
    report = ResultField("report", Path, "The report page of the training.")

    def _views(self) -> list[str]:
        """Return HTML views of the training's report page and picture."""
        from vidtrans.notebooks.views import file_view

        return [file_view(Path(self[key])) for key in ("report", "picture") if self.get(key)]


class ClipScores(CommandResult):
    """The scores of a clip. ``None``: the score could not be measured, or the clip to compare with is missing."""

    frames = ResultField("frames", int, "The number of frames.")
    ratio = ResultField("ratio", _optional(float), "Warping error, as a share of the per-frame video's.")
    removed = ResultField("removed", _optional(float), "The share of the per-frame video's flicker that was removed.")
    sharpness = ResultField(
        "sharpness", _optional(float), "Sharpness, as a share of the sharpness of the clip to compare with."
    )
    psnr = ResultField("psnr", _optional(float), "PSNR to the clip to compare with, in dB.")
    ssim = ResultField("ssim", _optional(float), "SSIM to the clip to compare with; 1 is the maximum.")
    worst = ResultField("worst", to_tables, "The worst frames: tables of ``frame``, ``seconds`` and scores.")

    def _views(self) -> list[str]:
        """Return the HTML view of the plot of scores."""
        return _plot_views(self)


class ProbedClip(CommandResult):
    """The frames, size, rate, cuts and warnings of a clip."""

    frames = ResultField("frames", int, "The number of frames.")
    width = ResultField("width", int, "The displayed width in pixels.")
    height = ResultField("height", int, "The displayed height in pixels.")
    rate = ResultField("rate", Fraction, "The nominal rate in frames a second.")
    duration = ResultField("seconds", float, "The clip's length in seconds.")
    cuts = ResultField("cuts", to_ints, "The first frame of each shot except the first.")
    warnings = ResultField("warnings", to_strings, "Texts on unusual properties.")


class SampledCurves(CommandResult):
    """The values of curves over a clip."""

    frames = ResultField("frames", int, "The number of frames.")
    curves = ResultField(
        "curves", to_tables, "The curves: tables of ``curve``, ``low``, ``high``, ``mean`` and ``values``."
    )

    def _views(self) -> list[str]:
        """Return the HTML view of the plot of curves."""
        return _plot_views(self)


class VoteOutcome(CommandResult):
    """The number of votes, the conclusion, and the scores of a vote."""

    votes = ResultField("votes", int, "The number of votes that count.")
    verdict = ResultField("verdict", str, "The conclusion, in a sentence.")
    conditions = ResultField("conditions", to_tables, "The conditions, the best first: tables of ``name`` and scores.")
    pairs = ResultField(
        "pairs", to_tables, "The comparisons of two conditions: tables of ``first``, ``second`` and chances."
    )


def _plot_views(result: CommandResult) -> list[str]:
    """Return the HTML view of the written plot; [] if the result is not a picture."""
    from vidtrans.notebooks.views import file_view

    plot = Path(result.get("output") or "")
    return [file_view(plot)] if plot.suffix.lower() == ".png" else []
