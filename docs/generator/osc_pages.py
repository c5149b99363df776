"""The reference of the OSC addresses of ``vidtrans live``."""

from __future__ import annotations

from generator.markdown import NOTE, cell, code, table
from vidtrans.live.osc.osc_addresses import OSC_TYPES, REPORTS, OscAddress, all_addresses


def osc_page() -> str:
    """Return the page with every address."""
    found = all_addresses({}, ())
    text = f"{NOTE}# OSC addresses\n\nOf `vidtrans live --osc` and `--osc-out`; how they are used: "
    text += "[On the stage](../guides/programs/stage.md). A session's own, with the settings of its models "
    text += "(`/vidtrans/edges/density`), are at `/osc` of its server. Types are those of OSC: `f` a float, `i` an "
    text += "integer, `T` true or false, `s` a text, `N` nothing.\n"
    for title, addresses in (
        ("Controls, in and out", [one for one in found if one.is_control]),
        ("Actions", [one for one in found if not one.is_control]),
        ("Reports, only out", REPORTS),
    ):
        rows = [[code(one.path), code(OSC_TYPES[one.kind]), cell(_range(one)), cell(one.help)] for one in addresses]
        text += f"\n## {title}\n\n" + table(["address", "type", "values", "what it is"], rows)
    return text


def _range(one: OscAddress) -> str:
    if one.kind == "word":
        names = {"model": "names of models", "second": "names of models", "look": "names of looks"}
        return ", ".join(one.words) if len(one.words) > 1 else names.get(one.name, "names of presets")
    return f"{one.low:g} to {one.high:g}" if one.is_control and one.kind != "switch" else ""
