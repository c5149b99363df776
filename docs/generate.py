"""Write the reference pages from the code, and the room tables and diagram of the architecture page.

    python docs/generate.py            write what has changed
    python docs/generate.py --check    list the pages that are stale; exit 1 if there are any

What a page says stands in the code: help of options and settings, summaries of registry entries, docstrings. The JSON
keys and the environment variables are described in ``docs/json_keys.toml`` and ``docs/environment.toml``.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import os
import re
import sys
import tempfile
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
PACKAGE = DOCS.parent / "vidtrans"
NOTE = "<!-- Written by docs/generate.py: change the code, not this page. -->\n\n"
BEGIN, END = "<!-- begin: docs/generate.py -->\n", "<!-- end: docs/generate.py -->"

import import_graph  # noqa: E402

import vidtrans.core.events  # noqa: E402
from vidtrans.cli.main import cli, summaries  # noqa: E402
from vidtrans.core.registry import Registry  # noqa: E402
from vidtrans.core.setting_groups import setting_fields  # noqa: E402


def main() -> int:
    """Write the pages, or check them; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a page is stale")
    check = parser.parse_args().check
    stale = {p: t for p, t in pages().items() if not p.exists() or p.read_text(encoding="utf-8") != t}
    for path, text in stale.items():
        print(path.relative_to(DOCS.parent))
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return int(check and bool(stale))


def pages() -> dict[Path, str]:
    """Return every generated page: its path and its text."""
    with _plain_surroundings():
        written = {
            "commands": commands_page(),
            "settings": settings_page(),
            "json": json_page(),
            "registries": registries_page(),
            "environment": environment_page(),
            "python": python_page(),
        }
    made = {DOCS / "reference" / f"{name}.md": text for name, text in written.items()}
    architecture = DOCS / "architecture.md"
    before, _, rest = architecture.read_text(encoding="utf-8").partition(BEGIN)
    made[DOCS / "images" / "rooms.svg"] = import_graph.draw(PACKAGE)
    made[PACKAGE / "__init__.pyi"] = stub()
    made[architecture] = before + BEGIN + rooms() + END + rest.partition(END)[2]
    return made


