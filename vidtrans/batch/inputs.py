"""The inputs of a batch: expand paths to source clips, match clips by name, and name the results."""

from __future__ import annotations

import glob
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vidtrans.core.errors import UsageError
from vidtrans.core.files import base_name
from vidtrans.core.mask_files import MaskFile, parse_mask
from vidtrans.core.system import name_key, path_as_stored, path_key
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

# Picklable function that makes a result, called with a context; it returns the result's table
Work = Callable[["Context"], "Table"]
GLOB_CHARACTERS = re.compile(r"[*?\[]")  # A character that makes a path a glob pattern: *, ? or [


@dataclass(frozen=True)
class Item:
    """An item of a batch: a ``source``, its ``output``, and the picklable ``work`` that makes the output.

    ``divide``: a picklable function, called with a context and a ``count`` of parts; it returns a ``Division``, or None
    if the item must stay whole. ``size``: relative amount of work, for estimates of the remaining time: bytes of the
    source, or training steps. ``name``: prefix of messages, if the source does not identify the item.
    """

    source: Path
    output: Path | None
    work: Callable[[Context], Table] = field(repr=False)
    size: int = 0
    divide: Callable[..., Division | None] | None = field(default=None, repr=False)
    name: str = ""

    @property
    def title(self) -> str:
        """Return the item's name, or else the path of its source."""
        return self.name or str(self.source)

    def message(self, text: str) -> str:
        """Return the text of a message, with the item's name before it unless the text contains the source's name."""
        return text if not self.name and self.source.name in text else f"{self.title}: {text}"


def is_batch(paths: Sequence[Path], batch: BatchOptions) -> bool:
    """Return whether a command processes a batch: several clips, a folder, a glob pattern, or only some of the clips.

    --shard and --retry-failed select some of the clips.
    """
    return len(paths) > 1 or any(map(_expands_to_several, paths)) or batch.is_partial


def _expands_to_several(path: Path) -> bool:
    """Return whether a path is a folder with videos or a glob pattern."""
    return (path.is_dir() and bool(videos_in(path))) or _is_glob(path)


def _is_glob(path: Path) -> bool:
    """Return whether a path is a glob pattern, and not an existing file or numbered pictures (%05d)."""
    return bool(GLOB_CHARACTERS.search(str(path))) and not path.exists() and not is_pattern(path)


def videos_in(folder: Path) -> list[Path]:
    """Return the videos in a folder, in natural order, without hidden files."""
    videos = (p for p in folder.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES and not p.name.startswith("."))
    return in_natural_order(p for p in videos if p.is_file())


def expand_sources(paths: Sequence[Path], *, whole_folders: bool = False) -> list[Path]:
    """Expand files, folders and globs to sources, in order, without duplicates.

    A folder with videos expands to its videos; any other folder is one source, a picture sequence. ``whole_folders``:
    every folder is one source. Globs expand as in a shell. Raises UsageError if a glob matches nothing.
    """
    sources: dict[str, Path] = {}
    for path in paths:
        for source in _sources_of(path, whole_folders):
            sources.setdefault(path_key(source), source)
    return list(sources.values())


def _sources_of(path: Path, whole_folders: bool) -> list[Path]:
    """Return the sources that one path stands for; see ``expand_sources``."""
    path = path_as_stored(path)
    if path.is_dir() and not whole_folders:
        return videos_in(path) or [path]
    if not _is_glob(path):
        return [path]
    patterns = dict.fromkeys([str(path), *(unicodedata.normalize(form, str(path)) for form in ("NFC", "NFD"))])
    matches = {Path(match) for pattern in patterns for match in glob.glob(pattern, recursive=True)}
    matched = in_natural_order(matches)
    if not matched:
        raise UsageError(str(path), "nothing matches it", "check the name; ** reaches into folders within folders")
    return [source for match in matched for source in _sources_of(match, whole_folders)]


def exclude_results(sources: Sequence[Path], output_of: Callable[[Path], Path]) -> list[Path]:
    """Return the sources that are not results of other sources in the list, made by an earlier run.

    ``output_of``: returns the path of a source's result.
    """
    results = {path_key(output_of(source)) for source in sources}
    return [source for source in sources if path_key(source) not in results]


