"""``vidtrans evaluate``: score the flicker and fidelity of a render, a dream, label maps or a matte."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from vidtrans.batch.batch_options import SEQUENTIAL, BatchOptions
from vidtrans.commands.base import CACHE_OPTIONS, Command
from vidtrans.commands.options import check_suffix
from vidtrans.commands.results import ClipScores
from vidtrans.commands.text_reports import Terminal, timing
from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.options import Group, Names, argument, option
from vidtrans.core.settings import Table, Time
from vidtrans.flow import GREY_FLOWS
from vidtrans.metrics import SCORING_FLOW, SHORT_SIDE
from vidtrans.session import Context

# Names of the parameters that are input clips
CLIP_PARAMETERS = ("output", "source", "per_frame", "reference", "matte")
# Measures, in column order, of the table that compares several clips: of renders, dreams, labels and mattes
BATCH_MEASURES = ["warping_error", "ratio", "psnr", "ssim", "sharpness", "nn", "drift", "m4", "uniq", "pixel_accuracy"]
BATCH_MEASURES += ["class_accuracy", "mean_iou", "label_flicker", "matte_region", "matte_boundary", "matte_jitter"]
# Column headings of the report, by the suffix of a measure's key: psnr, psnr_per_frame, psnr_source
COLUMN_HEADINGS = {"": "output", "_per_frame": "per frame", "_source": "source"}


@dataclass(frozen=True)
class Evaluate(Command):
    """Measure the flicker, sharpness and fidelity of a render, label maps or a matte, and list the worst moments."""

    CONTEXT: ClassVar = CACHE_OPTIONS
    RESULT: ClassVar = ClipScores
    BATCH: ClassVar = ("jobs", "shard", "halt", "retry", "executor")

    output: tuple[Path, ...] = argument("OUTPUT...")
    source: Path | None = option(
        None,
        "The clip that OUTPUT was made from. For several OUTPUTs, this and the clips below can be one clip for "
        "all, or a folder of clips with the same names (in.mov for in.x.mp4). For label maps, it is optional, "
        "and only adds a flicker score.",
        Group.INPUT,
        metavar="VIDEO",
    )
    _: KW_ONLY
    per_frame: Path | None = option(
        None,
        "The same render without a temporal filter ('stylize --temporal off'), as the reference for flicker.",
        Group.INPUT,
        metavar="VIDEO",
    )
    reference: Path | None = option(None, "The correct result, if it is known.", Group.INPUT, metavar="VIDEO")
    start: Time | None = option(None, "Start of OUTPUT in longer videos, if OUTPUT is a part of them.", Group.TIME)
    end: Time | None = option(None, "End of OUTPUT in longer videos (exclusive).", Group.TIME)
    labels: str | None = option(
        None,
        "Score OUTPUT as label maps; --reference gives the correct label maps. Values: the colours of the "
        "classes in order ('#rrggbb …'), a FILE of colours, or cityscapes, voc, camvid or facades.",
        Group.INPUT,
        metavar="COLOURS",
        access="path",
    )
    labeller: str | None = option(
        None,
        "Compute the FCN-score of an OUTPUT that was painted from label maps, which --reference gives. MODEL, "
        "of the pairing 'segment', finds labels in OUTPUT.",
        Group.INPUT,
        metavar="MODEL",
        access="path",
    )
    matte: Path | None = option(
        None,
        "Score OUTPUT as a matte: compare its region (J), boundary (F) and jitter with this correct matte.",
        Group.INPUT,
        metavar="MATTE",
    )
    dream: bool = option(
        False,
        "Score OUTPUT as a dream; --source is the clip that its model learned from. The scores show how stable "
        "the dream is. With --start, the position of the dream in the clip, they also show how accurate its "
        "predictions are.",
        Group.INPUT,
    )
    size: int | None = option(
        None, "Short side at which dreams are compared, in pixels.", Group.INPUT, bounds=(8, SHORT_SIDE)
    )
    flow: str = option(
        SCORING_FLOW,
        "Flow method for the motion of the source. It should differ from that of the filter: if OUTPUT was filtered "
        f"with {SCORING_FLOW}, use brox.",
        Group.INPUT,
        choices=Names("vidtrans.flow:GREY_FLOWS", "flow method"),
        rare=True,
        form="more",
    )
    result: Path | None = option(
        None,
        "The result. A .png shows the scores over time and the worst moments, or a strip of a dream. A .json "
        "has a value for each frame. For several clips: a folder of plots.",
        Group.OUTPUT,
        ("-o", "--output"),
    )
    batch: BatchOptions = SEQUENTIAL

    def __post_init__(self) -> None:
        self._check_labels()
        GREY_FLOWS[self.flow]  # Raises UsageError: scores need the flow of grey pictures.
        unread = {"--per-frame": self.per_frame, "--reference": self.reference, "--end": self.end}
        given = [n for n, value in unread.items() if value is not None] + ["--flow"] * (self.flow != SCORING_FLOW)
        if self.size and not self.dream:
            raise UsageError("--size", "only a dream is compared at a size of choice", "leave it out, or give --dream")
        if self.dream and given:
            raise UsageError(given[0], "a dream is compared only with --source", f"leave out {given[0]} or --dream")

    def _check_labels(self) -> None:
        """Raise UsageError if the options for labels and mattes conflict, or a clip to compare with is missing."""
        name = "--labels" if self.labels else "--labeller" if self.labeller else ""
        if self.matte is not None and (other := name or next(iter(self._options_against_matte()), "")):
            raise UsageError(other, "a matte is compared with --matte alone", f"leave out {other} or --matte")
        if name and self.reference is None:
            raise UsageError(name, "labels are compared with true ones", "give them with --reference MAPS")
        if self.labels and self.labeller:
            raise UsageError("--labels", "a labeller has its own classes", "leave out --labels or --labeller")
        if name and (self.dream or self.per_frame):
            other = "--dream" if self.dream else "--per-frame"
            raise UsageError(other, "labels are compared with --reference alone", f"leave out {other} or {name}")
        if self.source is None and not name and self.matte is None:
            raise UsageError("evaluate", "it compares a render with what it was made from", "give --source VIDEO")

    def _options_against_matte(self) -> list[str]:
        """Return the given options that cannot be combined with --matte."""
        given_names = {"--dream": self.dream, "--per-frame": self.per_frame, "--reference": self.reference}
        given_names |= {"--source": self.source, "--flow": self.flow != SCORING_FLOW}
        return [name for name, value in given_names.items() if value]

    @classmethod
    def epilog(cls) -> str:
        """Return the help on the size at which pictures are scored."""
        return (
            f"Pictures are scored at {SHORT_SIDE} pixels on their short side or less; sharpness (but of dreams) at "
            "OUTPUT's full size."
        )

    def make(self, context: Context) -> Table:
        """Score one or several renders, dreams, label maps or mattes. Raises UsageError, MediaError, Interrupted."""
        from vidtrans.batch.inputs import is_batch, match_clip

        if is_batch(self.output, self.batch):
            return self._make_several(context)
        [output], clips = self.output, {name: getattr(self, name) for name in CLIP_PARAMETERS[1:]}
        matched: Table = {
            name: match_clip(output, path, f"--{name.replace('_', '-')}")
            for name, path in clips.items()
            if path is not None
        }
        return replace(self, **matched)._make_one(context)

    def show(self, table: Table, terminal: Terminal) -> int:
        """Show the scores; for several clips, as a table with a row for each. Return the exit status."""
        if items := table.get("items", ()):
            names = [name for name in BATCH_MEASURES if any(item.get(name) is not None for item in items)]
            values = [[item.get(name) for name in names] for item in items]
            rows = [["–" if value is None else f"{value:.3g}" for value in row] for row in values]
            paths = [item["path"] for item in items]
            headings = ["", *(name.replace("_", " ") for name in names)]
            terminal.figures(headings, [[path, *row] for path, row in zip(paths, rows, strict=True)])
        return super().show(table, terminal)

    def describe(self, table: Table) -> str:
        """Return the scores of one clip and a verdict, as text. ``table``: the result of ``make``."""
        frames = count(table["frames"], "frame")
        if table.get("dry_run"):
            return f"would score {table['path']}: {frames}" + (
                f", and write {table['output']}" if table["output"] else ""
            )
        # For dreams, labels and mattes: the function that makes the rows, and the first column's width in characters.
        # The key is a measure that only this kind of clip has.
        special = {"nn": (_dream_rows, 14), "confusion": (_label_rows, 18), "matte_region": (_matte_rows, 14)}
        for measure, (rows, width) in special.items():
            if measure in table:
                written = [f"  {'written':{width}}{table['output']}"] if table["output"] else []
                return "\n".join([f"{table['path']}: {frames}{timing(table)}", *rows(table), *written])
        from vidtrans.evaluation.score_report import compared_with, verdict

        pairs = f"{count(table['pairs'], 'pair')} scored at {'x'.join(map(str, table['scored_at']))}"
        lines = [f"{table['path']}: {frames}, {pairs}{timing(table)}", *_flicker_rows(table)]
        if table["compared_with"]:
            lines += _fidelity_rows(table, compared_with(table))
        if worst := ", ".join(f"frame {w['frame']} ({w['seconds']:.2f} s)" for w in table["worst"]):
            lines.append(f"  {'worst':14}{worst}")
        if output := table["output"]:
            lines.append(f"  {'plot' if output.lower().endswith('.png') else 'table':14}{output}")
        return "\n".join([*lines, verdict(table)])

    def _make_one(self, context: Context) -> Table:
        """Score one clip, and write the plot or table if ``result`` is set; return the result table."""
        from vidtrans.clips.indexing import open_clip
        from vidtrans.output.result import produce

        began = time.monotonic()
        check_suffix(self.result, "a plot or a table of scores", ".png", ".json")
        sources = list(self._videos().values())
        if self.result is not None:
            key = self._key(self.result, context)
            table = produce(context, self.result, key, sources, lambda: self._scorer(context))
        else:
            score = self._scorer(context)
            table = {"dry_run": True} if context.dry_run else score(None)
            table |= {"output": None, "seconds": round(time.monotonic() - began, 3), "cached": False}
        if context.dry_run:
            frames = [open_clip(context, path).index.num_frames for path in sources]
            return table | {"path": str(self.output[0]), "frames": frames[0]}
        context.trim_cache()
        return table

    def _make_several(self, context: Context) -> Table:
        """Score several clips, each against the clips whose names match; write plots into the folder ``result``."""
        from vidtrans.batch.inputs import expand_sources, match_clips
        from vidtrans.batch.jobs import process_each

        outputs, folder = expand_sources(self.output), self.result
        beside: dict[str, dict[Path, Path]] = {}  # The matching clip of each output, by parameter name
        for name in CLIP_PARAMETERS[1:]:
            if (path := getattr(self, name)) is not None:
                clips = match_clips(outputs, path, f"--{name.replace('_', '-')}")
                beside[name] = dict(zip(outputs, clips, strict=True))

        def work(output: Path, place: Path) -> partial[Table]:
            """Return the task that scores one render against its matching clips."""
            one_render: Table = {name: clips[output] for name, clips in beside.items()}
            one = replace(self, output=(output,), result=place if folder else None, **one_render)
            return partial(type(self)._make_one, one)

        return process_each(dict.fromkeys(outputs, ".scores.png"), work, "evaluate", folder, self.batch, context)

    def _videos(self) -> dict[str, Path]:
        """Return the paths of the scored clip and of the clips to compare it with, by parameter name."""
        clips = {name: getattr(self, name) for name in CLIP_PARAMETERS[1:]}
        return {"output": self.output[0]} | {name: path for name, path in clips.items() if path is not None}

    def _key(self, result: Path, context: Context) -> Table:
        """Return the cache key of the written plot or table: all values that affect it."""
        from vidtrans.clips.indexing import content_digest
        from vidtrans.evaluation.dream_scores import VERSION as DREAM_VERSION
        from vidtrans.evaluation.label_evaluation import labels_for_key
        from vidtrans.evaluation.matte_evaluation import VERSION as MATTE_VERSION
        from vidtrans.evaluation.score_report import VERSION

        return (
            {
                "command": "evaluate",
                "version": VERSION,
                "videos": {name: [str(path), content_digest(context, path)] for name, path in self._videos().items()},
                "flow": self.flow,
                "start": str(self.start or 0),
                "end": str(self.end or ""),
                "ending": result.suffix.lower(),
            }
            | labels_for_key(self.labels, self.labeller, context)
            | ({"dream": [DREAM_VERSION, self.size]} if self.dream else {})
            | ({"matte": MATTE_VERSION} if self.matte else {})
        )

    def _scorer(self, context: Context) -> Callable[[Path | None], Table]:
        """Align the clips; return a function that scores them, and writes a plot or table to the path that it gets.

        It writes nothing if the path is None.
        """
        from vidtrans.clips.indexing import open_clip
        from vidtrans.evaluation.dream_scores import check_dream, score_dream
        from vidtrans.evaluation.score_report import score
        from vidtrans.evaluation.scoring import AlignedSource, check_scored

        clips = {name: open_clip(context, path) for name, path in self._videos().items()}
        output = clips.pop("output")
        if self.dream:
            check_dream(output, clips["source"], self.start)
            return lambda result: score_dream(output, clips["source"], self.start, self.size, result, context)
        labels = self.labels or self.labeller
        if not labels and self.matte is None:
            check_scored(output)
        aligned = {}
        for name, clip in clips.items():
            # A clip with as many frames as the output shows the same part of the source: do not trim it.
            is_part = name != "source" and clip.index.num_frames == output.index.num_frames
            span = (None, None) if is_part else (self.start, self.end)
            is_source = name == "source" and not labels
            aligned[name] = AlignedSource.find(clip, output, context, *span, is_source=is_source)
        if labels:
            from vidtrans.evaluation.label_evaluation import labels_scorer

            score_labels = labels_scorer(self.labels, self.labeller, context)
            return lambda result: score_labels(output, aligned["reference"], aligned.get("source"), self.flow, result)
        if self.matte is not None:
            from vidtrans.evaluation.matte_evaluation import score_matte

            return lambda result: score_matte(output, aligned["matte"], result, context)
        source = aligned.pop("source")
        return lambda result: score(output, source, self.flow, result, context, **aligned)


def _flicker_rows(table: Table) -> list[str]:
    """Return rows with the warping error and the flicker (in 8-bit levels) of the output, per-frame and source videos.

    Return [] if no pairs of frames were scored.
    """
    if not table["pairs"]:
        return []
    share = "" if table["ratio"] is None else f"{table['ratio']:.2f} of the per-frame video's"
    given_names = [suffix for suffix in COLUMN_HEADINGS if table[f"warping_error{suffix}"] is not None]
    errors = [f"{table[f'warping_error{suffix}']:.3g}" for suffix in given_names]
    rows = [_row("", [COLUMN_HEADINGS[suffix] for suffix in given_names]), _row("warping error", errors, share)]
    flicker = [table[f"flicker{suffix}"] for suffix in given_names]
    if None not in flicker:
        rows.append(_row("flicker", [f"{value:.2f}" for value in flicker], "8-bit levels"))
    return rows


def _dream_rows(table: Table) -> list[str]:
    """Return the report's rows on a dream (frames that a model predicts): stability scores, and PSNR if measured."""
    rows = [
        _row("nearest", [f"{table['nn']:.1f}"], "dB, its last frames to the clip's nearest ones"),
        _row("drift", [f"{table['drift']:.1f}"], "levels of 255 outside of the clip's colours"),
        _row("sharpness", [f"{table['sharpness']:.2f}"], "of the clip's"),
    ]
    if table["m4"] is not None:
        rows.append(_row("motion", [f"{table['m4']:.2f}"], f"of the clip's over 4 frames, {table['m1']:.2f} over one"))
    if table["uniq"] is not None:
        note = f"frames of the clip that it comes near to, of {table['uniq_real']}"
        rows.append(_row("different", [f"{table['uniq']}"], note))
    for after, value in table.get("horizons", {}).items():
        note = f"dB to the true one; the last, copied: {table['copy_last'][after]:.1f}"
        rows.append(_row(f"{after} frame{'s' * (after != '1')} on", [f"{value:.1f}"], note))
    return rows


