"""Numbers of thousands of digits and nested brackets, wherever a person or a stranger writes text: one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import click
import pytest
from chain import snapshot
from clips import moving_frames
from hypothesis import given
from hypothesis import strategies as st
from paintings import painted, write

from vidtrans.batch.batch_options import parse_shard
from vidtrans.batch.jobs import Summary
from vidtrans.cli.click_commands import FileOrName
from vidtrans.cli.main import cli, run
from vidtrans.config.recipe import Recipe, make_recipe, preset_text, read_tables
from vidtrans.core.errors import VidtransError
from vidtrans.core.files import DATASET_FILE
from vidtrans.core.settings import parse_assignment, parse_size, parse_time, parse_value
from vidtrans.curves.curve import parse_curve
from vidtrans.data.dataset import open_dataset
from vidtrans.inference.device import resolve_device
from vidtrans.rendering.settings_grid import parse_variations
from vidtrans.session import Context
from vidtrans.stylizing.clips import read_clip_list
from vidtrans.stylizing.requests import StylizeRequest
from vidtrans.training.variants import parse_sweep, sweep_variants
from vidtrans.video.io.encoding import EncodingSettings

Capsys = pytest.CaptureFixture[str]

MANY, DEEP = 5000, 3000
HOSTILE = {
    "digits": "9" * MANY,
    "negative": "-" + "9" * MANY,
    "hexadecimal": "0x" + "f" * MANY,
    "after the point": "0." + "9" * MANY,
    "exponent": "1e" + "9" * MANY,
    "large exponent": "1e999999999",
    "fraction": "1/" + "9" * MANY,
    "seconds": "9" * MANY + "s",
    "lists": "[" * DEEP + "]" * DEEP,
    "open lists": "[" * DEEP,
    "tables": "{a=" * DEEP + "1" + "}" * DEEP,
    "dotted keys": "a" + ".a" * DEEP,
    "dotted tables": "{a" + ".a" * DEEP + " = 1}",
    "parentheses": "(" * DEEP + "1" + ")" * DEEP,
    "signs": "-" * DEEP + "1",
    "keyframes": ", ".join(f"{'9' * MANY}: {n}" for n in range(3)),
    "powers": "9" + "^9" * DEEP,
    "zero bytes": "1\0" * DEEP,
    "words": "x" * MANY,
}
# Each reads a text of the user's; what they raise on purpose is a VidtransError.
PARSERS: dict[str, Callable[[str], Any]] = {
    "time": parse_time,
    "size": parse_size,
    "value": parse_value,
    "assignment": lambda text: parse_assignment(f"training.lr={text}"),
    "key": lambda text: parse_assignment(f"{text}=1"),
    "curve": lambda text: parse_curve(text, "--strength", 0, 2),
    "expression": lambda text: parse_curve(text, "--zoom"),
    "keyframed expression": lambda text: parse_curve(f"0: 1, {text}: 2", "--zoom"),
    "shard": parse_shard,
    "sweep": lambda text: parse_sweep([f"training.lr={text}"]),
    "swept key": lambda text: sweep_variants({text: [1, 2]}, {}, lambda tables: Recipe("", tables)),
    "variations": lambda text: parse_variations(f"strength={text}"),
    "fps": lambda text: EncodingSettings(fps=text).rate,
    "device": resolve_device,
    "recipe": lambda text: make_recipe(None, None, {"training": {"steps": parse_value(text)}}),
    "recipe's text": lambda text: make_recipe(None, None, {"dataset": {"size": parse_value(text)}}),
    "recipe's list": lambda text: make_recipe(None, None, {"training": {"freeze": [parse_value(text)]}}),
}
TOML = ["[training]\nlr = {}\n", "[training]\n{} = 1\n", "summary = {}\n", "[training]\nfreeze = [{}]\n"]
LIST = [
    "clips = {}\n",
    "[[clips]]\nsource = {}\n",
    *(f'{key} = {{}}\n[[clips]]\nsource = "a.mp4"\n' for key in ("model", "preset", "encoding.filter")),
    *(f'[[clips]]\nsource = "a.mp4"\n{key} = {{}}\n' for key in ("mask", "start")),
]


@pytest.mark.parametrize("parse", PARSERS.values(), ids=PARSERS)
def test_a_parser_refuses_it_or_takes_it(parse: Callable[[str], Any]) -> None:
    for name, text in HOSTILE.items():
        check_refused_in_a_line(lambda text=text: parse(text), name)


@given(st.sampled_from(sorted(PARSERS)), st.text("0123456789.:,-+eEsx/[](){}=\"' \n_atf", max_size=40))
def test_a_parser_raises_nothing_else_whatever_it_reads(name: str, text: str) -> None:
    check_refused_in_a_line(lambda: PARSERS[name](text))


def check_refused_in_a_line(read: Callable[[], Any], case: str = "") -> None:
    told = None
    try:
        read()
    except VidtransError as error:
        told = error
    assert told is None or (told.exit_status in (2, 3, 4) and len(str(told)) < 5000), case


def strange_file(form: str, text: str) -> Path:
    path = Path("strange.toml").absolute()
    path.write_text(form.replace("{}", text, 1))
    return path


@pytest.mark.parametrize("form", TOML)
def test_in_a_preset(form: str) -> None:
    for name, text in HOSTILE.items():
        path = strange_file(form, text)
        check_refused_in_a_line(lambda path=path: read_tables(path), name)
        check_refused_in_a_line(lambda path=path: preset_text(str(path), "summary"), name)
        check_refused_in_a_line(lambda path=path: make_recipe(str(path), None, {}), name)
        path.rename("vidtrans.toml")
        check_refused_in_a_line(lambda: make_recipe(None, None, {}), name)
        Path("vidtrans.toml").unlink()


LISTED = StylizeRequest(Path(), ("identity",), None, Recipe("", {}))


@pytest.mark.parametrize("form", LIST)
def test_in_a_list_of_clips(form: str) -> None:
    for name, text in HOSTILE.items():
        path = strange_file(form, text)
        read = lambda path=path: read_clip_list(path, LISTED, None, {}, Context(), Path())  # noqa: E731
        check_refused_in_a_line(read, name)


@pytest.fixture(scope="module")
def place(dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copytree(dataset_folder, folder, dirs_exist_ok=True)
    write(folder / "keys" / "2.png", painted(moving_frames(3)[2]))
    return folder


JSON = {name: HOSTILE[name] for name in ("digits", "negative", "lists", "open lists")} | {
    "objects": '{"a":' * DEEP + "1" + "}" * DEEP,
    "exponent": "1e999999999",
    "rate": '"1e999999999"',
    "long rate": json.dumps("9" * MANY),
}


@pytest.mark.parametrize("key", ["format", "key", "preset", "recipe", "size", "pairing", "sources", "frames", "rate"])
def test_in_the_index_of_a_dataset(key: str, place: Path, tmp_path: Path) -> None:
    value = json.loads((place / "clip.dataset" / DATASET_FILE).read_text())
    held = value["sources"][0] if key == "rate" else value
    held[key] = "HERE"
    for name, text in JSON.items():
        (tmp_path / DATASET_FILE).write_text(json.dumps(value).replace('"HERE"', text))
        check_refused_in_a_line(lambda: open_dataset(tmp_path), name)


def test_in_the_summary_of_a_batch(tmp_path: Path) -> None:
    summary = Summary(tmp_path, "stylize", "")
    for name, text in JSON.items():
        summary.path.write_text(text)
        check_refused_in_a_line(summary.failed, name)


# What a command needs to go beyond its options; a dry run where there is one.
NEEDED: dict[str, list[str]] = {
    "plugins": [],
    "make-dataset": ["CLIP", "-o", "made.dataset", "--dry-run"],
    "train": ["DATASET", "-o", "made.safetensors", "--dry-run"],
    "stylize": ["CLIP", "--model", "identity", "-o", "made.mp4", "--dry-run"],
    "deflicker": ["CLIP", "--source", "CLIP", "-o", "made.mp4", "--dry-run"],
    "retime": ["CLIP", "-o", "made.mp4", "--dry-run"],
    "dream": ["noise", "--model", "identity", "--frames", "2", "-o", "made.mp4", "--dry-run"],
    "try": ["CLIP", "--model", "identity", "-o", "made.png", "--dry-run"],
    "run": ["CLIP", "--apply", "CLIP", "-o", "made.mp4", "--dry-run"],
    "evaluate": ["CLIP", "--source", "CLIP", "--dry-run"],
    "compare": ["CLIP", "CLIP", "-o", "made.png", "--dry-run"],
    "vote": ["CLIP", "CLIP", "--label", "a", "--label", "b", "-o", "made.html", "--dry-run"],
    "sheet": ["CLIP", "-o", "made.png", "--dry-run"],
    "keyframes": ["CLIP", "-o", "made", "--dry-run"],
    "curves": ["0.5", "--clip", "CLIP", "-o", "made.png", "--dry-run"],
    "propagate": ["CLIP", "--keyframes", "KEYS", "-o", "made.mp4", "--dry-run"],
    "matte": ["CLIP", "--keyframes", "KEYS", "-o", "made.mkv", "--dry-run"],
    "fix": ["CLIP", "--painted", "KEYS", "-o", "made.mp4", "--dry-run"],
    "grade": ["CLIP", "CLIP", "-o", "made.cube", "--dry-run"],
    "live": ["--model", "identity", "--port", "0"],
    "studio": ["--port", "0"],
    "look": ["CLIP", "--on", "CLIP", "-o", "made.safetensors", "--dry-run"],
    "probe": ["CLIP"],
    "demo": ["--dry-run"],
    "bench": ["--dry-run"],
    "schema": [],
    "doctor": [],
}


def test_every_command_with_values_is_here() -> None:
    assert set(NEEDED) == set(cli.help_lines()) - {"batch", "model", "preset", "cache"}


def options_with_a_value(name: str) -> list[str]:
    """Every option of a command that is read as a text or a number, and not as the name of a file."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    values = [o for o in command.params if isinstance(o, click.Option) and not o.is_flag]
    found = [o.opts[0] for o in values if not isinstance(o.type, click.Path | FileOrName)]
    return [option for option in found if option not in ("--label", "--token")]  # any digits do


@pytest.mark.parametrize("command", NEEDED)
def test_in_an_option(command: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    monkeypatch.chdir(place)
    places = {"CLIP": "clip.mp4", "DATASET": "clip.dataset", "KEYS": "keys"}
    arguments = [places.get(word, word) for word in NEEDED[command]]
    before = snapshot(place)
    for option, name in product(options_with_a_value(command), ("digits", "lists")):
        text = f"training.lr={HOSTILE[name]}" if option == "--set" else HOSTILE[name]
        status = run([command, *arguments, option, text])
        told = capsys.readouterr().err
        assert status in (2, 3, 4), (option, name, told)
        assert told.splitlines()[-1].startswith("error: "), (option, name)
        assert len(told) < 5000, (option, name)
    assert snapshot(place) == before
