"""The nodes: one for each command that an artist uses in ComfyUI, and one that loads a model."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.latest import InputImpl, io, ui

from .clips import ClipFile, read_pictures
from .inputs import (
    ClipSocket,
    Dataset,
    LookSocket,
    MatteSocket,
    Model,
    PaintedSocket,
    PaletteSocket,
    PicturesSocket,
    Socket,
    advanced,
    default_of,
    values_of,
    widgets,
)
from .job import run
from .places import MODEL_ENDINGS, MODELS, files_named_in, model_folder, output_folder, result_path, state_of

CATEGORY = "vidtrans"
PATH = io.String.Output("path", display_name="path")
ENDINGS = {"prores": ".mov", "prores4444": ".mov", "dnxhr": ".mov", "ffv1": ".mkv", "gif": ".gif"}
MASK = "A matte, white where the result is seen."
SOURCE = "What it was made from: its motion is followed, and what changes in it is kept."
STYLE = "Without a model: a picture whose style is taken, at once."
PAINTED = "The painted frames: an IMAGE batch with 'numbers', or a folder with the numbers in the names."
STROKES = "Frames with strokes on the thing: IMAGE with 'numbers', or a folder with numbers in its names."
AFTER = "The same after it; with 'unpaired' a still of any scene."
GUIDE = "The film over which the frames were drawn, with more frames a second: its motion carries them."
PER_FRAME = "The same without a temporal filter: what flicker is measured against."
IDENTITY = "identity"
MOST_FRAMES = 64  # that are put into an IMAGE batch
SCORES = ("flicker", "warping_error", "psnr", "ssim", "sharpness", "ratio", "removed")


class KnownFiles:
    """The files that nodes were given or have made since ComfyUI started, and how many changes of them were seen.

    ComfyUI keeps the outputs of a node whose inputs are as before, and a path stays the same when its file changes.
    """

    def __init__(self) -> None:
        self.states: dict[str, list[Any]] = {}  # by path
        self.changes = 0

    def update(self) -> None:
        """Count the files that changed or were deleted since the last call."""
        changed = {path: new for path, old in self.states.items() if (new := state_of(path)) != old}
        self.states |= changed
        self.changes += len(changed)


FILES = KnownFiles()


class CommandNode(io.ComfyNode):
    """A node that runs a command of vidtrans and returns the file that it makes, by default a film.

    The docstring of a node is its description in ComfyUI. ComfyUI runs copies of the classes: they cannot call super().
    """

    COMMAND = TITLE = RESULT = ""  # the command, the node's name in ComfyUI, the beginning of the result's name
    ENDING: str | None = None  # the suffix of the result; None for that of the film's codec
    SHOWS = True  # ComfyUI runs it for its own sake: it shows its result
    TAKES_FRAMES = True  # an input may be an IMAGE batch that is a clip, and so needs a frame rate
    SOCKETS: tuple[Socket, ...] = ()  # the inputs above the widgets of the command
    OUTPUTS: tuple[io.Output, ...] = (io.Video.Output("film", display_name="video"), PATH)
    folder = staticmethod(output_folder)

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [one for socket in cls.SOCKETS for one in socket.inputs()] + widgets(cls.COMMAND, cls.RESULT)
        if cls.TAKES_FRAMES:
            hint = "Frame rate of an IMAGE batch."
            inputs.append(
                advanced(io.Float.Input("frame_rate", default=24.0, min=1.0, max=240.0, step=0.01, tooltip=hint))
            )
        hint = "Options of the command, one on a line: 'name: value'. Those that can run a program are refused."
        example = "start: 2s\nend: 10s"
        options = io.String.Input("options", multiline=True, default="", tooltip=hint, placeholder=example)
        return io.Schema(
            node_id=cls.__name__,
            display_name=f"{cls.TITLE} (vidtrans)",
            category=CATEGORY,
            description=cls.__doc__ or "",
            inputs=[*inputs, advanced(options)],
            outputs=list(cls.OUTPUTS),
            hidden=[io.Hidden.unique_id],
            is_output_node=cls.SHOWS,
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> Any:
        """Return a value that changes with the files of inputs and results: nodes then ask vidtrans again."""
        FILES.update()
        return FILES.changes

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:
        """Run the command, unless its result exists already. Raises VidtransError, or ValueError for an input."""
        values: dict[str, Any] = {}
        clips: list[ClipFile] = []
        for socket in cls.SOCKETS:
            parameter = socket.parameter or socket.name
            if (value := inputs.get(socket.name)) is None or parameter in values:
                continue
            if found := socket.read(value, inputs, clips):
                values[parameter] = found
        cls.check(inputs, values)
        values = {**values_of(cls.COMMAND, inputs), **values, **part_of(clips)}
        options = inputs.get("options") or ""
        texts = [one for value in values.values() for one in (value if isinstance(value, list) else [value])]
        paths = [one for one in texts if isinstance(one, str) and Path(one).is_absolute()]
        states = [state_of(path) for path in (*paths, *files_named_in(options))]
        FILES.states |= {state[0]: state for state in states}
        request = [cls.COMMAND, values, options, states]
        result = result_path(cls.folder(), inputs.get("name") or cls.RESULT, cls.ending(inputs, clips), request)
        result.parent.mkdir(parents=True, exist_ok=True)
        values["result" if cls.COMMAND == "evaluate" else "output"] = str(result)
        trusted = [clip.path for clip in clips if clip.is_trusted]
        table = run(cls.COMMAND, values, options, trusted, cls.hidden.unique_id)
        FILES.states[str(result)] = state_of(str(result))
        return cls.outputs(result, table)

    @classmethod
    def check(cls, inputs: dict[str, Any], values: dict[str, Any]) -> None:
        """Raise ValueError if the inputs, or the values that come from sockets, lack something."""

    @classmethod
    def ending(cls, inputs: dict[str, Any], clips: list[ClipFile]) -> str:
        if cls.ENDING is not None:
            return cls.ENDING
        return ENDINGS.get(inputs.get("codec") or default_of(cls.COMMAND, "codec"), ".mp4")

    @classmethod
    def outputs(cls, path: Path, table: dict[str, Any]) -> io.NodeOutput:
        subfolder = path.parent.relative_to(output_folder()).as_posix()
        preview = ui.SavedResult(path.name, "" if subfolder == "." else subfolder, io.FolderType.output)
        return io.NodeOutput(InputImpl.VideoFromFile(str(path)), str(path), ui=ui.PreviewVideo([preview]))


class FileNode(CommandNode):
    """A node whose result other nodes take by its path: a model or a dataset."""

    SHOWS = False

    @classmethod
    def outputs(cls, path: Path, table: dict[str, Any]) -> io.NodeOutput:
        return io.NodeOutput(str(path), str(path))


class ModelNode(FileNode):
    """A node that makes a model."""

    ENDING = ".safetensors"
    OUTPUTS = (Model.Output("learned", display_name="model"), PATH)
    folder = staticmethod(model_folder)


def part_of(clips: list[ClipFile]) -> dict[str, str]:
    """Return the part of the first clip that is meant. Raises ValueError if another one is a part of a file."""
    if any(clip.is_part for clip in clips[1:]):
        raise ValueError("a trimmed VIDEO can only be the first input — save it, and load the file")
    found = {}
    for name in ("start", "end") if clips else ():
        if seconds := getattr(clips[0], name):  # never later: a frame at this very time is at or after it
            found[name] = f"{math.floor(seconds * 1e6) / 1e6:.6f}s"
    return found


class VidtransStylize(CommandNode):
    """Renders a trained model, a medium such as oil, or the style of a picture onto a clip, steadily."""

    COMMAND, TITLE, RESULT = "stylize", "Stylize clip", "vidtrans/stylized"
    SOCKETS = (
        ClipSocket("video", "The clip."),
        Socket("model", "A model of 'Train', 'Look', 'Grade' or 'Load model'.", optional=True),
        PicturesSocket("style", STYLE, "look", optional=True, remedy="connect one, or learn them with 'Look'"),
        MatteSocket("mask", MASK, optional=True),
        LookSocket("look", "Or a look that ships: of a painting, or a medium such as oil."),
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
        MatteSocket("mask", MASK, optional=True),
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
        MatteSocket("mask", "A matte, white where the paint is.", optional=True),
    )


class VidtransFix(CommandNode):
    """Paint over frames of a result of vidtrans, and the others follow."""

    COMMAND, TITLE, RESULT, TAKES_FRAMES = "fix", "Fix result", "vidtrans/fixed", False
    SOCKETS = (
        ClipSocket("render", "A result of 'Stylize' or 'Propagate', as it was written."),
        PaintedSocket("painted", "Frames of the result, painted over: IMAGE with 'numbers', or a folder."),
        MatteSocket("mask", "A matte, white where corrections are seen.", optional=True),
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
        PicturesSocket("pictures", "The painting; several of one style are learned together."),
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
    def fingerprint_inputs(cls, model: str) -> Any:
        return state_of(folder_paths.get_full_path(MODELS, model) or model)


class VidtransDream(CommandNode):
    """Generates frames from a seed, each predicted from the last by a model of pairing next-frame."""

    COMMAND, TITLE, RESULT = "dream", "Dream", "vidtrans/dream"
    SOCKETS = (
        ClipSocket("seed", "The picture or clip from which it begins.", "source", takes_picture=True),
        Socket("model", "A model of pairing next-frame."),
    )


class VidtransRetime(CommandNode):
    """Makes frames between frames, slow motion, ramps, held frames and motion blur, with the sound."""

    COMMAND, TITLE, RESULT = "retime", "Retime clip", "vidtrans/retimed"
    SOCKETS = (ClipSocket("video", "The clip."), ClipSocket("guide", GUIDE, optional=True))


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
    VidtransRetime,
    VidtransEvaluate,
]