def clips_with_endings(paths: Sequence[Path], name: str, folder: Path | None, recipe: Recipe) -> dict[Path, str]:
    """Expand files, folders and globs to clips; return each clip with the ending of its result's name: ``.NAME.mp4``.

    ``name``: the command's part of the ending. ``recipe``: its codec chooses the extension. ``folder``: the folder of
    the results, None: beside the clips. A clip that is the result of another clip is excluded, unless all clips were
    named. Raises UsageError.
    """
    clips = expand_sources(paths)
    endings = {clip: _ending(clip, name, recipe) for clip in clips}
    if clips != list(paths):
        folders = {clip: source_folder(clip) if folder is None else folder for clip in clips}
        clips = exclude_results(clips, lambda clip: folders[clip] / f"{base_name(clip)}{endings[clip]}")
    return {clip: endings[clip] for clip in clips}


def place_beside(clip: Path, name: str, recipe: Recipe) -> Path:
    """Return the path of a clip's result in the clip's folder: ``clip.NAME.mp4``. Raises UsageError for a link."""
    return refuse_link(source_folder(clip) / f"{base_name(clip)}{_ending(clip, name, recipe)}")


def _ending(clip: Path, name: str, recipe: Recipe) -> str:
    """Return the ending of the name of a clip's result, after the clip's name: ``.NAME.mp4``."""
    return default_ending(clip, [name], recipe.settings("encoding", EncodingSettings))


def source_folder(source: Path) -> Path:
    """Return the folder that contains a source, or, for numbered pictures (frames/%05d.png), its pictures' folder."""
    return source.parent if source.exists() else source.parent.parent


def bytes_of(source: Path) -> int:
    """Return the size in bytes of a file, or of all files in a folder; 0 if it cannot be read."""
    try:
        return sum(p.stat().st_size for p in source.iterdir()) if source.is_dir() else source.stat().st_size
    except OSError:
        return 0


def match_clips(outputs: Sequence[Path], candidates: Path, noun: str) -> list[Path]:
    """Return, for each of ``outputs``, the clip in ``candidates`` with a matching name.

    ``noun``: the noun for such a clip in errors. ``candidates``: one clip for all outputs, or a folder or glob. Of
    several clips, the clip matches whose name is the longest prefix of the output's name (in.mov for in.x.mp4). Raises
    UsageError if no clip matches.
    """
    if not _expands_to_several(candidates):
        return [candidates] * len(outputs)
    clips = expand_sources([candidates])
    matched = []
    for path in outputs:
        name = base_name(path)
        others = [clip for clip in clips if path_key(clip) != path_key(path)]
        matches = [clip for clip in others if _starts_with_name(name, base_name(clip))]
        if not matches:
            why = f"{candidates} holds no clip with a matching name for {noun}"
            raise UsageError(str(path), why, "begin its name with its source's name")
        matched.append(max(matches, key=lambda clip: len(base_name(clip))))
    return matched


def match_clip(output: Path, candidates: Path, noun: str) -> Path:
    """Return the clip that matches ``output`` by name, if ``candidates`` is a glob or a folder of videos.

    Other ``candidates`` are one clip, which is returned. ``candidates``, ``noun``: as for ``match_clips``.
    """
    is_folder = candidates.is_dir() and bool(videos_in(candidates)) and not pictures_in(candidates)
    return match_clips([output], candidates, noun)[0] if is_folder or _is_glob(candidates) else candidates


def mattes_for(clips: Sequence[Path], path: Path, option: str, name: str = "") -> list[Path]:
    """Return the matte of each clip: ``path`` itself, or in a folder ``path`` the video with the clip's name.

    Such a video is in.matte.mkv for the clip in.mov, or in.matte.man.mkv for the object with the ``name`` "man".
    ``option``: the option that gave ``path``, for errors. Raises UsageError if a clip has no matte, or several.
    """
    mattes = videos_in(path) if path.is_dir() and not pictures_in(path) else []
    if not mattes:
        return [path] * len(clips)
    names = {matte: name_key(base_name(matte)) for matte in mattes}
    chosen = []
    for clip in clips:
        clip_name = name_key(base_name(clip))
        exact = (f"{clip_name}.matte.{name}", f"{clip_name}.{name}") if name else ()
        exact = (*exact, f"{clip_name}.matte", clip_name)
        others = [matte for matte in mattes if path_key(matte) != path_key(clip)]
        matches = next((ms for text in exact if (ms := [m for m in others if names[m] == text])), [])
        matches = matches or [matte for matte in others if _starts_with_name(names[matte], clip_name)]
        if len(matches) != 1:
            why = f"{path} holds {'several' if matches else 'none'} for {clip.name}"
            raise UsageError(option, why, f"name the matte as the clip: {clip_name}.matte.mkv")
        chosen += matches
    return chosen


