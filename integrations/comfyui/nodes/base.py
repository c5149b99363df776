"""The common parts of the nodes: from inputs to a command, from its report to outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comfy_api.latest import InputImpl, io, ui

from .clips import ClipFile, clip_file, painted_folder, picture_files
from .job import run
from .places import files_named_in, model_folder, output_folder, result_path, state_of
from .widgets import advanced, default_of, values_of, widgets

Model = io.Custom("VIDTRANS_MODEL")
MATTE = (io.Mask, io.Video, io.Image, io.String)  # the types of a clip that is a matte
ENDINGS = {"prores": ".mov", "prores4444": ".mov", "dnxhr": ".mov", "ffv1": ".mkv", "gif": ".gif"}
CATEGORY = "vidtrans"
PATH = io.String.Output("path", display_name="path")
NUMBERS = "The frame of each picture, counted from 0, such as '0, 48, 96'; of a folder they stand in the names."


@dataclass(frozen=True)
class Socket:
    """An input above the widgets of a command, whose value is given to the command as it is.

    Attributes:
        name, tooltip, optional: As those of the input.
        parameter: The command's parameter; by default the one of the same name. Where two sockets have the same one,
            the first that is connected counts.
        types: What it takes.
    """

    name: str
    tooltip: str = ""
    parameter: str = ""
    optional: bool = field(default=False, kw_only=True)
    types: tuple[Any, ...] = field(default=(Model,), kw_only=True)

    def inputs(self) -> list[io.Input]:
        """Return the inputs of the node: this one, and those that belong to it."""
        words = {"optional": self.optional, "tooltip": self.tooltip}
        if len(self.types) == 1:
            return [self.types[0].Input(self.name, **words)]
        return [io.MultiType.Input(self.name, types=[*self.types], **words)]

    def read(self, value: Any, inputs: dict[str, Any], clips: list[ClipFile]) -> Any:  # noqa: ANN401
        """Return the parameter's value, and append a clip to ``clips``. Raises ValueError."""
        return value


@dataclass(frozen=True)
class ClipSocket(Socket):
    """A clip: VIDEO, a path, or a short IMAGE batch; or a matte as MASK.

    Attributes:
        takes_picture: An IMAGE batch of one picture is a picture, not a clip.
        takes_part: It may be a trimmed VIDEO; else the command has no option for a part.
    """

    types: tuple[Any, ...] = field(default=(io.Video, io.Image, io.String), kw_only=True)
    takes_picture: bool = field(default=False, kw_only=True)
    takes_part: bool = field(default=True, kw_only=True)

    def inputs(self) -> list[io.Input]:
        (one,) = super().inputs()
        names = "MASK, VIDEO or a path" if io.Mask in self.types else "VIDEO or a path of any length"
        one.tooltip = f"{self.tooltip} {names}; an IMAGE batch of at most 300 frames."
        return [one]

    def read(self, value: Any, inputs: dict[str, Any], clips: list[ClipFile]) -> Any:  # noqa: ANN401
        if self.takes_picture and hasattr(value, "shape") and len(value) == 1:
            return picture_files(value, self.name)[0]
        clip = clip_file(value, self.name, inputs.get("fps", 24.0))
        if clip.is_part and not self.takes_part:
            raise ValueError(f"{self.name}: a trimmed VIDEO cannot be learned on — save it, and load the file")
        clips.append(clip)
        return clip.path


@dataclass(frozen=True)
class PicturesSocket(Socket):
    """IMAGE, or the path of a picture. ``remedy``: what to do with several, of a parameter that takes one."""

    types: tuple[Any, ...] = field(default=(io.Image, io.String), kw_only=True)
    remedy: str = field(default="", kw_only=True)

    def read(self, value: Any, inputs: dict[str, Any], clips: list[ClipFile]) -> Any:  # noqa: ANN401
        pictures = picture_files(value, self.name)
        if self.remedy and len(pictures) > 1:
            raise ValueError(f"{self.name}: it is more than one picture — {self.remedy}")
        return pictures[0] if self.remedy else pictures


@dataclass(frozen=True)
class PaintedSocket(PicturesSocket):
    """Painted frames: an IMAGE batch, whose numbers are a second input, or a folder with numbers in the names."""

    def inputs(self) -> list[io.Input]:
        return [*super().inputs(), io.String.Input("numbers", default="", optional=True, tooltip=NUMBERS)]

    def read(self, value: Any, inputs: dict[str, Any], clips: list[ClipFile]) -> Any:  # noqa: ANN401
        return painted_folder(value, inputs.get("numbers") or "", self.name)


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

    Attributes:
        COMMAND: The command.
        TITLE: The node's name in ComfyUI.
        RESULT: The beginning of the result's name.
        ENDING: The suffix of the result; None for that of the film's codec.
        SHOWS: Whether ComfyUI runs it for its own sake: it shows its result.
        TAKES_FRAMES: Whether an input may be an IMAGE batch that is a clip, and so needs a frame rate.
        SOCKETS: The inputs above the widgets of the command.
        OUTPUTS: The outputs.
    """

    COMMAND = TITLE = RESULT = ""
    ENDING: str | None = None
    SHOWS = TAKES_FRAMES = True
    SOCKETS: tuple[Socket, ...] = ()
    OUTPUTS: tuple[io.Output, ...] = (io.Video.Output("film", display_name="video"), PATH)
    folder = staticmethod(output_folder)

    @classmethod
    def define_schema(cls) -> io.Schema:
        inputs = [one for socket in cls.SOCKETS for one in socket.inputs()] + widgets(cls.COMMAND, cls.RESULT)
        if cls.TAKES_FRAMES:
            hint = "Frame rate of an IMAGE batch."
            inputs.append(advanced(io.Float.Input("fps", default=24.0, min=1.0, max=240.0, step=0.01, tooltip=hint)))
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
    def fingerprint_inputs(cls, **inputs: Any) -> Any:  # noqa: ANN401
        """Return a value that changes with the files of inputs and results: nodes then ask vidtrans again."""
        FILES.update()
        return FILES.changes

    @classmethod
    def execute(cls, **inputs: Any) -> io.NodeOutput:  # noqa: ANN401
        """Run the command, unless its result exists already, and return the outputs.

        Raises:
            VidtransError: The command failed.
            ValueError: An input is wrong.
        """
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
        """Return the suffix of the result, with a dot; '' for a folder."""
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
