"""Commands: frozen and picklable, checked when they are made, and described in the same words everywhere."""

from __future__ import annotations

import ast
import inspect
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from chain import refuse, said
from clips import moving_frames, write_clip

import vidtrans
from vidtrans.commands import COMMANDS, FUNCTIONS, GROUPS, CommandEntry
from vidtrans.commands.base import Command, build, parameters_of
from vidtrans.commands.batch_report import BatchReport
from vidtrans.commands.cache_clean import CacheClean
from vidtrans.commands.compare import Compare
from vidtrans.commands.deflicker import Deflicker
from vidtrans.commands.demo import Demo
from vidtrans.commands.dream import Dream
from vidtrans.commands.evaluate import Evaluate
from vidtrans.commands.grade import Grade
from vidtrans.commands.keyframes import Keyframes
from vidtrans.commands.live import Live
from vidtrans.commands.model_export import ModelExport
from vidtrans.commands.model_import import ModelImport
from vidtrans.commands.sheet import Sheet
from vidtrans.commands.try_out import Try
from vidtrans.config.recipe import make_recipe
from vidtrans.errors import UsageError
from vidtrans.parameters import Argument, Option
from vidtrans.settings import Time

A, B = Path("a.mp4"), Path("b.mp4")
START, END = Time(frame=3), Time(seconds=2)  # type: ignore[arg-type]
RECIPE = make_recipe(None, None, {"rendering": {"size": "64"}})
MADE = [
    Deflicker((A,), B, B, start=START, recipe=RECIPE),
    Dream(("a.mp4",), ("m",), B, frames=30, start=START, blend=B, sound=B, recipe=RECIPE),
    Try(A, ("flower",), Path("t.png"), vary=("strength=1",), frames=2, at=(START,), recipe=RECIPE),
    Evaluate((A,), B, per_frame=A, reference=B, result=Path("s.png"), flow="brox", start=START, end=END),
    Live(("flower",), A, host="0.0.0.0", port=0, allow_network=True, token="a-token-of-the-tests", recipe=RECIPE),
    ModelImport(A, Path("m.safetensors"), norms="stored", invert=True, bgr=False, recipe=RECIPE),
]


@pytest.mark.parametrize("made", MADE, ids=lambda made: type(made).__name__)
def test_a_command_that_was_pickled_is_equal_and_frozen(made: Any) -> None:
    assert pickle.loads(pickle.dumps(made)) == made
    with pytest.raises(AttributeError):
        made.output = None


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: Deflicker((A,), start=START, recipe=RECIPE), "--start 3: there is no source"),
    (lambda: Dream(("a",), ("m",), frames=0, recipe=RECIPE), "--frames 0: it must be at least 1"),
    (lambda: Dream(("a", "b"), ("m",), frames=1, recipe=RECIPE), "SEED: 2 were given (a, b)"),
    (lambda: Try(A, ("m",), Path("t.jpg"), recipe=RECIPE), "use -o t.png"),
    (lambda: Evaluate((A,), B, flow="raft"), "flow method"),
    (lambda: Evaluate((A,), B, dream=True, end=END), "--end: a dream is compared with nothing"),
    (lambda: Compare((A,), labels=("a", "b")), "2 labels for 1 clips"),
    (lambda: Sheet(A, Path("s.mp4")), "a sheet is a .png file"),
    (lambda: Grade(A, B, Path("g.png")), "a grade is a .safetensors or .cube file"),
    (lambda: Grade(A, B, nodes=1), "--nodes 1: a table has 2 to 65"),
    (lambda: Grade(A, B, method="tones"), "compared place by place"),
    (lambda: Keyframes(A, count=0), "--count 0: it must be at least 1"),
    (lambda: ModelImport(A, Path("m.pth"), recipe=RECIPE), "a model is a .safetensors file"),
    (lambda: ModelImport(A, size=8, recipe=RECIPE), "--size 8: a short side is 16 to 8192 pixels"),
    (lambda: ModelImport(A, norms="picture", calibrate=B, recipe=RECIPE), "--norms picture and --calibrate"),
    (lambda: ModelExport("m", "onxx"), "did you mean 'onnx'?"),
    (lambda: ModelExport("m", "onnx", look="a"), "add --whole, or leave --look out"),
    (lambda: ModelExport("m", "onnx", whole=True, stroke_size=1.5), "--stroke-size 1.5: out of bounds"),
    (lambda: Live((), recipe=RECIPE), "--model: no model was given"),
    (lambda: Live(("m",), host="0.0.0.0", recipe=RECIPE), "add --allow-network"),
    (lambda: Live(("m",), token="short", recipe=RECIPE), "at least 16 letters"),
    (lambda: Demo(minutes=float("inf")), "--minutes"),
    (lambda: BatchReport(hours=0.0), "--hours 0: it must be greater than 0"),
    (lambda: CacheClean(("renders",)), "did you mean 'render'?"),
    (lambda: vidtrans.dream("a", "m", frames=1, settings={"dreaming": {"blend_amount": 0.2}}), "no driving video"),
    (lambda: vidtrans.bench(frames=1), "--frames 1: out of bounds — choose at least 2"),
]


