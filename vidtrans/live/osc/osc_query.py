"""The OSC addresses of a session as JSON, in the form of an OSCQuery answer."""

from __future__ import annotations

from collections.abc import Mapping

from vidtrans.core.settings import Table
from vidtrans.live.osc.osc_addresses import TYPES, OscAddress, reports
from vidtrans.live.osc.osc_messages import Argument

READ, WRITE, BOTH = 1, 2, 3  # of ACCESS


def address_tree(addresses: Mapping[str, OscAddress], values: Mapping[str, Argument]) -> Table:
    """Return all addresses as a tree of OSCQuery nodes, with the ``values`` of those that have one, by path."""
    root: Table = {"FULL_PATH": "/", "DESCRIPTION": "vidtrans live"}
    for one in addresses.values():
        access = BOTH if one.path in values else WRITE
        _node(root, one.path).update(_about(one, values.get(one.path)), ACCESS=access)
    for one in reports():
        _node(root, one.path).update(_about(one, None), ACCESS=READ)
    return root


def _about(one: OscAddress, value: Argument) -> Table:
    """Return the attributes of an address."""
    found: Table = {"TYPE": TYPES[one.kind], "DESCRIPTION": one.help}
    if one.kind in ("number", "whole"):
        found["RANGE"] = [{"MIN": one.low, "MAX": one.high}]
    elif one.kind == "word":
        found["RANGE"] = [{"VALS": list(one.words)}]
    if value is not None:
        found["VALUE"] = [value]
    return found


def _node(root: Table, path: str) -> Table:
    """Return the node of a path, made where it is not there."""
    node, names = root, path.strip("/").split("/")
    for depth, name in enumerate(names, 1):
        node = node.setdefault("CONTENTS", {}).setdefault(name, {"FULL_PATH": "/" + "/".join(names[:depth])})
    return node
