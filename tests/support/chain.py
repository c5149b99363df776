"""The chain at toy size: what the tests of the upper rooms share."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import pytest
from documented import check_described
from processes import HANG_S

from vidtrans.cli.main import cli, run
from vidtrans.commands import COMMANDS

# A generator of a few thousand parameters on 32-pixel pictures: a step takes milliseconds.
TINY: dict[str, dict[str, Any]] = {
    "dataset": {"size": "32", "val_block_size": 3, "val_gap": 1},
    "generator": {"name": "unet-small", "channels": 8, "blocks": [0, 0, 0], "head": "pixel-shuffle"},
    "discriminator": {"name": "patchgan", "num_layers": 1, "channels": 8},
    "training": {
        "steps": 12,
        "batch_size": 2,
        "lr_warmup_steps": 2,
        "checkpoint_seconds": 1000.0,  # a run that is asked to stop saves one; tests that kill set another
        "preview_seconds": 1000.0,
    },
    "rendering": {"chunk_frames": 10},
}


def tiny_flags(*tables: str) -> list[str]:
    """TINY as command-line flags."""
    return [f"--set={t}.{k}={_toml(v)}" for t in tables or TINY for k, v in TINY[t].items()]


def quick_training(steps: int = 3) -> dict[str, dict[str, Any]]:
    """The tables of a training that ends at once, where it matters that there is a model and not how it came to be."""
    return {k: TINY[k] for k in ("generator", "discriminator")} | {"training": {**TINY["training"], "steps": steps}}


def _toml(value: Any) -> str:
    return json.dumps(value) if not isinstance(value, str) else f'"{value}"'


Done = subprocess.CompletedProcess[str]


def vidtrans(*arguments: object, expect: int = 0, env: dict[str, str] | None = None) -> Done:
    """Run the command line in this process, which saves the second that a new one takes to import torch."""
    out, err = StringIO(), StringIO()
    with patch.dict(os.environ, env or {}), redirect_stdout(out), redirect_stderr(err):
        status = run([*map(str, arguments)])
    return _as_expected(subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue()), expect)


def vidtrans_process(*arguments: object, expect: int = 0, env: dict[str, str] | None = None) -> Done:
    """Run the command line in a process of its own: where its start, its environment or its end is what is tested."""
    command = [sys.executable, "-m", "vidtrans", *map(str, arguments)]
    environment = {**os.environ, **(env or {})}
    return _as_expected(
        subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, env=environment), expect
    )


def _as_expected(done: Done, expect: int) -> Done:
    assert done.returncode == expect, f"exit {done.returncode}, not {expect}\n{done.stdout}\n{done.stderr}"
    assert expect == 1 or "Traceback" not in done.stderr, done.stderr
    return done


def vidtrans_json(*arguments: object, expect: int = 0) -> dict[str, Any]:
    """Run with --json and return the one object on standard output."""
    done = vidtrans(*arguments, "--json", expect=expect)
    return check_described(arguments, json.loads(done.stdout))


def said(capsys: pytest.CaptureFixture[str], status: int, *arguments: object) -> str:
    """Run in this process and return all that was told."""
    assert run([str(a) for a in arguments]) == status
    captured = capsys.readouterr()
    return captured.err + captured.out


def said_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """Run with --json in this process and return the object."""
    capsys.readouterr()
    assert run([*map(str, arguments), "--json"]) == 0
    return check_described(arguments, json.loads(capsys.readouterr().out))


def refuse(capsys: pytest.CaptureFixture[str], status: int, *arguments: object, dry_run: bool = True) -> str:
    """Run in this process; the command must fail in one line and change no file, with ``--dry-run`` just so."""
    before, words = snapshot(Path()), [str(a) for a in arguments]
    line = _refuse(capsys, status, words)
    if dry_run and "--dry-run" not in words and "--dry-run" in options_of(words[0]):
        assert _refuse(capsys, status, [words[0], "--dry-run", *words[1:]]) == line
    assert snapshot(Path()) == before
    return line


def _refuse(capsys: pytest.CaptureFixture[str], status: int, words: Sequence[str]) -> str:
    assert run(list(words)) == status
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line]
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("error: ")
    assert " — " in lines[0] or "see 'vidtrans" in lines[0] or "choose from" in lines[0], lines[0]
    assert captured.out == ""
    foreign = foreign_options(lines[0], words)
    assert not foreign, f"{lines[0]}: {foreign} belong to other commands"
    return lines[0]


def foreign_options(text: str, words: Sequence[str]) -> set[str]:
    """Return the options named in a message of a command, given as words, that it does not have.

    Those of another command do not count where the message names that command, nor what the user wrote.
    """
    text = text.replace("ray start --head", "")
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) - {word.partition("=")[0] for word in words}
    named -= {"--help", "--version"}  # of vidtrans itself, and of groups
    others = [name for name in COMMANDS if re.search(rf"(vidtrans |'){name}(?![\w-])|\b{name} --", text)]
    own = [name for name in COMMANDS if " ".join([*words, ""]).startswith(f"{name} ")]
    return named.difference(*(options_of(name) for name in (*own, *others)))


def options_of(command: str) -> set[str]:
    """Return the flags of a command; none of a group, or where there is none of this name."""
    found: click.Command | None = cli
    for word in command.split():
        found = found.get_command(click.Context(found), word) if isinstance(found, click.Group) else None
    flags = {flag for option in (found.params if found else ()) for flag in (*option.opts, *option.secondary_opts)}
    return flags | {"--help"} if found else flags


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, the cache left out."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and ".vidtrans" not in p.parts
    }
