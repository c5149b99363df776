"""Interpret paths as sources: a picture, a folder, a pattern, a view of layers, guides; refuse unsupported formats."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from vidtrans.core.costs import count
from vidtrans.core.errors import MediaError
from vidtrans.core.files import NUMBER
from vidtrans.core.system import name_key, path_as_stored
from vidtrans.video.frame_format import FRAME_SUFFIXES, PICTURE_SUFFIXES, UNSUPPORTED_FRAMES, UNSUPPORTED_SUFFIXES
from vidtrans.video.frame_numbers import NUMBER_IN_NAME, common_frames, has_gaps, signed_names, value_of
from vidtrans.video.images.exr import read_header
from vidtrans.video.images.picture import EXR, num_pictures
from vidtrans.video.keypoints import is_keypoints, keypoint_files

# Splits a name at its numbers: shot.10.png to shot., 10 and .png.
_SPLIT_NUMBERS = re.compile(f"({NUMBER_IN_NAME.pattern})")
# Suffixes of videos in a folder of guides; files with other suffixes are ignored.
VIDEO_SUFFIXES = (
    *(".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mxf", ".mpg", ".mpeg", ".ts", ".ogv", ".wmv", ".flv"),
    *(".nut", ".gif"),
)


def split_view(path: Path) -> tuple[Path, str]:
    """Split a path at its # into the source and the text of a ``PictureView`` ('' without #): shot/depth#Z=0..80.

    A file name that begins with #, as in shot/#Z, is a view of the folder. Of several #, the last one after the name of
    an existing file or folder counts, else the first. A # before the number of a pattern, as in sh#%04d.png, belongs to
    the name.
    """
    if "#" not in path.name or path.exists():
        return path, ""
    names = path.name.split("#")
    pairs = [("#".join(names[:n]), "#".join(names[n:])) for n in range(1, len(names))]
    splits = [
        (path_as_stored(path.with_name(n)) if n else path.parent, view) for n, view in pairs if not NUMBER.search(view)
    ]
    return next((split for split in reversed(splits) if split[0].exists()), splits[0] if splits else (path, ""))


def is_picture(path: Path) -> bool:
    """Return whether a file name has the suffix of a picture format."""
    return split_view(path)[0].suffix.lower() in PICTURE_SUFFIXES


def is_frame(path: Path) -> bool:
    """Return whether a file name has the suffix of a format that is read as a frame of a folder."""
    return path.suffix.lower() in FRAME_SUFFIXES and not path.name.startswith(".")


def in_natural_order(paths: Iterable[Path]) -> list[Path]:
    """Sort paths by their names and the numbers in them: shot.-1.png, shot.2.png, shot.10.png."""
    ordered = sorted(paths)  # First by name, so that 01.png and 1.png have the same order on every file system
    names = list({part for path in ordered for part in path.parts})

    def sort_key(signed: str) -> list[tuple[int, int | str]]:
        """Return the sort key of a name: its texts in lower case and the values of its numbers, in order."""
        parts = _SPLIT_NUMBERS.split(signed)
        return [(0, value_of(part)) if NUMBER_IN_NAME.fullmatch(part) else (1, part.lower()) for part in parts]

    keys = {name: sort_key(signed) for name, signed in zip(names, signed_names(names), strict=True)}
    return sorted(ordered, key=lambda path: [keys[part] for part in path.parts])


def is_pattern(path: Path) -> bool:
    """Return whether a path is a pattern of numbered pictures, as frames/%05d.png, and not an existing file."""
    path, _ = split_view(path)
    return bool(NUMBER.search(path.name)) and is_frame(path) and not path.exists()


def is_picture_source(path: Path) -> bool:
    """Return whether a source consists of pictures: a picture, a folder, a pattern, or keypoints to draw."""
    source = split_view(path)[0]
    return is_picture(path) or source.is_dir() or is_pattern(path) or is_keypoints(source)


def is_picture_sequence(path: Path) -> bool:
    """Return whether a path may hold several pictures: a folder, a pattern, or a file with several."""
    return split_view(path)[0].is_dir() or is_pattern(path) or is_stack(path)


def is_stack(path: Path) -> bool:
    """Return whether a file holds several pictures: a TIFF stack, an animated PNG or WebP, or a file of keypoints."""
    return num_pictures(split_view(path)[0]) > 1 or is_pose_file(path)


def is_pose_file(path: Path) -> bool:
    """Return whether a path is a single file of keypoints, not a folder of them."""
    source = split_view(path)[0]
    return not source.is_dir() and is_keypoints(source)


def format_number(pattern: str, number: int) -> str:
    """Return the file name of a number in a pattern: 00007.png for 7 in %05d.png."""
    return NUMBER.sub(lambda found: str(number).zfill(int(found["digits"] or 1)), pattern, count=1)


def numbered_files(pattern: Path) -> list[tuple[int, Path]]:
    """Return (number, file) for the files of a pattern, in order; −3 for %04d is -003, or with Blender -0003."""
    number = NUMBER.search(pattern.name)
    assert number is not None
    min_digits = int(number["digits"] or 1)
    before, after = (
        re.escape(name_key(part)) for part in (pattern.name[: number.start()], pattern.name[number.end() :])
    )
    digits = f"-?(?:[0-9]{{{min_digits}}}|[1-9][0-9]{{{min_digits},}})|-[0-9]{{{max(1, min_digits - 1)}}}"
    name = re.compile(f"{before}({digits}){after}")
    files = pattern.parent.iterdir() if pattern.parent.is_dir() else ()
    return sorted((int(match[1]), path) for path in files if (match := name.fullmatch(name_key(path.name))))


def picture_files(path: Path) -> list[Path]:
    """Return the picture files of a source, in order: the file itself, or the files of a folder or a pattern.

    For a folder of keypoints, they are the keypoint files.
    """
    path, _ = split_view(path)
    if path.is_dir():
        return keypoint_files(path) if is_keypoints(path) else pictures_in(path)
    return [file for _, file in numbered_files(path)] if is_pattern(path) else [path]


def pictures_in(folder: Path) -> list[Path]:
    """Return the picture files of a folder in natural order, without hidden files."""
    return in_natural_order(p for p in folder.iterdir() if is_frame(p) and p.is_file())


def unsupported_pictures_in(folder: Path) -> list[Path]:
    """Return the pictures of a folder in formats that vidtrans does not read, in natural order."""
    paths = (p for p in folder.iterdir() if p.suffix.lower() in UNSUPPORTED_FRAMES and not p.name.startswith("."))
    return in_natural_order(paths)


def check_supported_format(path: Path) -> None:
    """Raise MediaError if a file or pattern has the suffix of an unsupported picture format."""
    if path.suffix.lower() in UNSUPPORTED_SUFFIXES and not path.is_dir():
        raise _unsupported_error(path, "", path.suffix)


def _unsupported_error(path: Path, prefix: str, suffix: str) -> MediaError:
    """Return the MediaError for a picture format that is not read; ``prefix``: a text before the format's name."""
    ending = suffix.lower().lstrip(".")
    remedy = "save the picture as PNG or EXR"
    if ending in ("dpx", "cin"):  # These formats are mostly log-encoded
        remedy = f"make it display-ready, then convert it: ffmpeg -i %04d.{ending} -pix_fmt rgb48be %04d.png"
    return MediaError(str(path), f"{prefix}{ending.upper()} is not read here", remedy)