def masks_for(clips: Sequence[Path], text: str, option: str) -> list[MaskFile]:
    """Return the mask of each clip: one found in its pictures, the same file for all, or the video with its name.

    ``text``: the value of an ``option``, as ``parse_mask`` reads it. Raises UsageError; see ``mattes_for``.
    """
    mask = parse_mask(text)
    if mask.terms:
        return [mask] * len(clips)
    return [replace(mask, path=path) for path in mattes_for(clips, mask.path, option)]


def _starts_with_name(name: str, start: str) -> bool:
    """Return whether a name starts with the name ``start``, and no letter or digit follows."""
    name, start = name_key(name), name_key(start)
    return name.startswith(start) and not name[len(start) : len(start) + 1].isalnum()


def make_items(
    sources: Sequence[Path], folder: Path | None, endings: Sequence[str], work: Callable[[Path, Path], Work]
) -> list[Item]:
    """Return an item for each source, with a unique output in ``folder`` (None: beside the source).

    ``endings``: the ending of each output's name, such as ``.x.mp4``. ``work``: a function that is called with a source
    and its output, and returns the work of the item. Raises UsageError.
    """
    check_folder(folder or Path())
    ending_of = dict(zip(sources, endings, strict=True))
    folders = {source: source_folder(source) if folder is None else folder for source in sources}
    by_folder = {place: [source for source in sources if folders[source] == place] for place in folders.values()}
    outputs = {
        source: refuse_link(place / name)
        for place, group in by_folder.items()
        for source, name in zip(group, result_names(group, [ending_of[source] for source in group]), strict=True)
    }
    return [Item(source, outputs[source], work(source, outputs[source]), bytes_of(source)) for source in sources]


def check_folder(folder: Path) -> None:
    """Raise UsageError if the folder for a batch's results is a file, or has the extension of a media file."""
    check_parents(folder)
    if (folder.exists() and not folder.is_dir()) or folder.suffix.lstrip(".") in ENDINGS:
        raise UsageError(
            str(folder),
            "several clips, a folder of clips or a pattern have a folder of results",
            "give a folder name with -o",
        )


def result_names(sources: Sequence[Path], endings: Sequence[str]) -> list[str]:
    """Return a unique file name for the result of each source: the source's name and an ending.

    Equal names get the source's extension (a-mov.x.mp4), its folder (cam1-a.x.mp4), both, or more folders. Names do not
    depend on the order of the sources.
    """
    levels = [0] * len(sources)
    while True:
        names = [_stem(s, level) + end for s, level, end in zip(sources, levels, endings, strict=True)]
        by_name: dict[str, list[int]] = {}
        for number, name in enumerate(names):
            by_name.setdefault(name_key(name).casefold(), []).append(number)  # Some file systems ignore case.
        groups = [group for group in by_name.values() if len(group) > 1]
        ambiguous = [n for group in groups for n in group if _stem(sources[n], levels[n] + 1)]
        if not ambiguous:
            for group in groups:  # The names of the folders differ only in punctuation.
                for count, number in enumerate(group[1:], 2):
                    names[number] = f"{names[number].removesuffix(endings[number])}-{count}{endings[number]}"
            return names
        for number in ambiguous:
            levels[number] += 1


def _stem(source: Path, level: int) -> str:
    """Return the name of a source's result, without its ending: the source's name, and parts of its path.

    '' if the path has too few folders. ``level``: 0: the source's name; 1: also its extension; 2: also its folder; 3:
    both; higher: more folders.
    """
    num_folders, with_extension = divmod(level, 2)
    folders = source.resolve().parent.parts[1:]
    if num_folders > len(folders):
        return ""
    extension = f"-{source.suffix.lstrip('.')}" if with_extension else ""
    prefixes = [re.sub(r"[^\w.-]+", "_", part) for part in folders[len(folders) - num_folders :]]
    return "-".join([*prefixes, base_name(source)]) + extension