def _fidelity_rows(table: Table, name: str) -> list[str]:
    """Return rows with the output's PSNR, SSIM, sharpness and ghosting against the video called ``name``.

    If a reference and a per-frame video (without a temporal filter) are given, a second column has the per-frame
    video's values, without ghosting, and the last row compares the output with that video.
    """
    suffixes = ["", "_per_frame"] if table["psnr_per_frame"] is not None else [""]
    rows = [_row("", [COLUMN_HEADINGS[suffix] for suffix in suffixes], f"to the {name}")]
    for label, key, form, unit in (
        ("PSNR", "psnr", ".2f", "dB"),
        ("SSIM", "ssim", ".4f", ""),
        ("sharpness", "sharpness", ".2f", ""),
    ):
        if table[key] is not None:
            rows.append(_row(label, [f"{table[key + s]:{form}}" for s in suffixes], unit))
    if table["ghosting"] is not None:
        uncovered, rest = table["error_uncovered"], table["error_elsewhere"]
        note = f"{uncovered:.1f} levels off where something was uncovered, {rest:.1f} in the rest"
        rows.append(_row("ghosting", [f"{table['ghosting']:.2f}"], note))
    if table["psnr_to_per_frame"] is not None:
        psnr, ssim, sharpness = (table[f"{key}_to_per_frame"] for key in ("psnr", "ssim", "sharpness"))
        text = f"PSNR {psnr:.2f} dB" + ("" if ssim is None else f", SSIM {ssim:.4f}")
        text += "" if sharpness is None else f", sharpness {sharpness:.2f}"
        rows.append(f"  {'to per frame':14}  {text}")
    return rows