def files_to_read(path: Path) -> list[Path]:
    """Return the picture files of a source. Raises MediaError where there are none."""
    if files := picture_files(path):
        return files
    if path.is_dir():
        if unsupported := unsupported_pictures_in(path):
            raise _unsupported_error(path, f"{unsupported[0].name} …: ", unsupported[0].suffix)
        if videos := [x for x in sorted(path.iterdir()) if x.suffix.lower() in VIDEO_SUFFIXES and x.is_file()]:
            why = f"a folder of {count(len(videos), 'video')}, where one clip is expected"
            raise MediaError(str(path), why, f"name the video, as {videos[0]}")
        remedy = "give a video, a picture, or a folder of pictures"
        raise MediaError(str(path), "no pictures in this folder", remedy)
    others = pictures_in(path.parent)[:1] if path.parent.is_dir() else []
    remedy = f"the folder has {others[0].name}" if others else "check the folder"
    raise MediaError(str(path), "no pictures match the pattern", remedy)


def find_guides(folder: Path) -> dict[str, Path]:
    """Return the guides of a folder by name, sorted: each subfolder of pictures, and each video.

    Raises MediaError where two guides (folder and video, or two videos) have the same name.
    """
    guides: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda path: name_key(path.name)):
        is_video = path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES
        if path.name.startswith(".") or not (is_video or (path.is_dir() and pictures_in(path))):
            continue
        name = name_key(path.stem if is_video else path.name)
        if name in guides:
            why = f"'{guides[name].name}' and '{path.name}' would both be guide '{name}'"
            raise MediaError(str(folder), why, "rename or move one of them")
        guides[name] = path
    return guides


def find_guide_paths(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Return the paths of the guides ``names`` by name, in this order, with # and view if any. Raises MediaError."""
    available = find_guides(folder) if folder.is_dir() else {}
    paths: dict[str, Path] = {}
    for name in names:
        source, sign, view = name_key(name).partition("#")
        if source not in available and (source or not pictures_in(folder)):
            listed = f"it has {', '.join(available)}" if available else "it has none"
            raise MediaError(str(folder), f"no guide '{source}' in it ({listed})", "name its folders like the guides")
        path = available.get(source, folder / "")
        if sign:
            path = path.with_name(path.name + sign + view) if source else folder / (sign + view)
        paths[name] = path
    return paths


def guide_files(folder: Path, names: Sequence[str]) -> dict[str, list[Path]]:
    """Return for each guide the pictures of the frames that all guides have; [] for each if one guide is a video.

    Raises MediaError where no frame is in all guides, or where pictures have gaps and another guide is a video.
    """
    guides = find_guide_paths(folder, names)
    files = {name: picture_files(path) if is_picture_sequence(path) else [] for name, path in guides.items()}
    if not all(files.values()):
        incomplete = next((name for name, paths in files.items() if has_gaps([p.name for p in paths])), None)
        if incomplete is not None:
            why = f"frames are missing in guide '{incomplete}', and other guides are videos"
            raise MediaError(str(guides[incomplete]), why, "add the missing pictures, or give pictures of all guides")
        return {name: [] for name in names}
    common = common_frames([[p.name for p in paths] for paths in files.values()])
    if not common:
        raise MediaError(str(folder), "no frame is in all of its guides", "give their pictures the same numbers")
    return {name: [paths[n] for n in numbers] for (name, paths), numbers in zip(files.items(), common, strict=True)}


def exr_layer_names(folder: Path) -> list[str]:
    """Return the names of the layers of a folder's OpenEXR pictures, from the header of the first picture."""
    files = [path for path in pictures_in(folder) if path.suffix.lower() == EXR] if folder.is_dir() else []
    return [layer.name for layer in read_header(files[0]).layers() if layer.name] if files else []
