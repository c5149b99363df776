"""Check output paths: whether a result can and may be written there."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

from vidtrans.core.errors import UsageError
from vidtrans.core.files import link_target, partial_path, special_file_kind
from vidtrans.core.system import is_too_long, name_fault, name_length, name_limit, path_key, path_limit


def check_place(output: Path, sources: Sequence[Path], *, folder: bool = False) -> None:
    """Raise UsageError if a file (or a ``folder``) cannot be written at a path, or the path is a source."""
    check_parents(output)
    for source in sources:
        if output.exists() and source.exists() and output.samefile(source):
            raise UsageError(str(output), "the output is one of the inputs", "choose another name with -o")
        if folder and path_key(output) in map(path_key, source.resolve().parents):
            raise UsageError(str(output), "the output folder holds one of the inputs", "choose another place with -o")
    if special_file_kind(output):
        raise UsageError(str(output), "it is a device or a pipe, not a file", "choose another name with -o")
    if output.is_dir() and not folder:
        raise UsageError(str(output), "the output is an existing folder", "give a file name with -o")
    if output.exists() and folder and not output.is_dir():
        raise UsageError(
            str(output), "it is a file, but the result is a folder of pictures", "choose another place with -o"
        )
    target = link_target(output)
    if not folder and target.suffix.lower() != output.suffix.lower():  # the ending decides what is written
        why = f"it is a link to '{target}', which does not end in {output.suffix}"
        raise UsageError(str(output), why, "choose another name with -o, or link to a file with that ending")


def check_named(output: Path) -> None:
    """Raise UsageError if the last part of an output path is no name, as in ``..``."""
    if output.name in ("", ".."):
        raise UsageError(f"-o {output}", "it does not end in a name", "add the name of the result")


def refuse_link(output: Path) -> Path:
    """Return ``output`` if it is not a link. Call it for a path that was not given with -o.

    Raises:
        UsageError: The path is a link: whoever created it could redirect the output.
    """
    if output.is_symlink():
        why = "it is a link, and links are followed only if they are given with -o"
        raise UsageError(str(output), why, "remove it, or choose another place with -o")
    return output


def check_parents(output: Path) -> None:
    """Raise UsageError if a parent of a path is a file, or a name or a link is not valid."""
    _check_name(output)
    place = link_target(output)
    if output.is_symlink() and not place.parent.exists():
        # An unmounted disk, as a rule: no folder is made in its place.
        why = f"it is a link into '{place.parent}', which does not exist"
        raise UsageError(str(output), why, "choose another place with -o")
    for parent in place.absolute().parents:
        if parent.is_symlink() and not parent.exists():
            raise UsageError(str(output), f"'{parent}' is a link to nothing", "choose another place with -o")
        if parent.exists() and not parent.is_dir():
            raise UsageError(str(output), f"'{parent}' is a file, not a folder", "choose another place with -o")
    folder = next(parent for parent in place.absolute().parents if parent.exists())
    if not os.access(folder, os.W_OK | os.X_OK) or _takes_no_files(folder):
        raise UsageError(str(output), f"no file can be written into '{folder}'", "choose another place with -o")


def _takes_no_files(folder: Path) -> bool:
    """Return whether a folder is of a file system of the kernel, as /proc, where even root cannot write files."""
    if shutil.disk_usage(folder).total:
        return False
    try:  # some network drives do not tell their size
        with TemporaryFile(dir=folder):
            return False
    except OSError:
        return True


def _check_name(output: Path) -> None:
    """Raise UsageError if a name is too long for the file system, or links form a loop."""
    limit = name_limit(output.parent)
    for part in output.parts:
        if name_length(part) > limit:
            why = f"a name in it has {name_length(part)} bytes, and {limit} is the most"
            raise UsageError(str(output), why, "use a shorter name with -o")
        if part != output.anchor and (fault := name_fault(part)):
            raise UsageError(str(output), fault, "use another name with -o")
    if output.name and is_too_long(str(partial_path(output))):
        why = f"with its temporary name the path has more than the {path_limit()} characters that Windows takes"
        raise UsageError(str(output), why, "use a shorter path with -o, or switch on long paths in Windows")
    try:
        output.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UsageError(str(output), "it is a link back to itself", "choose another name with -o") from None
        if error.errno == errno.ENAMETOOLONG:
            raise UsageError(str(output), "the whole path is too long", "use a shorter path with -o") from None
