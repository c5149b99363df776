"""Commands: frozen, checked when they are made, and described in the same words everywhere."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from chain import refuse, said
from clips import moving_frames, write_clip

import vidtrans
from vidtrans.batch.batch_options import BatchOptions
from vidtrans.batch.trainings import VariedTraining
from vidtrans.cli.main import run
from vidtrans.commands import COMMANDS, FUNCTIONS, GROUPS, RARE, SECTIONS, CommandEntry
from vidtrans.commands.base import Command, build, parameters_of
from vidtrans.commands.batch_report import BatchReport
from vidtrans.commands.cache import CacheClean
from vidtrans.commands.compare import Compare
from vidtrans.commands.deflicker import Deflicker
from vidtrans.commands.dream import Dream
from vidtrans.commands.evaluate import Evaluate
from vidtrans.commands.grade import Grade
from vidtrans.commands.live import Live
from vidtrans.commands.look import Look
from vidtrans.commands.make_dataset import MakeDataset
from vidtrans.commands.model_export import ModelExport
from vidtrans.commands.model_import import ModelImport
from vidtrans.commands.propagate import Propagate
from vidtrans.commands.run import Run
from vidtrans.commands.schema import schema_of
from vidtrans.commands.stylize import Stylize
from vidtrans.commands.train import Train
from vidtrans.commands.try_out import Try
from vidtrans.config.recipe import make_recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Time
from vidtrans.temporal import FILTERS
from vidtrans.training.variants import Variant

A, B = Path("a.mp4"), Path("b.mp4")
END = Time(seconds=2)  # type: ignore[arg-type]
RECIPE = make_recipe(None, None, {"rendering": {"size": "64"}})
VARIANT = Variant("lr-1", "lr=1", RECIPE, {"training.lr": 1.0}, 3)
STEPS = Variant("steps-1", "steps=1", RECIPE, {"training.steps": 1})
MODEL = Path("m.safetensors")
REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: MakeDataset((A,), batch=BatchOptions(jobs=2), recipe=RECIPE), "one dataset is one job — give --each"),
    (lambda: Train(A, Path("m.pt"), recipe=RECIPE), "a model is one .safetensors file"),
    (lambda: Train(A, minutes=0.0, recipe=RECIPE), "--minutes: it must be greater than 0 (got 0)"),
    (lambda: Train(A, start_from="m", fresh=True, recipe=RECIPE), "--from and --fresh"),
    (lambda: Train(A, ablate="loss", fresh=True, recipe=RECIPE), "--ablate and --fresh: every variant starts"),
    (lambda: Train(A, batch=BatchOptions(jobs=2), recipe=RECIPE), "--jobs, --executor: there is one training"),
    (lambda: VariedTraining(A, "loss", MODEL, RECIPE), "in a folder — use -o m"),
    (lambda: VariedTraining(A, "loss", None, RECIPE, None, (VARIANT,)), "--sweep and --ablate: both choose"),
    (lambda: VariedTraining(A, "", None, RECIPE), "--sweep: there is nothing to vary"),
    (lambda: VariedTraining(A, "", None, RECIPE, 1.0, (STEPS,)), "training.steps and --minutes: both say"),
    (lambda: vidtrans.look("a.png", steps=1, minutes=1.0), "--steps and --minutes: both say when to stop"),
    (lambda: vidtrans.look("a.png", steps=1, optimise=True), "--steps: nothing is learned with --optimise"),
    (lambda: Look((A,), on=(B,), optimise=True, recipe=RECIPE), "--on: nothing is learned with --optimise"),
    (lambda: Run(None, apply=(B,), output=B, recipe=RECIPE), "there is nothing to learn from"),
    (lambda: Run(None, apply=(B,), output=B, looks=(A,), target=A, recipe=RECIPE), "--target: a look is learned"),
    (lambda: Stylize((Path("a.toml"), B), recipe=RECIPE), "a list of clips cannot be combined"),
    (lambda: Stylize((Path("a.toml"),), join=True, recipe=RECIPE), "has its own output"),
    (lambda: Stylize((A,), ("m",), join=True, print_jobs="slurm", recipe=RECIPE), "it prints a job for whole clips"),
    (lambda: Propagate((A,), B, follow="paint", recipe=RECIPE), "--follow paint: unknown"),
    (lambda: Propagate((A,), B, follow="look", layer=True, recipe=RECIPE), "leave out --follow look"),
    (lambda: Propagate((A,), B, follow="look", minutes=0, recipe=RECIPE), "--follow look: it relies on the network"),
    (lambda: Deflicker((A,), A, exposure=True, recipe=RECIPE), "--exposure --source: brightness is measured"),
    (lambda: Dream(("a",), ("m",), frames=0, recipe=RECIPE), "--frames 0: it must be at least 1"),
    (lambda: Dream(("a", "b"), ("m",), frames=1, recipe=RECIPE), "SEED: 2 were given (a, b)"),
    (lambda: Try(A, ("m",), Path("t.jpg"), recipe=RECIPE), "use -o t.png"),
    (lambda: Evaluate((A,), B, dream=True, end=END), "--end: a dream is compared only with"),
    (lambda: Compare((A,), labels=("a", "b")), "2 labels for 1 clip"),
    (lambda: Grade(A, B, nodes=1), "--nodes 1: a table has 2 to 65"),
    (lambda: Grade(A, B, method="tones"), "compared place by place"),
    (lambda: ModelImport(A, norms="picture", calibrate=B, recipe=RECIPE), "--norms picture and --calibrate"),
    (lambda: ModelExport("m", "onxx"), "did you mean 'onnx'?"),
    (lambda: ModelExport("m", "onnx", whole=True, stroke_size=1.5), "--stroke-size 1.5: out of bounds"),
    (lambda: Live((), recipe=RECIPE), "live: there is no model"),
    (lambda: Live(("m",), host="0.0.0.0", recipe=RECIPE), "add --allow-network"),
    (lambda: Live(("m",), token="short", recipe=RECIPE), "at least 16 letters"),
    (lambda: BatchReport(hours=0.0), "--hours 0: it must be greater than 0"),
    (lambda: CacheClean(("renders",)), "did you mean 'render'?"),
    (lambda: vidtrans.stylize([], "identity"), "video: none was given — give one or more"),
    (lambda: vidtrans.bench(frames=1), "--frames 1: out of bounds — choose at least 2"),
]


@pytest.mark.parametrize(("make", "line"), REFUSED, ids=[line for _, line in REFUSED])
def test_what_needs_no_file_is_refused_in_a_line(make: Callable[[], object], line: str) -> None:
    with pytest.raises(UsageError) as raised:
        make()
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_described_and_frozen_and_no_flag_is_there_twice(name: str) -> None:
    cls: type[Command] = COMMANDS.load(name)
    assert cls.__doc__
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert " " not in name or name.partition(" ")[0] in GROUPS
    flags = [flag for p in parameters_of(cls).values() if not p.option.is_argument for flag in p.flags]
    assert len(flags) == len(set(flags))
    assert all(p.option.help for p in parameters_of(cls).values() if not p.option.is_argument)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_python_function_and_the_schema_take_every_parameter_under_its_name(function: str) -> None:
    name = FUNCTIONS[function]
    cls, call, schema = COMMANDS.load(name), getattr(vidtrans, function), schema_of(name)
    taken = inspect.signature(call).parameters
    assert parameters_of(cls).keys() | {"report", "stop"} <= taken.keys()
    assert call.__doc__ == cls.__doc__
    with pytest.raises(TypeError):
        call(nonsense=1)
    assert schema["properties"].keys() == taken.keys() - {"report", "stop"}
    assert set(schema["required"]) == {p for p, one in taken.items() if one.default is one.empty}
    texts = {"integer": int, "number": (int, float), "boolean": bool, "string": str, "object": dict}
    for found in schema["properties"].values():
        one, default = (found["items"] if found["type"] == "array" else found), found.get("default")
        kinds = tuple(texts[kind] for kind in ([one["type"]] if isinstance(one["type"], str) else one["type"]))
        for value in default if isinstance(default, list) else () if default is None else (default,):
            assert isinstance(value, kinds)
        named = one.get("enum") or next((kind["enum"] for kind in one.get("anyOf", ()) if "enum" in kind), None)
        assert default is None or named is None or default in named
    json.dumps(schema)


def test_the_schema_says_what_can_run_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, 0, "schema"))["commands"]
    assert json.loads(said(capsys, 0, "schema", "model", "import")) == found["model import"]
    reaching = {n for s in found.values() for n, p in s["properties"].items() if p["x-access"] == "program"}
    assert reaching == {"filter", "filter_source", "program", "trust", "settings"}
    [_, own] = found["stylize"]["properties"]["codec"]["anyOf"]
    assert own == {"pattern": "^ffmpeg:", "x-access": "program"}
    assert found["stylize"]["properties"]["draft"]["maximum"] == 12
    assert "did you mean 'stylize'?" in refuse(capsys, 2, "schema", "stylise")


def test_a_setting_may_be_given_as_an_argument_and_a_table_outranks_it() -> None:
    values = {"processed": (A,), "strength": 0.5, "device": "cpu"}
    made, context = build(Deflicker, values, None, {"rendering": {"mix": 0.25}})
    assert isinstance(made, Deflicker)
    assert made.recipe.tables["rendering"] == {"strength": 0.5, "mix": 0.25}
    assert context == {"device": "cpu"}
    over, _ = build(Deflicker, values, None, {"rendering": {"strength": 1.0}})
    assert over.recipe.value("rendering", "strength") == 1.0  # type: ignore[attr-defined]


HEAVY = """
import sys
from pathlib import Path
import vidtrans
from vidtrans.commands import COMMANDS
def load(names, forbidden):
    for name in names: __import__(name)
    print(*(set(forbidden) & set(sys.modules)))
