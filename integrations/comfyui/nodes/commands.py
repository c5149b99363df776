"""The nodes: one for each command that an artist uses in ComfyUI, and one that loads a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.latest import io, ui

from .base import (
    CATEGORY,
    MATTE,
    PATH,
    ClipSocket,
    CommandNode,
    FileNode,
    Model,
    ModelNode,
    PaintedSocket,
    PicturesSocket,
    Socket,
)
from .clips import ClipFile, read_pictures
from .places import MODEL_ENDINGS, MODELS, state_of
from .widgets import advanced, schemas

Dataset = io.Custom("VIDTRANS_DATASET")
MASK = "A matte, white where the result is seen."
SOURCE = "What it was made from: its motion is followed, and what changes in it is kept."
STYLE = "Without a model: a picture whose style is taken, at once."
PAINTED = "The painted frames: an IMAGE batch with 'numbers', or a folder with the numbers in the names."
STROKES = "Frames with strokes on the thing: IMAGE with 'numbers', or a folder with numbers in its names."
AFTER = "The same after it; with 'unpaired' a still of any scene."
PER_FRAME = "The same without a temporal filter: what flicker is measured against."
IDENTITY = "identity"
MOST_FRAMES = 64  # that are put into an IMAGE batch
SCORES = ("flicker", "warping_error", "psnr", "ssim", "sharpness", "ratio", "removed")


class MediumSocket(Socket):
    """A choice of the media that vidtrans brings along."""

    def inputs(self) -> list[io.Input]:
        options = ["", *schemas()["media"]]
        return [io.Combo.Input(self.name, options=options, default="", optional=True, tooltip=self.tooltip)]


class PaletteSocket(PicturesSocket):
    """A picture, among the advanced inputs."""

    def inputs(self) -> list[io.Input]:
        return [*map(advanced, super().inputs())]


class VidtransStylize(CommandNode):
    """Renders a trained model, a medium such as oil, or the style of a picture onto a clip, steadily."""

    COMMAND, TITLE, RESULT = "stylize", "Stylize clip", "vidtrans/stylized"
    SOCKETS = (
        ClipSocket("video", "The clip."),
        Socket("model", "A model of 'Train', 'Look', 'Grade' or 'Load model'.", optional=True),
        PicturesSocket("style", STYLE, "look", optional=True, remedy="connect one, or learn them with 'Look'"),
        ClipSocket("mask", MASK, optional=True, types=MATTE),
        MediumSocket("look", "Or a medium to paint in."),
        PaletteSocket("palette", "A picture in whose colours strokes are painted.", remedy="connect one"),
    )

    @classmethod
    def check(cls, inputs: dict[str, Any], values: dict[str, Any]) -> None:
        options = inputs.get("options") or ""
        if not (
            {"model", "look"} & values.keys() or inputs.get("strokes") or "look" in options or "strokes" in options
        ):
            raise ValueError("no look is chosen — connect a model or a style, or choose a look or strokes")


class VidtransDeflicker(CommandNode):
    """Takes the flicker out of a clip of any tool, such as AnimateDiff, along its motion."""

    COMMAND, TITLE, RESULT = "deflicker", "Deflicker clip", "vidtrans/steady"
    SOCKETS = (
        ClipSocket("processed", "The clip that flickers."),
        ClipSocket("source", SOURCE, optional=True),
        ClipSocket("mask", MASK, optional=True, types=MATTE),
    )


class VidtransKeyframes(CommandNode):
    """Chooses the frames of a clip from which the others are reached best, to be painted."""

    COMMAND, TITLE, RESULT, ENDING, SHOWS = "keyframes", "Choose key frames", "vidtrans/keyframes", "", False
    SOCKETS = (ClipSocket("video", "The clip."),)
    OUTPUTS = (
        io.Image.Output("frames", display_name="frames"),
        io.String.Output("numbers", display_name="numbers"),
        io.String.Output("folder", display_name="folder"),
    )

    @classmethod
    def check(cls, inputs: dict[str, Any], values: dict[str, Any]) -> None:
        if (count := inputs.get("count", 1)) > MOST_FRAMES:
            raise ValueError(f"count: {count} frames are too many for an IMAGE batch — at most {MOST_FRAMES}")

    @classmethod
    def outputs(cls, path: Path, table: dict[str, Any]) -> io.NodeOutput:
        files = [path / f"{int(number):06d}.png" for number in table["keyframes"]]
        return io.NodeOutput(read_pictures(files), ", ".join(map(str, table["keyframes"])), str(path))


class VidtransPropagate(CommandNode):
    """Carries a few painted frames through the clip that they belong to."""

    COMMAND, TITLE, RESULT = "propagate", "Propagate painted frames", "vidtrans/painted"
    SOCKETS = (
        ClipSocket("video", "The clip."),
        PaintedSocket("painted", PAINTED, "keyframes"),
        ClipSocket("mask", "A matte, white where the paint is.", optional=True, types=MATTE),
    )


class VidtransFix(CommandNode):
    """Paint over frames of a result of vidtrans, and the others follow."""

    COMMAND, TITLE, RESULT, TAKES_FRAMES = "fix", "Fix result", "vidtrans/fixed", False
    SOCKETS = (
        ClipSocket("render", "A result of 'Stylize' or 'Propagate', as it was written."),
        PaintedSocket("painted", "Frames of the result, painted over: IMAGE with 'numbers', or a folder."),
        ClipSocket("mask", "A matte, white where corrections are seen.", optional=True, types=MATTE),
    )

    @classmethod
    def ending(cls, inputs: dict[str, Any], clips: list[ClipFile]) -> str:
        return Path(clips[0].path).suffix or ".mp4"


class VidtransMatte(CommandNode):
    """Cuts one thing out of the whole clip, from strokes on a few of its frames."""

    COMMAND, TITLE, RESULT = "matte", "Matte of one thing", "vidtrans/matte"
    SOCKETS = (
        ClipSocket("video", "The clip."),
        PaintedSocket("painted", STROKES, "keyframes", optional=True),
        Socket("model", "Instead of painted frames: a segmenter of your own.", optional=True),
    )

    @classmethod
    def check(cls, inputs: dict[str, Any], values: dict[str, Any]) -> None:
        if len(values) == 1 and not inputs.get("options"):
            raise ValueError("nothing says what is cut out — connect painted frames or a model")


class VidtransLook(ModelNode):
    """Learns a model that paints like a picture. At once, without learning: 'Stylize' with a style."""

    COMMAND, TITLE, RESULT = "look", "Learn look of a painting", "look"
    SOCKETS = (
        PicturesSocket("pictures", "The painting; several of one manner are learned together."),
        ClipSocket("on", "A clip to learn on, best the one that it is for.", optional=True, takes_part=False),
    )


class VidtransGrade(ModelNode):
    """Learns a colour grade from pictures before and after it, or takes the colours of a still."""

    COMMAND, TITLE, RESULT = "grade", "Learn grade", "grade"
    SOCKETS = (
        ClipSocket("before", "Pictures or a clip before the grade.", takes_picture=True, takes_part=False),
        ClipSocket("after", AFTER, takes_picture=True, takes_part=False),
    )


class VidtransDataset(FileNode):
    """Makes pairs of pictures from a clip: what a network will see of a frame, and the frame."""

    COMMAND, TITLE, RESULT, ENDING = "make-dataset", "Make dataset", "vidtrans/dataset", ".dataset"
    SOCKETS = (
        ClipSocket("video", "The clip whose frames are learned.", "videos"),
        ClipSocket("target", "A second clip, in step, for the pairings aligned and stack.", optional=True),
    )
    OUTPUTS = (Dataset.Output("pairs", display_name="dataset"), PATH)


class VidtransTrain(ModelNode):
    """Trains a pix2pix model. More steps continue the training; a cancelled one goes on."""

    COMMAND, TITLE, RESULT, TAKES_FRAMES = "train", "Train model", "model", False
    SOCKETS = (Socket("dataset", types=(Dataset,)),)


class VidtransLoadModel(io.ComfyNode):
    """Names a model of the folder models/vidtrans for the other nodes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        names = [n for n in folder_paths.get_filename_list(MODELS) if n.lower().endswith(MODEL_ENDINGS)]
        hint = "A file of models/vidtrans: of vidtrans, ONNX, .cube, or a checkpoint; 'identity' returns its input."
        return io.Schema(
            node_id="VidtransLoadModel",
            display_name="Load model (vidtrans)",
            category=CATEGORY,
            description=cls.__doc__ or "",
            inputs=[io.Combo.Input("model", options=[*names, IDENTITY], tooltip=hint)],
            outputs=[Model.Output("loaded", display_name="model")],
        )

    @classmethod
    def execute(cls, model: str) -> io.NodeOutput:
        if model == IDENTITY:
            return io.NodeOutput(model)
        if (path := folder_paths.get_full_path(MODELS, model)) is None:
            raise ValueError(f"{model}: no such model in models/vidtrans — was it moved or deleted?")
        return io.NodeOutput(path)

    @classmethod
    def fingerprint_inputs(cls, model: str) -> Any:  # noqa: ANN401
        return state_of(folder_paths.get_full_path(MODELS, model) or model)


