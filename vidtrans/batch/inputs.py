"""The inputs of a batch: its sources, the names of the results, and the items of this run."""

from __future__ import annotations

import glob
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vidtrans.core.errors import UsageError
from vidtrans.core.files import base_name
from vidtrans.core.system import as_found, name_key, path_key
from vidtrans.output.result import check_parents, refuse_link
from vidtrans.rendering.requested_output import default_ending
from vidtrans.video.io.encoding import ENDINGS, EncodingSettings
from vidtrans.video.io.picture_paths import VIDEO_SUFFIXES, in_natural_order, is_pattern, pictures_in

if TYPE_CHECKING:
    from vidtrans.batch.batch_options import BatchOptions
    from vidtrans.config.recipe import Recipe
    from vidtrans.core.settings import Table
    from vidtrans.rendering.parts import Division
    from vidtrans.session import Context

Work = Callable[["Context"], "Table"]  # picklable
MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Item:
    """A job of a batch: a ``source``, its ``output``, and the picklable ``work`` that makes it.

    ``divide``, picklable too, is called with a context, a ``count`` of parts, and whether the workers have
    ``no_shared_disk``; it returns a ``Division``, or None to leave the item whole. ``size``: relative amount of work,
    for the remaining time: bytes of the source, steps of a training. ``name``: prefix of messages, if the source does
    not identify the job.
    """

    source: Path
    output: Path | None
    work: Callable[[Context], Table] = field(repr=False)
    size: int = 0
    divide: Callable[..., Division | None] | None = field(default=None, repr=False)
    name: str = ""

    @property
    def title(self) -> str:
        """Return the item's name in messages."""
        return self.name or str(self.source)

    def message(self, text: str) -> str:
        """Return a message that names the item."""
        return text if not self.name and self.source.name in text else f"{self.title}: {text}"


def is_several(paths: Sequence[Path], batch: BatchOptions) -> bool:
    """Return whether ``paths`` may expand to several sources, or a part of a batch is requested."""
    return len(paths) > 1 or any(map(_stands_for_many, paths)) or batch.is_partial


def _stands_for_many(path: Path) -> bool:
    return (path.is_dir() and bool(_videos_in(path))) or _is_glob(path)


def _is_glob(path: Path) -> bool:
    return bool(MAGIC.search(str(path))) and not path.exists() and not is_pattern(path)


def _videos_in(folder: Path) -> list[Path]:
    """Return the videos in a folder, in natural order, without hidden files."""
    found = (p for p in folder.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES and not p.name.startswith("."))
    return in_natural_order(p for p in found if p.is_file())


def expand_sources(paths: Sequence[Path], *, whole_folders: bool = False) -> list[Path]:
    """Return the sources that files, folders and globs expand to, in order, without duplicates.

    A folder with videos expands to its videos; another folder is one source, a picture sequence. ``whole_folders``:
    every folder is one source. Globs expand as in a shell. Raises UsageError if a glob matches nothing.
    """
    sources: dict[str, Path] = {}
    for path in paths:
        for source in _sources_of(path, whole_folders):
            sources.setdefault(path_key(source), source)
    return list(sources.values())


def _sources_of(path: Path, whole_folders: bool) -> list[Path]:
    path = as_found(path)
    if path.is_dir() and not whole_folders:
        return _videos_in(path) or [path]
    if not _is_glob(path):
        return [path]
    patterns = dict.fromkeys([str(path), *(unicodedata.normalize(form, str(path)) for form in ("NFC", "NFD"))])
    matches = {Path(match) for pattern in patterns for match in glob.glob(pattern, recursive=True)}
    matched = in_natural_order(matches)
    if not matched:
        raise UsageError(str(path), "nothing matches it", "check the name; ** reaches into folders within folders")
    return [source for match in matched for source in _sources_of(match, whole_folders)]


def exclude_results(sources: Sequence[Path], output_of: Callable[[Path], Path]) -> list[Path]:
    """Return the sources except those that are the output of another source, made by an earlier run."""
    results = {path_key(output_of(source)) for source in sources}
    return [source for source in sources if path_key(source) not in results]


def clips_with_endings(paths: Sequence[Path], name: str, folder: Path | None, recipe: Recipe) -> dict[Path, str]:
    """Return the clips that files, folders and globs expand to, each with its result's ending: ``.NAME.mp4``.

    A clip that is the result of another one in ``folder`` (None: beside it) is excluded, unless each clip was named.
    Raises UsageError.
    """
    clips = expand_sources(paths)
    endings = {clip: _ending(clip, name, recipe) for clip in clips}
    if clips != list(paths):
        places = {clip: folder_of(clip) if folder is None else folder for clip in clips}
        clips = exclude_results(clips, lambda clip: places[clip] / f"{base_name(clip)}{endings[clip]}")
    return {clip: endings[clip] for clip in clips}


def place_beside(clip: Path, name: str, recipe: Recipe) -> Path:
    """Return the path of a clip's result beside it: ``clip.NAME.mp4``. Raises UsageError for a link."""
    return refuse_link(folder_of(clip) / f"{base_name(clip)}{_ending(clip, name, recipe)}")


def _ending(clip: Path, name: str, recipe: Recipe) -> str:
    return default_ending(clip, [name], recipe.settings("encoding", EncodingSettings))


def folder_of(source: Path) -> Path:
    """Return the folder in which a source lies; numbered pictures (frames/%05d.png) are a source in that of theirs."""
    return source.parent if source.exists() else source.parent.parent


def bytes_of(source: Path) -> int:
    """Return the size in bytes of a file, or of the files in a folder; 0 if it cannot be read."""
    try:
        return sum(p.stat().st_size for p in source.iterdir()) if source.is_dir() else source.stat().st_size
    except OSError:
        return 0