@contextmanager
def _plain_surroundings() -> Iterator[None]:
    """Work in an empty folder and without VIDTRANS_* variables: the defaults shown are those of the code."""
    kept, folder = dict(os.environ), Path.cwd()
    for name in [n for n in os.environ if n.startswith("VIDTRANS_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory() as empty:
        os.chdir(empty)
        try:
            yield
        finally:
            os.chdir(folder)
            os.environ.update(kept)


# Commands


def all_commands() -> Iterator[tuple[Any, Any]]:
    """Yield the click context of every command and subcommand, with the command."""
    import click

    root = click.Context(cli, info_name="vidtrans", auto_envvar_prefix="VIDTRANS")
    for name in summaries():
        command = cli.get_command(root, name)
        assert command is not None
        context = click.Context(command, parent=root, info_name=name)
        yield context, command
        if isinstance(command, click.Group):
            for sub in command.list_commands(context):
                yield (
                    click.Context(command.get_command(context, sub), parent=context, info_name=sub),
                    command.get_command(context, sub),
                )


def commands_page() -> str:
    """Return the page with every command and option, with the default in force where nothing is set."""
    text = f"{NOTE}# Commands\n\nEvery command, argument and option. `vidtrans COMMAND --help` says the same.\n"
    for context, command in all_commands():
        path = context.command_path
        usage = " ".join([path, *command.collect_usage_pieces(context)])
        level = "##" if path.count(" ") == 1 else "###"
        text += f"\n{level} {path}\n\n```\n{usage}\n```\n\n{_prose(command.help)}\n"
        rows = []
        for option in command.get_params(context):
            record = option.get_help_record(context)
            # Arguments are in the usage; only newer versions of click have records of them.
            if record and option.param_type_name == "option" and "--help" not in option.opts:
                words, default = _without_default(record[1])
                rows.append([_code(record[0]), default, words, _code(_variable(option))])
        if rows:
            text += "\n" + _table(["option", "default", "what it does", "variable"], rows)
        if command.epilog:
            text += f"\n{_prose(command.epilog)}\n"
    return text


def _variable(option: Any) -> str:
    """Return the environment variable that stands for an option; '' where there is none."""
    return str(option.envvar or "")


def _without_default(text: str) -> tuple[str, str]:
    """Split the help of an option into its words and the default."""
    found = re.search(r"\s*\[default: ([^\]]*)\]", text)
    if found is None:
        return _cell(text), ""
    return _cell(text[: found.start()] + text[found.end() :]), _code(found[1])


def _prose(text: str | None) -> str:
    """Return a help text as Markdown: paragraphs that click may not wrap become blocks."""
    blocks = []
    for block in inspect.cleandoc(text or "").split("\n\n"):
        if block.startswith("\b"):
            blocks.append("```\n" + block.removeprefix("\b\n") + "\n```")
        else:
            blocks.append(" ".join(block.split()).replace("*", r"\*").replace("<", "&lt;"))
    return "\n\n".join(blocks)


# Settings


def settings_page() -> str:
    """Return the page with every setting of every table."""
    from vidtrans.config import recipe

    text = f"{NOTE}# Settings\n\nThe tables of a preset. `--set TABLE.KEY=VALUE` sets one for a run; "
    text += "[which one counts](../guides/settings.md#which-one-counts) says what outranks what.\n"
    for table in recipe.TABLES:
        text += f"\n## [{table}]\n"
        if table in recipe.SETTINGS:
            text += f"\n{_settings(recipe.SETTINGS[table].load())}"
            continue
        registry = recipe.REGISTRIES[table].load()
        text += f"\n`name` chooses one of those below; the default is `{recipe.CHOICES[table]}`. The other keys are "
        text += "the settings of the choice.\n"
        for name, entry in registry.items():
            text += (
                f"\n### {table}.name = {name}\n\n{_cell(entry.summary)}\n\n{_settings(registry.load(name).Settings)}"
            )
    return text


def _settings(cls: type) -> str:
    """Return a table of the settings of one class."""
    rows = []
    for name, (field, hint) in setting_fields(cls).items():
        default = field.default if field.default is not MISSING else field.default_factory()  # type: ignore[misc]
        kind = getattr(hint, "__name__", "") if isinstance(hint, type) else ""
        rows.append(
            [
                _code(name),
                _code(_value(default)),
                _range(field.metadata) or _cell(kind or str(hint).replace("NoneType", "None")),
                _cell(str(field.metadata.get("help", ""))),
            ]
        )
    return _table(["key", "default", "values", "what it does"], rows) if rows else "It has no settings.\n"


def _value(value: Any) -> str:
    """Return a default as TOML writes it; None is written "none"."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    return '"none"' if value is None else f'"{value}"' if isinstance(value, str) else f"{value}"


def _range(checks: Mapping[str, Any]) -> str:
    """Return the choices or bounds of a setting in words; '' where it has none."""
    if "choices" in checks:
        return ", ".join(f"`{choice}`" for choice in checks["choices"])
    low, high = checks.get("low"), checks.get("high")
    if low is None and high is None:
        return ""
    return f"{low} to {high}" if None not in (low, high) else f"at least {low}" if high is None else f"at most {high}"


# Registries


def registries() -> Iterator[tuple[str, Registry]]:
    """Yield every registry of the package with the dotted name that it is defined by."""
    for path in sorted(PACKAGE.rglob("*.py")):
        names = re.findall(r"^([A-Z_]+)(?:: [^=]+)? = Registry\(", path.read_text(encoding="utf-8"), re.MULTILINE)
        if names:
            dotted = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
            for name in names:
                yield f"{dotted}.{name}", getattr(importlib.import_module(dotted), name)


def registries_page() -> str:
    """Return the page with every entry of every registry, the codecs and the presets."""
    from vidtrans.config.recipe import preset_names, preset_text
    from vidtrans.video.io.codecs import CODECS

    text = (
        f"{NOTE}# Registries\n\nThe names that options and settings choose from. An entry is one file and one line in "
    )
    text += "the table named here.\n"
    for dotted, registry in registries():
        rows = [[_code(name), _cell(entry.summary), _code(entry.path)] for name, entry in registry.items()]
        text += f"\n## {registry.kind[0].upper()}{registry.kind[1:]}: `{dotted}`\n\n" + _table(
            ["name", "what it is", "code"], rows
        )
    rows = [[_code(name), _cell(c.summary), ", ".join(c.containers), c.encoder] for name, c in CODECS.items()]
    text += "\n## Codec: `vidtrans.video.io.codecs.CODECS`\n\n" + _table(
        ["name", "what it is", "containers", "encoder"], rows
    )
    rows = [[_code(name), *(_cell(preset_text(name, key)) for key in ("summary", "cost"))] for name in preset_names()]
    return text + "\n## Presets: `presets/`\n\n" + _table(["name", "what it is for", "what training costs"], rows)


# JSON, environment, Python


def json_keys() -> dict[str, Any]:
    """Return the descriptions of JSON keys: ``commands`` (groups of each) and ``groups`` (keys and their words)."""
    return tomllib.loads((DOCS / "json_keys.toml").read_text(encoding="utf-8"))


def json_page() -> str:
    """Return the page with every key that ``--json`` prints."""
    described = json_keys()
    text = f"{NOTE}# JSON\n\n{described['intro'].strip()}\n\n"
    text += _table(
        ["command", "groups of keys"],
        [[_code(c), ", ".join(f"[{g}](#{g})" for g in groups)] for c, groups in described["commands"].items()],
    )
    for name, group in described["groups"].items():
        rows = [[_code(key), _cell(words)] for key, words in group["keys"].items()]
        text += f"\n## {name}\n\n{group['about']}\n\n" + _table(["key", "what it is"], rows)
    return text


def environment_page() -> str:
    """Return the page with exit statuses and environment variables."""
    from vidtrans.core import errors

    rows = [["0", "done, or up to date"], ["1", "a step failed, or a bug (it keeps its traceback)"]]
    raised = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.VidtransError)]
    kinds = [cls for cls in raised if cls not in (errors.VidtransError, errors.Interrupted)]
    rows += [[str(cls.exit_status), f"`{cls.__name__}`: {_said_of(cls, errors)}"] for cls in kinds]
    rows += [["130", "`Interrupted`: stopped by Ctrl-C; what was done is saved"]]
    rows += [["143", "`Interrupted`: stopped by TERM; what was done is saved"]]
    text = f"{NOTE}# Exit statuses and environment\n\n## Exit statuses\n\n"
    text += _table(["status", "what it means"], sorted(rows, key=lambda row: int(row[0])))
    described = tomllib.loads((DOCS / "environment.toml").read_text(encoding="utf-8"))
    text += f"\n## Variables\n\n{described['intro'].strip()}\n\n"
    return text + _table(
        ["variable", "what it does"], [[_code(k), _cell(v)] for k, v in described["variables"].items()]
    )


def _said_of(cls: type, module: Any) -> str:
    """Return what the tree in the module's docstring says of an error class."""
    found = re.search(rf"\b{cls.__name__}\s+exit \d+\s+(.*)", module.__doc__ or "")
    return _cell(found[1]) if found else ""


PYTHON = """The commands as functions, with plain arguments: paths and times may be text, and of several one may be
given as it is. Each returns the table that `--json` prints. `settings` are tables as in a preset, say
`{"training": {"lr": 4e-4}}`. Mistakes raise the errors of `vidtrans.core.errors`; where some of several clips or
trainings failed, that is `BatchError`, after all others are done."""


def python_page() -> str:
    """Return the page with the functions of the Python API and what all of them take."""
    text = f"{NOTE}# Python\n\n{PYTHON}\n"
    for name in (n for n in dir(vidtrans) if not n.startswith("_")):
        function = getattr(vidtrans, name)
        text += f"\n## {name}\n\n```python\nvidtrans.{name}{_signature(function)}\n```\n\n{_docstring(function)}\n"
    return text


def _signature(function: Any) -> str:
    """Return a function's signature, one parameter a line."""
    signature = inspect.signature(function)
    parts = [_typed(parameter, with_default=True) for parameter in signature.parameters.values()]
    at = next((i for i, p in enumerate(signature.parameters.values()) if p.kind is p.KEYWORD_ONLY), None)
    if at is not None:
        parts.insert(at, "*")
    return "(\n" + "".join(f"    {part},\n" for part in parts) + ") -> Table"


def stub() -> str:
    """Return what type checkers and editors read of the package: every command as a function, fully typed."""
    from vidtrans.commands import COMMANDS, FUNCTIONS
    from vidtrans.commands.base import function_of

    text = '''"""The commands as functions. Written by docs/generate.py: change the commands, not this file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vidtrans.core.events import Report, Stop
from vidtrans.core.settings import Table, Time

__version__: str
'''
    for name in sorted(FUNCTIONS):
        function = function_of(COMMANDS.load(FUNCTIONS[name]), name)
        parameters = inspect.signature(function).parameters.values()
        parts = [_typed(parameter) for parameter in parameters]
        at = next((i for i, p in enumerate(parameters) if p.kind is p.KEYWORD_ONLY), None)
        if at is not None:
            parts.insert(at, "*")
        doc = inspect.cleandoc(function.__doc__ or "").replace("\n", "\n    ").replace("\n    \n", "\n\n")
        lines = "".join(f"    {part},\n" for part in parts)
        text += f'\ndef {name}(\n{lines}) -> Table:\n    """{doc}"""\n'
    return text


def _typed(parameter: inspect.Parameter, *, with_default: bool = False) -> str:
    """Return a parameter as signatures have it; without its default, as a stub."""
    default = parameter.default
    if with_default and default is not parameter.empty:
        shown = (
            default.__name__
            if inspect.isfunction(default)
            else f'"{default}"'
            if isinstance(default, Path)
            else repr(default)
        )
    else:
        shown = "..."
    return f"{parameter.name}: {_type_name(parameter.annotation)}" + (
        "" if default is parameter.empty else f" = {shown}"
    )


def _type_name(kind: Any) -> str:
    """Return a type as the stub's imports name it."""
    if kind is vidtrans.core.events.Report:
        return "Report"
    args = typing.get_args(kind)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return " | ".join("None" if arg is type(None) else _type_name(arg) for arg in args)
    if args:
        return f"{typing.get_origin(kind).__name__}[{', '.join(map(_type_name, args))}]"
    return "Any" if kind is Any else str(kind.__name__)


def _docstring(thing: Any) -> str:
    return inspect.cleandoc(thing.__doc__ or "").replace("``", "`")


# Architecture


def rooms() -> str:
    """Return a table for each room: its modules and the first line of each one's docstring."""
    text = ""
    for room in [*sorted(p for p in PACKAGE.iterdir() if (p / "__init__.py").is_file()), PACKAGE]:
        inside = room.glob("*.py") if room == PACKAGE else room.rglob("*.py")
        rows = []
        for path in sorted(inside):
            line = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]
            if path.name != "__init__.py" or (line and path.parent != room):
                rows.append([_code(path.relative_to(PACKAGE).as_posix()), _cell(line.replace("``", "`"))])
        about = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
        title = "Single files" if room == PACKAGE else f"{room.name}/"
        about = "" if room == PACKAGE else f"{about.split(chr(10))[0].replace('``', '`')}\n\n"
        text += f"### {title}\n\n{about if about.strip() else ''}" + _table(["file", "what it does"], rows) + "\n"
    return text


# Markdown


def _table(headings: list[str], rows: list[list[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _code(text: str) -> str:
    """Return a text as code in a cell; '' of ''."""
    return "`" + " ".join(text.split()).replace("|", "\\|") + "`" if text else ""


def _cell(text: str) -> str:
    """Return a text that may stand in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    sys.exit(main())
