"""The reference of commands and options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import click

from generator.markdown import NOTE, cell, code, table
from vidtrans.cli.main import cli


def all_commands() -> Iterator[tuple[Any, Any]]:
    """Yield the click context of every command and subcommand, with the command."""
    root = click.Context(cli, info_name="vidtrans", auto_envvar_prefix="VIDTRANS")
    for name in cli.help_lines():
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
                rows.append([code(record[0]), default, words, code(_variable(option))])
        if rows:
            text += "\n" + table(["option", "default", "what it does", "variable"], rows)
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
        return cell(text), ""
    return cell(text[: found.start()] + text[found.end() :]), code(found[1])


def _prose(text: str | None) -> str:
    """Return a help text as Markdown: paragraphs that click may not wrap become blocks."""
    blocks = []
    for block in inspect.cleandoc(text or "").split("\n\n"):
        if block.startswith("\b"):
            blocks.append("```\n" + block.removeprefix("\b\n") + "\n```")
        else:
            blocks.append(" ".join(block.split()).replace("*", r"\*").replace("<", "&lt;"))
    return "\n\n".join(blocks)
