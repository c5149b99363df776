"""The family of pix2pixHD's full generator, with local enhancers around the global one (Wang et al., CVPR 2018)."""

from __future__ import annotations

import re
from dataclasses import replace

from vidtrans.core.settings import Table
from vidtrans.interop.families.base import Candidate, LabelFamily, Layout, Shapes, label_ports, side
from vidtrans.interop.families.resnet import LayerWalk, Sizes, check_biases, first_norm, read_sizes, sizes_of, walk_body

DOWN = re.compile(r"model(\d)_1\.1\.weight")
BLOCK = re.compile(r"model1_2\.(\d{1,3})\.conv_block\.")
MAX_ENHANCERS = 2


class LocalEnhancer(LabelFamily):
    """pix2pixHD's full generator: ``model`` is the global network, ``model1_1`` and ``model1_2`` the first enhancer."""

    title = "pix2pixHD with local enhancers"
    tool = "pix2pixHD"

    def candidate(self, shapes: Shapes) -> Candidate | None:
        """Return the network with the checkpoint's number of enhancers; None if it has no enhancers."""
        numbers = {int(found[1]) for name in shapes if (found := DOWN.fullmatch(name))}
        sizes = read_sizes(shapes)
        if not numbers or sizes is None:
            return None
        enhancers = min(max(numbers), MAX_ENHANCERS)
        blocks = len({found[1] for name in shapes if (found := BLOCK.match(name))})
        outputs = side(shapes, f"model{enhancers}_2.{blocks + 4}.weight", 0, 3)
        settings: Table = first_norm(shapes) | {
            "channels": sizes.width,
            "blocks": sizes.blocks,
            "downsamplings": sizes.halvings,
            "enhancers": enhancers,
            "enhancer_blocks": max(1, blocks),
        }
        layout = _lay_out(Layout(shapes), settings, replace(sizes, outputs=outputs))
        generator = {"name": "hd", "settings": settings}
        return Candidate(
            generator, (sizes.inputs, outputs), layout, 1024, label_ports(sizes.inputs), origin=sizes.origin
        )

    def layout_of(self, name: str, settings: Table, channels: tuple[int, int], origin: Table) -> Layout | None:
        """Return the layout of a generator 'hd' with enhancers."""
        if name != "hd" or not settings["enhancers"]:
            return None
        check_biases(settings)
        return _lay_out(Layout.for_export(origin), settings, sizes_of(settings, channels, origin))


def _lay_out(layout: Layout, settings: Table, sizes: Sizes) -> Layout:
    walk_body(LayerWalk(layout, "model", settings, dropout=sizes.dropout), "whole", sizes, sizes.width)
    for number in range(1, settings["enhancers"] + 1):
        width = sizes.width // 2**number
        ours, down = f"enhancers.{number - 1}", LayerWalk(layout, f"model{number}_1", settings, dropout=False)
        down.entrance(f"{ours}.entrance", sizes.inputs, width)
        down.down(f"{ours}.down", width, 2 * width)
        up = LayerWalk(layout, f"model{number}_2", settings, dropout=sizes.dropout)
        for i in range(settings["enhancer_blocks"]):
            up.block(f"{ours}.blocks.{i}", 2 * width)
        up.up(f"{ours}.up", 2 * width, width)
        if number == settings["enhancers"]:
            up.head("head", width, sizes.outputs)
    return layout