@pytest.mark.parametrize(("make", "line"), REFUSED, ids=[line for _, line in REFUSED])
def test_what_needs_no_file_is_refused_in_a_line(make: Callable[[], object], line: str) -> None:
    with pytest.raises(UsageError) as raised:
        make()
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_described(name: str) -> None:
    cls: type[Command] = COMMANDS.load(name)
    assert cls.__doc__
    assert cls.__module__.rpartition(".")[2] in name.replace(" ", "_").replace("try", "try_out")
    assert " " not in name or name.partition(" ")[0] in GROUPS
    for parameter in parameters_of(cls).values():
        given = parameter.given
        assert isinstance(given, Argument) or (given.help[0].isupper() or given.help[0].isdigit() or "," in given.help)
        assert isinstance(given, Argument) or given.help.endswith(".")
    flags = [flag for p in parameters_of(cls).values() if isinstance(p.given, Option) for flag in p.flags]
    assert len(flags) == len(set(flags))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_python_function_takes_every_parameter_under_its_name(function: str) -> None:
    cls = COMMANDS.load(FUNCTIONS[function])
    call = getattr(vidtrans, function)
    taken = inspect.signature(call).parameters
    assert parameters_of(cls).keys() | {"report", "stop"} <= taken.keys()
    assert call.__doc__ == cls.__doc__
    with pytest.raises(TypeError):
        call(nonsense=1)


def test_a_setting_may_be_given_as_an_argument_and_a_table_outranks_it() -> None:
    values = {"processed": (A,), "strength": 0.5, "device": "cpu"}
    made, context = build(Deflicker, values, None, {"rendering": {"mix": 0.25}})
    assert isinstance(made, Deflicker)
    assert made.recipe.tables["rendering"] == {"strength": 0.5, "mix": 0.25}
    assert context == {"device": "cpu"}
    over, _ = build(Deflicker, values, None, {"rendering": {"strength": 1.0}})
    assert over.recipe.value("rendering", "strength") == 1.0  # type: ignore[attr-defined]


def test_files_of_commands_load_nothing_heavy() -> None:
    names = [f"vidtrans.commands.{entry.path.partition(':')[0].rpartition('.')[2]}" for entry in COMMANDS.values()]
    code = f"import sys\nfor name in {names}: __import__(name)\n"
    code += "print(*({'torch', 'cv2', 'av', 'skimage', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_page_of_the_docs_adds_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/extend/command.md").read_text(encoding="utf-8")
    code, line = (block.split("```")[0] for block in page.split("```python\n")[1:])
    module = ModuleType("vidtrans.commands.count_frames")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(code, "count_frames.py", "exec"), vars(module))
    name, path, summary = ast.literal_eval(line.splitlines()[1].rstrip(","))
    monkeypatch.setitem(COMMANDS._entries, name, CommandEntry(f"vidtrans.commands.{path}", summary))
    monkeypatch.setitem(FUNCTIONS, "count_frames", name)
    write_clip(Path("clip.mp4"), moving_frames(9))
    assert "clip.mp4: 5 frames" in said(capsys, 0, name, "clip.mp4", "--every", "2")
    monkeypatch.setenv("VIDTRANS_COUNT_FRAMES_EVERY", "4")
    assert json.loads(said(capsys, 0, name, "clip.mp4", "--json", "-q"))["frames"] == 3
    assert vidtrans.count_frames("clip.mp4", every=3)["frames"] == 3  # type: ignore[attr-defined]
    help = said(capsys, 0, name, "--help")
    assert "Count every n-th frame only.  [default: 4]" in " ".join(help.split()).replace("only. [", "only.  [")
    assert "0 is not in the range" in refuse(capsys, 2, name, "clip.mp4", "--every", "0")
