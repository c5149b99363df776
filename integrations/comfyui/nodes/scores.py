"""The node that measures a result."""

from __future__ import annotations

import json
from typing import Any

from comfy_api.latest import io, ui

from .base import CommandNode, clip_input
from .clips import add_clips, clip_file
from .painting import read_pictures

SCORES = ("flicker", "warping_error", "psnr", "ssim", "sharpness", "ratio", "removed")
PER_FRAME = "The same without a temporal filter: what flicker is measured against."


class VidtransEvaluate(CommandNode):
    """Measure the flicker, sharpness and fidelity of a render."""

    COMMAND = "evaluate"
    TITLE = "Evaluate clip"
    ABOUT = "Measures the flicker, sharpness and fidelity of a result, and plots them over time."
    RESULT = "vidtrans/scores"
    SOCKETS = (
        clip_input("video", "The result."),
        clip_input("source", "What it was made from."),
        clip_input("per_frame", PER_FRAME, optional=True),
        clip_input("reference", "What it should be, where that is known.", optional=True),
    )
    OUTPUTS = (
        io.String.Output("scores", display_name="scores"),
        io.Image.Output("plot", display_name="plot"),
    )

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:  # noqa: ANN401
        """Return the scores as JSON, and their plot. Raises ValueError, VidtransError."""
        fps = inputs.get("fps", 24.0)
        clips = [clip_file(inputs["video"], "video", fps)]
        values: dict[str, Any] = {"output": [clips[0].path]}
        add_clips(clips, values, inputs, "source", "per_frame", "reference", fps=fps)
        path, table = cls.produce(inputs, values, clips, ".png")
        text = json.dumps(table, indent=1)
        lines = [f"{name}: {table[name]:g}" for name in SCORES if isinstance(table.get(name), int | float)]
        return io.NodeOutput(text, read_pictures([path]), ui=ui.PreviewText("\n".join(lines)))
