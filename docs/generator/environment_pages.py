"""The reference of exit statuses and environment variables."""

from __future__ import annotations

import inspect
import re
import tomllib

from generator import DOCS
from generator.markdown import NOTE, cell, code, table
from vidtrans.core import errors


def environment_page() -> str:
    """Return the page with exit statuses and environment variables."""
    rows = [["0", "done, or up to date"], ["1", "a step failed, or a bug (it keeps its traceback)"]]
    raised = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.VidtransError)]
    kinds = [cls for cls in raised if cls not in (errors.VidtransError, errors.Interrupted)]
    rows += [[str(cls.exit_status), f"`{cls.__name__}`: {_said_of(cls)}"] for cls in kinds]
    rows += [["130", "`Interrupted`: stopped by Ctrl-C; finished work is saved"]]
    rows += [["143", "`Interrupted`: stopped by TERM; finished work is saved"]]
    text = f"{NOTE}# Exit statuses and environment\n\n## Exit statuses\n\n"
    text += table(["status", "what it means"], sorted(rows, key=lambda row: int(row[0])))
    described = tomllib.loads((DOCS / "environment.toml").read_text(encoding="utf-8"))
    text += f"\n## Variables\n\n{described['intro'].strip()}\n\n"
    return text + table(["variable", "what it does"], [[code(k), cell(v)] for k, v in described["variables"].items()])


def _said_of(cls: type) -> str:
    """Return what the tree in the docstring of ``errors`` says of an error class."""
    found = re.search(rf"\b{cls.__name__}\s+exit \d+\s+(.*)", errors.__doc__ or "")
    return cell(found[1]) if found else ""
