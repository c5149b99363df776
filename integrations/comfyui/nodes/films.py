"""Nodes from clip to clip: stylize, deflicker, dream."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from .base import CommandNode, Model, clip_input, mask_input, pictures_input
from .clips import add_clips, clip_file, picture_files
from .widgets import schemas, set_advanced

SOURCE = "What it was made from: its motion is followed, and what changes in it is kept."
MASK = "A matte, white where the result is seen."


def _palette_input() -> io.Input:
    one = pictures_input("palette", "A picture in whose colours strokes are painted.", optional=True)
    set_advanced(one)
    return one


class VidtransStylize(CommandNode):
    """Render a model or a look onto a clip."""

    COMMAND = "stylize"
    TITLE = "Stylize clip"
    ABOUT = "Renders a trained model, a medium such as oil, or the style of a picture onto a clip, steadily."
    RESULT = "vidtrans/stylized"
    SOCKETS = (
        clip_input("video", "The clip."),
        Model.Input("model", optional=True, tooltip="A model of 'Train', 'Look', 'Grade' or 'Load model'."),
        pictures_input("style", "Without a model: a picture whose style is taken, at once.", optional=True),
        mask_input(MASK),
        io.Combo.Input(
            "look", options=["", *schemas()["media"]], default="", optional=True, tooltip="Or a medium to paint in."
        ),
        _palette_input(),
    )

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:  # noqa: ANN401
        """Return the film and its path. Raises ValueError, VidtransError."""
        fps = inputs.get("fps", 24.0)
        clips = [clip_file(inputs["video"], "video", fps)]
        values: dict[str, Any] = {"video": [clips[0].path]}
        model, style, look = inputs.get("model"), inputs.get("style"), inputs.get("look")
        if model:
            values["model"] = [model]
        if style is not None:
            if len(pictures := picture_files(style, "style")) > 1:
                raise ValueError("style: it is more than one picture — connect one, or learn them with 'Look'")
            values["look"] = pictures[0]
        elif look:
            values["look"] = look
        options = inputs.get("options") or ""
        if not (model or "look" in values or inputs.get("strokes") or "look" in options or "strokes" in options):
            raise ValueError("no look is chosen — connect a model or a style, or choose a look or strokes")
        if (palette := inputs.get("palette")) is not None:
            if len(pictures := picture_files(palette, "palette")) > 1:
                raise ValueError("palette: it is more than one picture — connect one")
            values["palette"] = pictures[0]
        if inputs.get("mask") is not None:
            clips.append(clip_file(inputs["mask"], "mask", fps))
            values["mask"] = [clips[1].path]
        return cls.film(inputs, values, clips)


class VidtransDeflicker(CommandNode):
    """Take the flicker out of what any tool has made of a clip."""

    COMMAND = "deflicker"
    TITLE = "Deflicker clip"
    ABOUT = "Takes the flicker out of a clip of any tool, such as AnimateDiff, along its motion."
    RESULT = "vidtrans/steady"
    SOCKETS = (
        clip_input("processed", "The clip that flickers."),
        clip_input("source", SOURCE, optional=True),
        mask_input(MASK),
    )

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:  # noqa: ANN401
        """Return the film and its path. Raises ValueError, VidtransError."""
        fps = inputs.get("fps", 24.0)
        clips = [clip_file(inputs["processed"], "processed", fps)]
        values: dict[str, Any] = {"processed": [clips[0].path]}
        add_clips(clips, values, inputs, "source", "mask", fps=fps)
        return cls.film(inputs, values, clips)


class VidtransDream(CommandNode):
    """Generate frames from a seed, each predicted from the last."""

    COMMAND = "dream"
    TITLE = "Dream"
    ABOUT = "Generates frames from a seed, each predicted from the last by a model of pairing next-frame."
    RESULT = "vidtrans/dream"
    SOCKETS = (
        clip_input("seed", "The picture or clip from which it begins."),
        Model.Input("model", tooltip="A model of pairing next-frame."),
    )

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:  # noqa: ANN401
        """Return the film and its path. Raises ValueError, VidtransError."""
        seed = inputs["seed"]
        if hasattr(seed, "shape") and len(seed) == 1:
            source, clips = picture_files(seed, "seed"), []
        else:
            clips = [clip_file(seed, "seed", inputs.get("fps", 24.0))]
            source = [clips[0].path]
        values = {"source": source, "model": [inputs["model"]]}
        return cls.film(inputs, values, clips)
