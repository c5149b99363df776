"""Parse messages of the easel: changes of a painted frame and its layers, checked field by field."""

from __future__ import annotations

import re

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.core.strict_json import is_count

PICTURE_KEY = re.compile(r"[0-9a-f]{40}")
MOST_LAYERS = 64
LONGEST_NAME = 80


def layers_in(value: object) -> list[Table]:
    """Return layers, the lowest first. Raises UsageError."""
    if not isinstance(value, list) or not 0 < len(value) <= MOST_LAYERS:
        raise UsageError("layers", f"they are 1 to {MOST_LAYERS}", "send a list")
    layers = [_layer_in(one) for one in value]
    if len({layer["id"] for layer in layers}) != len(layers):
        raise UsageError("layers", "two have one number", "reload the page")
    return layers


def _layer_in(value: object) -> Table:
    layer = value if isinstance(value, dict) else {}
    number, name, opacity = layer.get("id"), layer.get("name"), layer.get("opacity")
    is_known = isinstance(layer.get("visible"), bool) and isinstance(name, str) and len(name) <= LONGEST_NAME
    if not is_known or not is_count(number) or not isinstance(opacity, int | float) or not 0 <= opacity <= 1:
        raise UsageError("layer", "it has an id, a name, an opacity, and is visible or not", "reload the page")
    return {"id": number, "name": name, "visible": layer["visible"], "opacity": float(opacity)}


def change_in(message: Table) -> Table:
    """Return a change: pixels of a layer in a box, or the layers before and after, or both. Raises UsageError."""
    layer, box, parent = message.get("layer"), message.get("box"), message.get("parent")
    if not is_count(parent):
        raise UsageError("parent", "it is not a number", "reload the page")
    change: Table = {"parent": parent, "layer": None, "box": None, "before": None, "after": None}
    change |= {"layers_before": None, "layers_after": None}
    if box is not None:
        is_box = isinstance(box, list) and len(box) == 4 and all(is_count(n) for n in box) and box[2] and box[3]
        if not is_box or not is_count(layer):
            raise UsageError("box", "it is not x, y, width and height, of a layer", "reload the page")
        change |= {"layer": layer, "box": box} | {side: key_in(message.get(side)) for side in ("before", "after")}
    if message.get("layers_after") is not None:
        change |= {key: layers_in(message.get(key)) for key in ("layers_before", "layers_after")}
    elif box is None:
        raise UsageError("change", "it changes nothing", "send a box, or layers")
    return change


def is_sheet(table: Table) -> bool:
    """Return whether a table, read from a file that anybody may have written, is the sheet of a frame."""
    counts = [table.get(name) for name in ("position", "tip", "last", "stored", "saved")]
    size, stamp = table.get("size"), table.get("stamp")
    if not (all(map(is_count, counts)) and isinstance(size, list) and len(size) == 2 and all(map(is_count, size))):
        return False
    try:
        layers_in(table.get("layers")), pictures_in_message(table.get("pictures"))
    except UsageError:
        return False
    return isinstance(stamp, str) and max(table["position"], table["tip"], table["stored"]) <= table["last"]


def is_change(table: Table, number: int) -> bool:
    """Return whether a table, read from a file that anybody may have written, is the change of a number."""
    try:
        return table.get("number") == number and change_in(table)["parent"] < number
    except UsageError:
        return False


def key_in(value: object) -> str:
    """Return the key of a picture. Raises UsageError."""
    if not isinstance(value, str) or not PICTURE_KEY.fullmatch(value):
        raise UsageError("picture", "it has no key", "send it first")
    return value


def pictures_in_message(value: object) -> dict[str, str]:
    """Return the keys of pictures by the number of their layer. Raises UsageError."""
    if not isinstance(value, dict) or not 0 < len(value) <= 1000:
        raise UsageError("pictures", "they are keys by layer", "send an object")
    if not all(isinstance(layer, str) and layer.isdecimal() for layer in value):
        raise UsageError("pictures", "they are keys by layer", "send an object")
    return {layer: key_in(key) for layer, key in value.items()}
