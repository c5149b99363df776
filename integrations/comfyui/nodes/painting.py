"""Nodes for painted frames: which to paint, carry them through the clip, correct a result, cut a thing out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from comfy_api.latest import io

from .base import (
    CommandNode,
    Model,
    clip_input,
    mask_input,
    pictures_input,
)
from .clips import add_clips, clip_file, painted_folder

NUMBERS = "The frame of each picture, counted from 0, such as '0, 48, 96'; of a folder they stand in the names."
PAINTED = "The painted frames: an IMAGE batch with 'numbers', or a folder with the numbers in the names."
STROKES = "Frames with strokes on the thing: IMAGE with 'numbers', or a folder with numbers in its names."
MOST_FRAMES = 64  # that are put into an IMAGE batch


def numbers_input() -> io.Input:
    """Return the input for the frame numbers of painted pictures."""
    return io.String.Input("numbers", default="", optional=True, tooltip=NUMBERS)


class VidtransKeyframes(CommandNode):
    """Choose the frames of a clip that are best painted."""

    COMMAND = "keyframes"
    TITLE = "Choose key frames"
    ABOUT = "Chooses the frames of a clip from which the others are reached best, to be painted."
    RESULT = "vidtrans/keyframes"
    SHOWS = False
    SOCKETS = (clip_input("video", "The clip."),)
    OUTPUTS = (
        io.Image.Output("frames", display_name="frames"),
        io.String.Output("numbers", display_name="numbers"),
        io.String.Output("folder", display_name="folder"),
    )

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:  # noqa: ANN401
        """Return the frames, their numbers and their folder. Raises ValueError, VidtransError."""
        if (count := inputs.get("count", 1)) > MOST_FRAMES:
            raise ValueError(f"count: {count} frames are too many for an IMAGE batch — at most {MOST_FRAMES}")
        clip = clip_file(inputs["video"], "video", inputs.get("fps", 24.0))
        folder, table = cls.produce(inputs, {"video": clip.path}, [clip], "")
        numbers = [int(number) for number in table["keyframes"]]
        files = [folder / f"{number:06d}.png" for number in numbers]
        return io.NodeOutput(read_pictures(files), ", ".join(map(str, numbers)), str(folder))


def read_pictures(files: list[Path]) -> Any:  # noqa: ANN401  (torch is imported by ComfyUI, not by this module)
    """Return pictures of one size as IMAGE: float32, (pictures, height, width, 3), 0 to 1."""
    import numpy as np
    import torch
    from PIL import Image

    arrays = [np.asarray(Image.open(file).convert("RGB"), dtype=np.float32) / 255.0 for file in files]
    return torch.from_numpy(np.stack(arrays))


class VidtransPropagate(CommandNode):
    """Carry painted frames through the whole clip."""

    COMMAND = "propagate"
    TITLE = "Propagate painted frames"
    ABOUT = "Carries a few painted frames through the clip that they belong to."
    RESULT = "vidtrans/painted"
    SOCKETS = (
        clip_input("video", "The clip."),
        pictures_input("painted", PAINTED),
        numbers_input(),
        mask_input("A matte, white where the paint is."),
    )

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:  # noqa: ANN401
        """Return the film and its path. Raises ValueError, VidtransError."""
        fps = inputs.get("fps", 24.0)
        clips = [clip_file(inputs["video"], "video", fps)]
        folder = painted_folder(inputs["painted"], inputs.get("numbers") or "", "painted")
        values: dict[str, Any] = {"video": [clips[0].path], "keyframes": folder}
        add_clips(clips, values, inputs, "mask", fps=fps)
        return cls.film(inputs, values, clips)


class VidtransFix(CommandNode):
    """Correct a result of vidtrans by painting over some of its frames."""

    COMMAND = "fix"
    TITLE = "Fix result"
    ABOUT = "Paint over frames of a result of vidtrans, and the others follow."
    RESULT = "vidtrans/fixed"
    TAKES_FRAMES = False
    SOCKETS = (
        clip_input("render", "A result of 'Stylize' or 'Propagate', as it was written."),
        pictures_input("painted", "Frames of the result, painted over: IMAGE with 'numbers', or a folder."),
        numbers_input(),
        mask_input("A matte, white where corrections are seen."),
    )

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:  # noqa: ANN401
        """Return the film and its path. Raises ValueError, VidtransError."""
        clips = [clip_file(inputs["render"], "render")]
        folder = painted_folder(inputs["painted"], inputs.get("numbers") or "", "painted")
        values: dict[str, Any] = {"render": clips[0].path, "painted": folder}
        add_clips(clips, values, inputs, "mask")
        return cls.film(inputs, values, clips, Path(clips[0].path).suffix or ".mp4")


class VidtransMatte(CommandNode):
    """Cut one thing out of a clip, by strokes on a frame or two."""

    COMMAND = "matte"
    TITLE = "Matte of one thing"
    ABOUT = "Cuts one thing out of the whole clip, from strokes on a few of its frames."
    RESULT = "vidtrans/matte"
    SOCKETS = (
        clip_input("video", "The clip."),
        pictures_input("painted", STROKES, optional=True),
        numbers_input(),
        Model.Input("model", optional=True, tooltip="Instead of painted frames: a segmenter of your own."),
    )

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:  # noqa: ANN401
        """Return the matte as a film and its path. Raises ValueError, VidtransError."""
        clip = clip_file(inputs["video"], "video", inputs.get("fps", 24.0))
        values: dict[str, Any] = {"video": [clip.path]}
        if inputs.get("painted") is not None:
            values["keyframes"] = painted_folder(inputs["painted"], inputs.get("numbers") or "", "painted")
        if inputs.get("model"):
            values["model"] = inputs["model"]
        if len(values) == 1 and not inputs.get("options"):
            raise ValueError("nothing says what is cut out — connect painted frames or a model")
        return cls.film(inputs, values, [clip])
