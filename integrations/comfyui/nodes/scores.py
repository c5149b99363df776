"""The node that measures a result."""

from __future__ import annotations

import json
from typing import Any

from comfy_api.latest import io, ui

from .base import CATEGORY, CommandNode, clip_input, fps_input
from .clips import clip_file
from .painting import read_pictures
from .widgets import options_input, widgets

SCORES = ("flicker", "warping_error", "psnr", "ssim", "sharpness", "ratio", "removed")


class VidtransEvaluate(CommandNode):
    """Measure the flicker, sharpness and fidelity of a render."""

    COMMAND = "evaluate"

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Return the node's name, inputs and outputs."""
        per_frame = "The same without a temporal filter: what flicker is measured against."
        return io.Schema(
            node_id="VidtransEvaluate",
            display_name="Evaluate clip (vidtrans)",
            category=CATEGORY,
            description="Measures the flicker, sharpness and fidelity of a result, and plots them over time.",
            inputs=[
                clip_input("video", "The result."),
                clip_input("source", "What it was made from."),
                clip_input("per_frame", per_frame, optional=True),
                clip_input("reference", "What it should be, where that is known.", optional=True),
                *widgets("evaluate", "vidtrans/scores"),
                fps_input(),
                options_input(),
            ],
            outputs=[
                io.String.Output("scores", display_name="scores"),
                io.Image.Output("plot", display_name="plot"),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:  # noqa: ANN401
        """Return the scores as JSON, and their plot. Raises ValueError, VidtransError."""
        fps = inputs.get("fps", 24.0)
        clips = [clip_file(inputs["video"], "video", fps)]
        values: dict[str, Any] = {"output": [clips[0].path]}
        for name in ("source", "per_frame", "reference"):
            if inputs.get(name) is not None:
                clips.append(clip_file(inputs[name], name, fps))
                values[name] = clips[-1].path
        path, table = cls.produce(inputs, values, clips, ".png")
        text = json.dumps(table, indent=1)
        lines = [f"{name}: {table[name]:g}" for name in SCORES if isinstance(table.get(name), int | float)]
        return io.NodeOutput(text, read_pictures([path]), ui=ui.PreviewText("\n".join(lines)))
