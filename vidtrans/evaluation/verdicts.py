"""What scores say, in plain words."""

from __future__ import annotations

from vidtrans.settings import Table

VISIBLE_GHOST = 2.0  # 8-bit levels
BLURRED = 0.85  # of the sharpness that should be


def verdict(table: Table) -> str:
    """Summarise the scores in a line."""
    said = [_steadiness(table)]
    if table["sharpness"] is not None:
        blurred = "blurred: " if table["sharpness"] < BLURRED else ""
        said.append(f"{blurred}{table['sharpness']:.2f} as sharp as the {compared_with(table)}")
    if (table["ghosting"] or 0) > VISIBLE_GHOST:
        said.append("ghosts where something was uncovered")
    if table["worst"]:
        worst = table["worst"][0]
        said.append(f"worst at frame {worst['frame']} ({worst['seconds']:.1f} s)")
    return "; ".join(said)


def compared_with(table: Table) -> str:
    """Return what the render was compared with."""
    return {"per-frame": "per-frame video"}.get(table["compared_with"], str(table["compared_with"]))


def figures(table: Table) -> str:
    """Return the available measures in a line."""
    said = []
    for name, key, form in (
        ("warping error", "warping_error", ".3g"),
        ("per frame", "warping_error_per_frame", ".3g"),
        ("source", "warping_error_source", ".3g"),
        ("ratio", "ratio", ".2f"),
        ("flicker", "flicker", ".1f"),
        ("PSNR", "psnr", ".1f"),
        ("SSIM", "ssim", ".3f"),
        ("sharpness", "sharpness", ".2f"),
        ("ghosting", "ghosting", ".1f"),
    ):
        if table[key] is not None:
            said.append(f"{name} {table[key]:{form}}")
    return "   ".join(said)


def _steadiness(table: Table) -> str:
    own, floor, ratio, gone = (table[k] for k in ("warping_error", "warping_error_source", "ratio", "removed"))
    if own is None:
        why = "it has one frame" if table["frames"] == 1 else "no frame can be followed to the next"
        return f"nothing to say about its steadiness, {why}"
    if gone is not None and gone > 1:
        return "all of the per-frame flicker is gone, it is steadier than the source itself"
    if gone is not None and gone >= 0:
        return f"{100 * gone:.0f} % of the per-frame flicker is gone"
    if ratio is not None:
        why = "" if gone is not None else ", which is hardly less steady than the source"
        return f"its warping error is {ratio:.2f} of the per-frame video's{why}"
    if not own:
        return "it does not flicker at all"
    return f"its warping error is {own / floor:.2f} times the source's" if floor else "it flickers, the source does not"
