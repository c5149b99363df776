"""Check that a folder may be a cache: new, empty, or made by vidtrans."""

from __future__ import annotations

import re
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.partials import PROCESS
from vidtrans.core.system import is_too_long, path_limit
from vidtrans.store.digests import NAME as DIGESTS
from vidtrans.store.stages import STAGES

FOLDER = ".vidtrans"
TAG_FILE = "CACHEDIR.TAG"
LONGEST_INSIDE = 130  # characters behind the cache's path: a stage, a key, and a file under its temporary name
KEY = re.compile("[0-9a-f]{64}")
# What a cache holds beside the folders of its stages: files, and folders of JSON files.
FILES = (TAG_FILE, DIGESTS)
RECORDS = ("outputs", "resolved")
LOG = "log"  # and a folder of files of lines, one of each process
PARTIAL_FILE = re.compile(rf"\.(CACHEDIR|digests)\.{PROCESS}\.partial\.(TAG|jsonl)")  # of FILES, left by a killed run
LOG_FILE = re.compile(rf"{PROCESS}\.jsonl")
KEYED = re.compile(rf"\.?{KEY.pattern}(\..*)?")  # an entry, one being deleted, a record, a part of one


def check_cache_folder(root: Path) -> None:
    """Refuse a folder that is not vidtrans's: entries are deleted from a cache, and a user's files are not for that.

    Without its tag a folder is known by its name, or by what it holds: a killed run may have left it so, or a copy.

    Raises:
        UsageError: where it holds other files, or is a file, or where its path is too long.
    """
    if is_too_long(str(root), LONGEST_INSIDE):
        why = f"paths in it would have more than the {path_limit()} characters that Windows takes"
        raise UsageError(f"--cache-dir {root}", why, "give a shorter one, or switch on long paths")
    if not root.exists() or (root / TAG_FILE).is_file() or root.resolve().name == FOLDER:
        return
    if not root.is_dir():
        raise UsageError(f"--cache-dir {root}", "it is a file, not a folder", "give a new or an empty folder")
    if foreign := next((path for path in sorted(root.iterdir()) if not _is_of_cache(path)), None):
        why = f"it holds '{foreign.name}', which is not of a vidtrans cache"
        raise UsageError(f"--cache-dir {root.resolve()}", why, "give a new or an empty folder")


def _is_of_cache(path: Path) -> bool:
    """Return whether a child of a cache's folder has the name and the content that vidtrans gives it."""
    if path.is_symlink() or not path.is_dir():
        return path.name in FILES or bool(PARTIAL_FILE.fullmatch(path.name))
    form = LOG_FILE if path.name == LOG else KEYED
    return path.name in (*STAGES, *RECORDS, LOG) and all(form.fullmatch(child.name) for child in path.iterdir())
