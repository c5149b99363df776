"""Stand-in for ``comfy_api.latest.io``, as of ComfyUI 0.3.64."""

from __future__ import annotations

from enum import Enum
from types import SimpleNamespace
from typing import Any


class Hidden(Enum):
    unique_id = "UNIQUE_ID"


class FolderType(str, Enum):  # noqa: UP042  (as ComfyUI has it)
    input = "input"
    output = "output"
    temp = "temp"


class Input:
    io_type = "*"

    def __init__(
        self,
        id: str,
        display_name: Any = None,
        optional: bool = False,
        tooltip: Any = None,
        lazy: Any = None,
        extra_dict: Any = None,
    ) -> None:
        self.id, self.display_name, self.optional, self.tooltip = id, display_name, optional, tooltip
        self.extra_dict = extra_dict if extra_dict is not None else {}
        self.default: Any = None
        self.options: list[Any] | None = None
        self.bounds: tuple[Any, Any] = (None, None)


class Output:
    io_type = "*"

    def __init__(self, id: Any = None, display_name: Any = None, tooltip: Any = None, is_output_list: bool = False):
        self.id, self.display_name = id, display_name


def Custom(io_type: str) -> Any:  # noqa: N802
    return SimpleNamespace(
        Input=type("Input", (Input,), {"io_type": io_type}), Output=type("Output", (Output,), {"io_type": io_type})
    )


Video, Image, Mask = Custom("VIDEO"), Custom("IMAGE"), Custom("MASK")


class String:
    io_type = "STRING"

    class Output(Output):
        io_type = "STRING"

    class Input(Input):
        io_type = "STRING"

        def __init__(
            self,
            id: str,
            display_name: Any = None,
            optional: bool = False,
            tooltip: Any = None,
            lazy: Any = None,
            multiline: bool = False,
            placeholder: Any = None,
            default: Any = None,
        ) -> None:
            super().__init__(id, display_name, optional, tooltip, lazy)
            self.default = default


class Boolean:
    class Input(Input):
        io_type = "BOOLEAN"

        def __init__(
            self,
            id: str,
            display_name: Any = None,
            optional: bool = False,
            tooltip: Any = None,
            lazy: Any = None,
            default: Any = None,
        ) -> None:
            super().__init__(id, display_name, optional, tooltip, lazy)
            self.default = default


class Int:
    class Input(Input):
        io_type = "INT"

        def __init__(
            self,
            id: str,
            display_name: Any = None,
            optional: bool = False,
            tooltip: Any = None,
            lazy: Any = None,
            default: Any = None,
            min: Any = None,
            max: Any = None,
            step: Any = None,
        ) -> None:
            super().__init__(id, display_name, optional, tooltip, lazy)
            self.default, self.bounds = default, (min, max)


class Float:
    class Input(Int.Input):
        io_type = "FLOAT"


class Combo:
    class Input(Input):
        io_type = "COMBO"

        def __init__(
            self,
            id: str,
            options: Any = None,
            display_name: Any = None,
            optional: bool = False,
            tooltip: Any = None,
            lazy: Any = None,
            default: Any = None,
        ) -> None:
            super().__init__(id, display_name, optional, tooltip, lazy)
            self.default, self.options = default, options


class MultiType:
    class Input(Input):
        def __init__(
            self,
            id: Any,
            types: Any,
            display_name: Any = None,
            optional: bool = False,
            tooltip: Any = None,
            lazy: Any = None,
            extra_dict: Any = None,
        ) -> None:
            super().__init__(id, display_name, optional, tooltip, lazy, extra_dict)


class Schema:
    def __init__(
        self,
        node_id: str,
        display_name: Any = None,
        category: str = "sd",
        inputs: Any = None,
        outputs: Any = None,
        hidden: Any = None,
        description: str = "",
        is_input_list: bool = False,
        is_output_node: bool = False,
    ) -> None:
        self.node_id, self.display_name, self.category, self.description = node_id, display_name, category, description
        self.inputs, self.outputs, self.is_output_node = inputs, outputs, is_output_node
        names = [one.id for one in (*inputs, *outputs)]
        assert len(set(names)) == len(names), "Ids must be unique between inputs and outputs"


class NodeOutput:
    def __init__(self, *args: Any, ui: Any = None, expand: Any = None, block_execution: Any = None) -> None:
        self.args, self.ui = args, ui


class ComfyNode:
    hidden = SimpleNamespace(unique_id="7")
