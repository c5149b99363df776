"""Nodes from clip to clip: stylize, deflicker, dream."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from .base import (
    CATEGORY,
    CommandNode,
    Model,
    clip_input,
    ending_of,
    film_output,
    film_outputs,
    fps_input,
    pictures_input,
)
from .clips import add_clips, clip_file, picture_files
from .widgets import options_input, schemas, widgets

MASK = "A matte, white where the result is seen."


class VidtransStylize(CommandNode):
    """Render a model or a look onto a clip."""

    COMMAND = "stylize"

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Return the node's name, inputs and outputs."""
        looks = ["", *schemas()["looks"]]
        return io.Schema(
            node_id="VidtransStylize",
            display_name="Stylize clip (vidtrans)",
            category=CATEGORY,
            description="Renders a trained model, a look that ships, or the style of a picture onto a clip, steadily.",
            inputs=[
                clip_input("video", "The clip."),
                Model.Input("model", optional=True, tooltip="A model of 'Train', 'Look', 'Grade' or 'Load model'."),
                pictures_input("style", "Without a model: a picture whose style is taken, at once.", optional=True),
                clip_input("mask", MASK, optional=True),
                io.Combo.Input("look", options=looks, default="", optional=True, tooltip="Or a look that ships."),
                *widgets("stylize", "vidtrans/stylized"),
                fps_input(),
                options_input(),
            ],
            outputs=film_outputs(),
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
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
        if not model and "look" not in values and "look" not in (inputs.get("options") or ""):
            raise ValueError("no look is chosen — connect a model or a style, or choose a look")
        if inputs.get("mask") is not None:
            clips.append(clip_file(inputs["mask"], "mask", fps))
            values["mask"] = [clips[1].path]
        path, _ = cls.produce(inputs, values, clips, ending_of(inputs, "stylize"))
        return film_output(path)


class VidtransDeflicker(CommandNode):
    """Take the flicker out of what any tool has made of a clip."""

    COMMAND = "deflicker"

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Return the node's name, inputs and outputs."""
        source = "What it was made from: its motion is followed, and what changes in it is kept."
        return io.Schema(
            node_id="VidtransDeflicker",
            display_name="Deflicker clip (vidtrans)",
            category=CATEGORY,
            description="Takes the flicker out of a clip of any tool, such as AnimateDiff, along its motion.",
            inputs=[
                clip_input("processed", "The clip that flickers."),
                clip_input("source", source, optional=True),
                clip_input("mask", MASK, optional=True),
                *widgets("deflicker", "vidtrans/steady"),
                fps_input(),
                options_input(),
            ],
            outputs=film_outputs(),
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:  # noqa: ANN401
        """Return the film and its path. Raises ValueError, VidtransError."""
        fps = inputs.get("fps", 24.0)
        clips = [clip_file(inputs["processed"], "processed", fps)]
        values: dict[str, Any] = {"processed": [clips[0].path]}
        add_clips(clips, values, inputs, "source", "mask", fps=fps)
        path, _ = cls.produce(inputs, values, clips, ending_of(inputs, "deflicker"))
        return film_output(path)


class VidtransDream(CommandNode):
    """Generate frames from a seed, each predicted from the last."""

    COMMAND = "dream"

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Return the node's name, inputs and outputs."""
        return io.Schema(
            node_id="VidtransDream",
            display_name="Dream (vidtrans)",
            category=CATEGORY,
            description="Generates frames from a seed, each predicted from the last by a model of pairing next-frame.",
            inputs=[
                clip_input("seed", "The picture or clip from which it begins."),
                Model.Input("model", tooltip="A model of pairing next-frame."),
                *widgets("dream", "vidtrans/dream"),
                fps_input(),
                options_input(),
            ],
            outputs=film_outputs(),
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
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
        path, _ = cls.produce(inputs, values, clips, ending_of(inputs, "dream"))
        return film_output(path)
