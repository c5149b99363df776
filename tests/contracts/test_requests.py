"""Requests: picklable, checked when they are made, and imported without anything heavy."""

from __future__ import annotations

import ast
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vidtrans
from vidtrans import requests as r
from vidtrans.batch.options import BatchOptions
from vidtrans.config.recipe import make_recipe
from vidtrans.errors import UsageError
from vidtrans.settings import Time
from vidtrans.training.ablations import Variant

PACKAGE = Path(vidtrans.__file__).parent
HEAVY = {"torch", "cv2", "av", "skimage"}
A, B = Path("a.mp4"), Path("b.mp4")
TABLES: dict[str, dict[str, Any]] = {
    "pairing": {"name": "edges", "sigma": 2.0},
    "training": {"steps": 7},
    "temporal": {"name": "causal"},
    "rendering": {"size": "64"},
    "dreaming": {"zoom": "1.01"},
    "encoding": {"codec": "ffv1"},
}
RECIPE = make_recipe("edges", None, TABLES)
VARIANT = Variant("lr-1", "lr=1", RECIPE, {"training.lr": 1.0}, 3)
STEPS = Variant("steps-1", "steps=1", RECIPE, {"training.steps": 1})
START, END = Time(frame=3), Time(seconds=2)  # type: ignore[arg-type]
REQUESTS = [
    r.MakeDatasetRequest([A], Path("d"), RECIPE, B, START, END, True),
    r.TrainRequest(Path("d"), Path("m.safetensors"), RECIPE, 2.0, 100, "flower"),
    r.AblateRequest(Path("d"), "loss", Path("out"), RECIPE, 2.0, batch=BatchOptions(jobs=2)),
    r.AblateRequest(Path("d"), "", Path("out"), RECIPE, 2.0, (VARIANT,)),
    r.StylizeRequest(A, ("flower", "ink"), B, RECIPE, START, END, Path("mask.png"), True, True),
    r.RunRequest(A, [B], Path("o.mp4"), RECIPE, Path("t.mp4"), (), 2.0, BatchOptions(jobs=2)),
    r.RunRequest(None, [B], Path("o.mp4"), RECIPE, looks=(A,)),
    r.LookRequest((A,), RECIPE, (B,), Path("l.safetensors"), 2.0, True),
    r.PropagateRequest(A, Path("keys"), RECIPE, B, 2.0, "look", True, START, END, Path("mask.png")),
    r.FixRequest(A, Path("fixes"), B, True),
]


def test_all_requests_are_tested_here() -> None:
    known = {name for name in vars(r) if name.endswith("Request")}
    assert {type(request).__name__ for request in REQUESTS} == known


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_a_request_that_was_pickled_is_equal_and_frozen(request_: Any) -> None:
    again = pickle.loads(pickle.dumps(request_))
    assert again == request_
    with pytest.raises(AttributeError):
        again.output = None


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: r.TrainRequest(A, Path("m.pt"), RECIPE), "a model is one .safetensors file"),
        (lambda: r.TrainRequest(A, None, RECIPE, minutes=0.0), "--minutes: it must be greater than 0 (got 0)"),
        (lambda: r.TrainRequest(A, None, RECIPE, minutes=float("nan")), "must be greater than 0"),
        (lambda: r.TrainRequest(A, None, RECIPE, start_from="m", fresh=True), "--from and --fresh"),
        (lambda: r.AblateRequest(A, "loss", Path("m.safetensors"), RECIPE), "in a folder — use -o m"),
        (lambda: r.AblateRequest(A, "loss", None, RECIPE, None, (VARIANT,)), "--sweep and --ablate: each says"),
        (lambda: r.AblateRequest(A, "", None, RECIPE), "--sweep: there is nothing to vary"),
        (lambda: r.AblateRequest(A, "", None, RECIPE, 1.0, (STEPS,)), "training.steps and --minutes: both say"),
        (lambda: r.RunRequest(A, [B], Path("o"), RECIPE, minutes=-1), "--minutes"),
    ],
)
def test_what_needs_no_file_is_checked_at_once(make: Callable[[], object], line: str) -> None:
    with pytest.raises(UsageError) as raised:
        make()
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_recipe_is_read_once_into_settings() -> None:
    from vidtrans.training.settings import TrainingSettings

    settings = RECIPE.settings("training", TrainingSettings)
    assert settings is RECIPE.settings("training", TrainingSettings)
    assert settings.steps == 7
    assert RECIPE.choice_settings("pairing")[1] is RECIPE.choice_settings("pairing")[1]
    with pytest.raises(UsageError, match="no setting 'stepz'"):
        RECIPE.under({"training": {"stepz": 1}})


def test_requests_recipes_and_the_command_line_load_nothing_heavy() -> None:
    names = [f"vidtrans.cli.{path.stem}" for path in sorted((PACKAGE / "cli").glob("*.py")) if path.stem != "__init__"]
    code = f"import sys\nfor name in {['vidtrans.requests', 'vidtrans.config.recipe', *names]}: __import__(name)\n"
    code += f"print(*({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("folder", ["cli", "pipeline"])
def test_no_module_of_commands_imports_anything_heavy_itself_at_start(folder: str) -> None:
    found = []
    for path in sorted((PACKAGE / folder).glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path.name}: {name}" for name in names if name.partition(".")[0] in HEAVY]
    assert found == []
