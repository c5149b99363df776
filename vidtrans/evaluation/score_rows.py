"""Scores as columns of text for a terminal, without heavy imports."""

from __future__ import annotations

from collections.abc import Sequence

from vidtrans.core.settings import Table

LABEL_MEASURES = ("pixel_accuracy", "class_accuracy", "mean_iou", "label_flicker")
MATTE_MEASURES = ("matte_region", "matte_boundary", "matte_jitter")
DREAM_MEASURES = ("nn", "drift", "m4", "uniq")
MEASURES = ("warping_error", "ratio", "psnr", "ssim", "sharpness", *DREAM_MEASURES, *LABEL_MEASURES, *MATTE_MEASURES)
COLUMNS = {"": "output", "_per_frame": "per frame", "_source": "source"}  # by the ends of their keys


def scores(tables: Sequence[Table]) -> tuple[list[str], list[list[str]]]:
    """Return headings and a row for each scored clip, with the measures that any clip has."""
    names = [name for name in MEASURES if any(table.get(name) is not None for table in tables)]
    rows = []
    for table in tables:
        values = [table.get(name) for name in names]
        rows.append([table["path"], *("–" if value is None else f"{value:.3g}" for value in values)])
    return ["", *(name.replace("_", " ") for name in names)], rows


def flicker_rows(table: Table) -> list[str]:
    """Return rows with the warping error and the flicker of each scored video; empty without pairs of frames."""
    if not table["pairs"]:
        return []
    share = "" if table["ratio"] is None else f"{table['ratio']:.2f} of the per-frame video's"
    given = [suffix for suffix in COLUMNS if table[f"warping_error{suffix}"] is not None]
    errors = [f"{table[f'warping_error{suffix}']:.3g}" for suffix in given]
    rows = [_row("", [COLUMNS[suffix] for suffix in given]), _row("warping error", errors, share)]
    flicker = [table[f"flicker{suffix}"] for suffix in given]
    if None not in flicker:
        rows.append(_row("flicker", [f"{value:.2f}" for value in flicker], "8-bit levels"))
    return rows


def special_rows(table: Table) -> list[str] | None:
    """Return rows on the scores of a dream, of labels or of a matte, and on what was written; None for a render."""
    rows, width = list[str](), 14
    if "nn" in table:
        rows = dream_rows(table)
    elif "confusion" in table:
        from vidtrans.evaluation.label_report import label_rows

        rows, width = label_rows(table), 18
    elif "matte_region" in table:
        from vidtrans.evaluation.matte_evaluation import matte_rows

        rows = matte_rows(table)
    else:
        return None
    return rows + ([f"  {'written':{width}}{table['output']}"] if table["output"] else [])


def dream_rows(table: Table) -> list[str]:
    """Return rows on a dream's stability and, if available, its prediction quality."""
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


def fidelity_rows(table: Table, name: str) -> list[str]:
    """Return rows with the output's PSNR, SSIM, sharpness and ghosting against the video called ``name``.

    If a reference and a per-frame video (without a temporal filter) are given, a second column has the per-frame
    video's values, without ghosting, and the last row compares the output with that video.
    """
    suffixes = ["", "_per_frame"] if table["psnr_per_frame"] is not None else [""]
    rows = [_row("", [COLUMNS[suffix] for suffix in suffixes], f"to the {name}")]
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
    return f"  {name:14}" + "".join(f"{v:>13}" for v in values) + (f"   {note}" if note else "")