def counterparts(outputs: Sequence[Path], given: Path, what: str) -> list[Path]:
    """Return, for each of ``outputs``, the clip that it was made from; ``what``: the noun for that clip in errors.

    ``given`` is one clip for all, or a folder or glob: then the clip whose name is the longest start of the output's
    name (in.x.mp4 and in.mov). Raises UsageError if there is none.
    """
    if not _stands_for_many(given):
        return [given] * len(outputs)
    known = expand_sources([given])
    found = []
    for path in outputs:
        name = base_name(path)
        fitting = [clip for clip in known if _begins(name, base_name(clip)) and path_key(clip) != path_key(path)]
        if not fitting:
            why = f"{given} holds no clip with a matching name for {what}"
            raise UsageError(str(path), why, "begin its name with its source's name")
        found.append(max(fitting, key=lambda clip: len(base_name(clip))))
    return found


def counterpart(output: Path, given: Path, what: str) -> Path:
    """Return the clip that an output was made from: ``given``, or one of its clips if it is a glob or video folder."""
    is_folder = given.is_dir() and bool(_videos_in(given)) and not pictures_in(given)
    return counterparts([output], given, what)[0] if is_folder or _is_glob(given) else given


def mattes_for(clips: Sequence[Path], given: Path, what: str, name: str = "") -> list[Path]:
    """Return the matte of each clip: ``given`` for all, or of a folder of videos its own (in.matte.mkv).

    ``name``: of the thing, where mattes of several lie in the folder (in.matte.man.mkv). ``what``: the option, for
    errors. Raises UsageError if a clip has none, or several.
    """
    known = _videos_in(given) if given.is_dir() and not pictures_in(given) else []
    if not known:
        return [given] * len(clips)
    named = {matte: name_key(base_name(matte)) for matte in known}
    found = []
    for clip in clips:
        own = name_key(base_name(clip))
        exact = (f"{own}.matte.{name}", f"{own}.{name}") if name else ()
        exact = (*exact, f"{own}.matte", own)
        others = [matte for matte in known if path_key(matte) != path_key(clip)]
        fitting = next((ms for start in exact if (ms := [m for m in others if named[m] == start])), [])
        fitting = fitting or [matte for matte in others if _begins(named[matte], own)]
        if len(fitting) != 1:
            why = f"{given} holds {'several' if fitting else 'none'} for {clip.name}"
            raise UsageError(what, why, f"name the matte as the clip: {own}.matte.mkv")
        found += fitting
    return found


def _begins(name: str, start: str) -> bool:
    """Return whether a name starts with another, not followed by a letter or a digit."""
    name, start = name_key(name), name_key(start)
    return name.startswith(start) and not name[len(start) : len(start) + 1].isalnum()


def make_items(
    sources: Sequence[Path], folder: Path | None, endings: Sequence[str], work: Callable[[Path, Path], Work]
) -> list[Item]:
    """Return a job for each source, with a unique output in ``folder``; ``work(source, output)`` makes its work.

    ``folder``: None: beside each source. ``endings``: for each source the ending of its output's name, such as
    ``.x.mp4``. Raises UsageError.
    """
    check_folder(folder or Path())
    ending_of = dict(zip(sources, endings, strict=True))
    folders = {source: folder_of(source) if folder is None else folder for source in sources}
    together = {place: [one for one in sources if folders[one] == place] for place in folders.values()}
    place_of = {
        source: refuse_link(place / name)
        for place, own in together.items()
        for source, name in zip(own, result_names(own, [ending_of[source] for source in own]), strict=True)
    }
    places = [place_of[source] for source in sources]
    return [Item(s, p, work(s, p), bytes_of(s)) for s, p in zip(sources, places, strict=True)]


def check_folder(folder: Path) -> None:
    """Raise UsageError if the folder for a batch's results is a file or has a media file's extension."""
    check_parents(folder)
    if (folder.exists() and not folder.is_dir()) or folder.suffix.lstrip(".") in ENDINGS:
        raise UsageError(
            str(folder),
            "several clips, a folder of clips or a pattern have a folder of results",
            "give a folder name with -o",
        )


def result_names(sources: Sequence[Path], endings: Sequence[str]) -> list[str]:
    """Return a unique file name for each source's result: the source's name and an ending.

    Equal names get the source's extension (a-mov.x.mp4), its folder (cam1-a.x.mp4), both, or more folders. Names do not
    depend on the order of the list.
    """
    chosen = [0] * len(sources)
    while True:
        names = [_stem(s, level) + end for s, level, end in zip(sources, chosen, endings, strict=True)]
        alike: dict[str, list[int]] = {}
        for number, name in enumerate(names):
            alike.setdefault(_plain(name), []).append(number)
        raised = [n for group in alike.values() if len(group) > 1 for n in group if _stem(sources[n], chosen[n] + 1)]
        if not raised:
            for group in alike.values():  # folders whose names differ only in punctuation
                for count, number in enumerate(group[1:], 2):
                    names[number] = f"{names[number].removesuffix(endings[number])}-{count}{endings[number]}"
            return names
        for number in raised:
            chosen[number] += 1


def _stem(source: Path, level: int) -> str:
    """Return a source's name, with more context at a higher level; '' if the context is exhausted."""
    further, with_ending = divmod(level, 2)
    folders = source.resolve().parent.parts[1:]
    if further > len(folders):
        return ""
    ending = f"-{source.suffix.lstrip('.')}" if with_ending else ""
    before = [re.sub(r"[^\w.-]+", "_", part) for part in folders[len(folders) - further :]]
    return "-".join([*before, base_name(source)]) + ending


def _plain(name: str) -> str:
    """Normalise a name, so that names are equal if a file system may treat them as equal."""
    return name_key(name).casefold()
