"""Nodes that make and load models: look, grade, dataset, train, load."""

from __future__ import annotations

from typing import Any

import folder_paths
from comfy_api.latest import io

from .base import CATEGORY, CommandNode, Dataset, Model, clip_input, pictures_input
from .clips import ClipFile, add_clips, clip_file, picture_files
from .places import MODEL_ENDINGS, MODELS, model_folder, state_of

IDENTITY = "identity"
MODEL = (Model.Output("learned", display_name="model"), io.String.Output("path", display_name="path"))


class VidtransLook(CommandNode):
    """Learn the manner of a painting."""

    COMMAND = "look"
    TITLE = "Learn look of a painting"
    ABOUT = "Learns a model that paints like a picture. At once, without learning: 'Stylize' with a style."
    RESULT = "look"
    SHOWS = False
    SOCKETS = (
        pictures_input("pictures", "The painting; several of one manner are learned together."),
        clip_input("on", "A clip to learn on, best the one that it is for.", optional=True),
    )
    OUTPUTS = MODEL

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:  # noqa: ANN401
        """Return the model and its path. Raises ValueError, VidtransError."""
        values: dict[str, Any] = {"pictures": picture_files(inputs["pictures"], "pictures")}
        clips: list[ClipFile] = []
        if inputs.get("on") is not None:
            clips.append(whole(clip_file(inputs["on"], "on", inputs.get("fps", 24.0)), "on"))
            values["on"] = [clips[0].path]
        path, _ = cls.produce(inputs, values, clips, ".safetensors", base=model_folder())
        return io.NodeOutput(str(path), str(path))


class VidtransGrade(CommandNode):
    """Learn a colour grade from pictures before and after it."""

    COMMAND = "grade"
    TITLE = "Learn grade"
    ABOUT = "Learns a colour grade from pictures before and after it, or takes the colours of a still."
    RESULT = "grade"
    SHOWS = False
    SOCKETS = (
        clip_input("before", "Pictures or a clip before the grade."),
        clip_input("after", "The same after it; with 'unpaired' a still of any scene."),
    )
    OUTPUTS = MODEL

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:  # noqa: ANN401
        """Return the grade as a model and its path. Raises ValueError, VidtransError."""
        values, clips = {}, []
        for name in ("before", "after"):
            given = inputs[name]
            if hasattr(given, "shape") and len(given) == 1:
                values[name] = picture_files(given, name)[0]
            else:
                clips.append(whole(clip_file(given, name, inputs.get("fps", 24.0)), name))
                values[name] = clips[-1].path
        path, _ = cls.produce(inputs, values, clips, ".safetensors", base=model_folder())
        return io.NodeOutput(str(path), str(path))


def whole(clip: ClipFile, what: str) -> ClipFile:
    """Return a clip that is not trimmed. Raises ValueError if it is: the command has no option for a part."""
    if clip.is_part:
        raise ValueError(f"{what}: a trimmed VIDEO cannot be learned on — save it, and load the file")
    return clip


class VidtransDataset(CommandNode):
    """Make pairs of pictures from clips, to train on."""

    COMMAND = "make-dataset"
    TITLE = "Make dataset"
    ABOUT = "Makes pairs of pictures from a clip: what a network will see of a frame, and the frame."
    RESULT = "vidtrans/dataset"
    SHOWS = False
    SOCKETS = (
        clip_input("video", "The clip whose frames are learned."),
        clip_input("target", "A second clip, in step, for the pairings aligned and stack.", optional=True),
    )
    OUTPUTS = (Dataset.Output("pairs", display_name="dataset"), io.String.Output("path", display_name="path"))

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:  # noqa: ANN401
        """Return the dataset's folder. Raises ValueError, VidtransError."""
        fps = inputs.get("fps", 24.0)
        clips = [clip_file(inputs["video"], "video", fps)]
        values: dict[str, Any] = {"videos": [clips[0].path]}
        add_clips(clips, values, inputs, "target", fps=fps)
        path, _ = cls.produce(inputs, values, clips, ".dataset")
        return io.NodeOutput(str(path), str(path))


class VidtransTrain(CommandNode):
    """Train a pix2pix model on a dataset."""

    COMMAND = "train"
    TITLE = "Train model"
    ABOUT = "Trains a pix2pix model. More steps continue the training; a cancelled one goes on."
    RESULT = "model"
    SHOWS = False
    TAKES_FRAMES = False
    SOCKETS = (Dataset.Input("dataset"),)
    OUTPUTS = MODEL

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:  # noqa: ANN401
        """Return the model and its path. Raises ValueError, VidtransError."""
        values = {"dataset": inputs["dataset"]}
        path, _ = cls.produce(inputs, values, [], ".safetensors", base=model_folder())
        return io.NodeOutput(str(path), str(path))


class VidtransLoadModel(io.ComfyNode):
    """Name a model of the folder models/vidtrans."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Return the node's name, inputs and outputs."""
        names = [n for n in folder_paths.get_filename_list(MODELS) if n.lower().endswith(MODEL_ENDINGS)]
        hint = "A file of models/vidtrans: of vidtrans, ONNX, .cube, or a checkpoint; 'identity' returns its input."
        return io.Schema(
            node_id="VidtransLoadModel",
            display_name="Load model (vidtrans)",
            category=CATEGORY,
            description="Names a model for the other nodes.",
            inputs=[io.Combo.Input("model", options=[*names, IDENTITY], tooltip=hint)],
            outputs=[Model.Output("loaded", display_name="model")],
        )

    @classmethod
    def execute(cls, model: str) -> io.NodeOutput:
        """Return the path of the model. Raises ValueError if it is gone."""
        if model == IDENTITY:
            return io.NodeOutput(model)
        if (path := folder_paths.get_full_path(MODELS, model)) is None:
            raise ValueError(f"{model}: no such model in models/vidtrans — was it moved or deleted?")
        return io.NodeOutput(path)

    @classmethod
    def fingerprint_inputs(cls, model: str) -> Any:  # noqa: ANN401
        """Return what changes when the file does."""
        return state_of(folder_paths.get_full_path(MODELS, model) or model)