def _row(name: str, values: list[str], note: str = "") -> str:
    """Return a line of the report: a label, aligned values, and a note."""
    return f"  {name:14}" + "".join(f"{v:>13}" for v in values) + (f"   {note}" if note else "")


def _label_rows(table: Table) -> list[str]:
    """Return rows with the accuracies, IoU (in total and for each class) and flicker of predicted label maps."""
    names = ("pixel_accuracy", "class_accuracy", "mean_iou")
    rows = [f"  {name.replace('_', ' ').replace('iou', 'IoU'):18}{table[name]:.4f}" for name in names]
    for colour, iou in zip(table["classes"], table["class_ious"], strict=True):
        rows.append(f"    {colour:16}{'in neither' if iou is None else f'{iou:.4f}'}")
    if table["label_flicker"] is not None:
        true = table["label_flicker_reference"]
        one_render = "" if true is None else f"{true:.4f} of the true ones"
        rows.append(f"  {'label flicker':18}{table['label_flicker']:.4f}   {one_render}")
    if table["permutation"]:
        order = " ".join(map(str, table["permutation"]))
        rows.append(
            f"  classes seem to be exchanged: in the place of 0, 1 … it has {order}; another order of --labels?"
        )
    return rows


def _matte_rows(table: Table) -> list[str]:
    """Return rows with a matte's region and boundary scores (J, F), its edge jitter, and its worst frames."""
    rows = [f"  {'region J':14}{table['matte_region']:>13.3f}   intersection over union"]
    rows.append(f"  {'boundary F':14}{table['matte_boundary']:>13.3f}   of the edge, within 0.8 % of the diagonal")
    if table["matte_jitter"] is not None:
        rows.append(
            f"  {'edge jitter':14}{table['matte_jitter']:>13.2f}   pixels a frame beyond the true edge's motion"
        )
    worst = ", ".join(f"frame {one['frame']} (J {one['matte_region']:.2f})" for one in table["worst"])
    return [*rows, f"  {'worst':14}{worst}"]