heavy = ["torch", "cv2", "av", "skimage"]
files = [f"vidtrans.commands.{entry.path.partition(':')[0].rpartition('.')[2]}" for entry in COMMANDS.values()]
load(files, [*heavy, "numpy"])
cli = [f"vidtrans.cli.{p.stem}" for p in (Path(vidtrans.__file__).parent / "cli").glob("*.py") if p.stem != "__init__"]
load(["vidtrans.config.recipe", *cli], heavy)
from vidtrans.batch.executors import EXECUTORS
from vidtrans.models.formats import FORMATS, load_format
[EXECUTORS.load(name) for name in EXECUTORS], [load_format(name) for name in FORMATS]
from vidtrans.config.recipe import make_recipe
from vidtrans.models.loaded_model import load_model
from vidtrans.models.render_settings import ResolvedRenderSettings
from vidtrans.session import Context
from vidtrans.temporal import FILTERS
look = load_model("identity", Context(device="cuda"))  # a key for a GPU
for name in FILTERS:
    key = ResolvedRenderSettings.of(make_recipe(None, None, {"temporal": {"name": name}}), look, "cuda").filter_record()
    assert ("dis-torch" in str(key)) == (name not in ("off", "vote")), key
load([], ["torch"])
"""


def test_commands_the_command_line_executors_formats_and_keys_load_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_helps_load_nothing_heavy_and_know_the_settings_of_filters() -> None:
    assert [FILTERS[name].load_settings() for name in FILTERS] == [FILTERS.load(name).Settings for name in FILTERS]
    heavy = {"dataset", "training", "card"}  # tables whose settings come with NumPy
    light = [name.split() for name in COMMANDS if not heavy & COMMANDS.load(name).TABLES.keys()]
    code = "import sys\nfrom vidtrans.cli.main import run\n"
    code += f"for name in {light}: run([*name, '--help'])\n"
    code += "print(*({'torch', 'cv2', 'av', 'skimage', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


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
    assert "0 is not in the range" in refuse(capsys, 2, name, "clip.mp4", "--every", "0")


def test_help_lists_each_command_under_one_heading(capsys: pytest.CaptureFixture[str]) -> None:
    listed = [name for names in (*SECTIONS.values(), RARE) for name in names]
    assert sorted(listed) == sorted({name.partition(" ")[0] for name in COMMANDS.builtin})
    run(["--help"])
    usual = capsys.readouterr().out
    run(["--help-all"])
    whole = capsys.readouterr().out
    for name in RARE:
        assert f"\n  {name} " not in usual
        assert f"\n  {name} " in whole
    assert f"Show {len(RARE)} more commands" in usual