class VidtransDream(CommandNode):
    """Generates frames from a seed, each predicted from the last by a model of pairing next-frame."""

    COMMAND, TITLE, RESULT = "dream", "Dream", "vidtrans/dream"
    SOCKETS = (
        ClipSocket("seed", "The picture or clip from which it begins.", "source", takes_picture=True),
        Socket("model", "A model of pairing next-frame."),
    )


class VidtransEvaluate(CommandNode):
    """Measures the flicker, sharpness and fidelity of a result, and plots them over time."""

    COMMAND, TITLE, RESULT, ENDING = "evaluate", "Evaluate clip", "vidtrans/scores", ".png"
    SOCKETS = (
        ClipSocket("video", "The result.", "output"),
        ClipSocket("source", "What it was made from."),
        ClipSocket("per_frame", PER_FRAME, optional=True),
        ClipSocket("reference", "What it should be, where that is known.", optional=True),
    )
    OUTPUTS = (io.String.Output("scores", display_name="scores"), io.Image.Output("plot", display_name="plot"))

    @classmethod
    def outputs(cls, path: Path, table: dict[str, Any]) -> io.NodeOutput:
        lines = [f"{name}: {table[name]:g}" for name in SCORES if isinstance(table.get(name), int | float)]
        return io.NodeOutput(json.dumps(table, indent=1), read_pictures([path]), ui=ui.PreviewText("\n".join(lines)))


NODES: list[type[io.ComfyNode]] = [
    VidtransStylize,
    VidtransDeflicker,
    VidtransKeyframes,
    VidtransPropagate,
    VidtransFix,
    VidtransMatte,
    VidtransLook,
    VidtransGrade,
    VidtransDataset,
    VidtransTrain,
    VidtransLoadModel,
    VidtransDream,
    VidtransEvaluate,
]
