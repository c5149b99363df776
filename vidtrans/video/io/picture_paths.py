"""Paths as sources: a picture, a folder, a pattern, a view of layers, guides; formats that are not read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from vidtrans.core.costs import count
from vidtrans.core.errors import MediaError
from vidtrans.core.files import NUMBER
from vidtrans.core.system import as_found, name_key
from vidtrans.video.frame_format import FRAME_SUFFIXES, PICTURE_SUFFIXES, UNREAD_FRAMES, UNREAD_SUFFIXES
from vidtrans.video.frame_numbers import RUN, common_frames, has_gaps, signed_names, value_of
from vidtrans.video.images.exr import read_header
from vidtrans.video.images.picture import EXR, num_pictures
from vidtrans.video.keypoints import is_keypoints, keypoint_files

_PARTS = re.compile(f"({RUN.pattern})")
# Other files in a folder of guides are ignored.
VIDEO_SUFFIXES = (
    *(".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mxf", ".mpg", ".mpeg", ".ts", ".ogv", ".wmv", ".flv"),
    *(".nut", ".gif"),
)


def split_view(path: Path) -> tuple[Path, str]:
    """Split a path at its # into the source and the text of an ``PictureView`` ('' without #): shot/depth#Z=0..80.

    A file name that begins with #, as in shot/#Z, is a view of the folder. Of several #, the last one behind the name
    of an existing file or folder counts, else the first. A # before the number of a pattern, as in sh#%04d.png, is part
    of the name.
    """
    if "#" not in path.name or path.exists():
        return path, ""
    names = path.name.split("#")
    parts = [("#".join(names[:n]), "#".join(names[n:])) for n in range(1, len(names))]
    splits = [(as_found(path.with_name(n)) if n else path.parent, view) for n, view in parts if not NUMBER.search(view)]
    return next((split for split in reversed(splits) if split[0].exists()), splits[0] if splits else (path, ""))


def is_picture(path: Path) -> bool:
    """Return whether a file name has the ending of a picture."""
    return split_view(path)[0].suffix.lower() in PICTURE_SUFFIXES


def is_frame(path: Path) -> bool:
    """Return whether a file name has the ending of a picture of a folder."""
    return path.suffix.lower() in FRAME_SUFFIXES and not path.name.startswith(".")


def in_natural_order(paths: Iterable[Path]) -> list[Path]:
    """Return paths in the order of their names and the numbers in these: shot.-1.png, shot.2.png, shot.10.png."""
    found = sorted(paths)  # so that 01.png and 1.png have an order too, the same on every file system
    names = list({part for path in found for part in path.parts})
    keys = {
        name: [(0, value_of(part)) if RUN.fullmatch(part) else (1, part.lower()) for part in _PARTS.split(signed)]
        for name, signed in zip(names, signed_names(names), strict=True)
    }
    return sorted(found, key=lambda path: [keys[part] for part in path.parts])


def is_pattern(path: Path) -> bool:
    """Return whether a path is a pattern of numbered pictures, frames/%05d.png, and not an existing file."""
    path, _ = split_view(path)
    return bool(NUMBER.search(path.name)) and is_frame(path) and not path.exists()


def is_picture_source(path: Path) -> bool:
    """Return whether a source consists of pictures: a picture, a folder, a pattern, or keypoints, which are drawn."""
    source = split_view(path)[0]
    return is_picture(path) or source.is_dir() or is_pattern(path) or is_keypoints(source)


def is_picture_sequence(path: Path) -> bool:
    """Return whether a path stands for any number of pictures: a folder, a pattern, or a file of many."""
    return split_view(path)[0].is_dir() or is_pattern(path) or is_stack(path)


def is_stack(path: Path) -> bool:
    """Return whether a file holds several pictures: a TIFF stack, an animated PNG or WebP, keypoints of a clip."""
    return num_pictures(split_view(path)[0]) > 1 or is_pose_file(path)


def is_pose_file(path: Path) -> bool:
    """Return whether a path is a file of keypoints."""
    source = split_view(path)[0]
    return not source.is_dir() and is_keypoints(source)


def format_number(pattern: str, number: int) -> str:
    """Return the file name for a number in a pattern."""
    return NUMBER.sub(lambda found: str(number).zfill(int(found["digits"] or 1)), pattern, count=1)


def numbered_files(pattern: Path) -> list[tuple[int, Path]]:
    """Return the files of a pattern in order, with their numbers; -3 for %04d is -003, or with Blender -0003."""
    number = NUMBER.search(pattern.name)
    assert number is not None
    least = int(number["digits"] or 1)
    before, after = (
        re.escape(name_key(part)) for part in (pattern.name[: number.start()], pattern.name[number.end() :])
    )
    digits = f"-?(?:[0-9]{{{least}}}|[1-9][0-9]{{{least},}})|-[0-9]{{{max(1, least - 1)}}}"
    name = re.compile(f"{before}({digits}){after}")
    files = pattern.parent.iterdir() if pattern.parent.is_dir() else ()
    return sorted((int(match[1]), path) for path in files if (match := name.fullmatch(name_key(path.name))))


def picture_files(path: Path) -> list[Path]:
    """Return the picture files of a source, in order: the file itself, or those of a folder or a pattern.

    Those of a folder of keypoints are the files that are drawn.
    """
    path, _ = split_view(path)
    if path.is_dir():
        return keypoint_files(path) if is_keypoints(path) else pictures_in(path)
    return [file for _, file in numbered_files(path)] if is_pattern(path) else [path]


def pictures_in(folder: Path) -> list[Path]:
    """Return the picture files of a folder in natural order, without hidden files."""
    return in_natural_order(p for p in folder.iterdir() if is_frame(p) and p.is_file())


def unread_in(folder: Path) -> list[Path]:
    """Return the pictures of a folder in formats that vidtrans does not read, in natural order."""
    found = (p for p in folder.iterdir() if p.suffix.lower() in UNREAD_FRAMES and not p.name.startswith("."))
    return in_natural_order(found)


def refuse_unread(path: Path) -> None:
    """Raise MediaError where a file or a pattern has the suffix of a picture format that vidtrans does not read."""
    if path.suffix.lower() in UNREAD_SUFFIXES and not path.is_dir():
        raise _unread(path, "", path.suffix)


def _unread(path: Path, what: str, suffix: str) -> MediaError:
    kind = suffix.lower().lstrip(".")
    remedy = "save the picture as PNG or EXR"
    if kind in ("dpx", "cin"):  # mostly log-encoded
        remedy = f"make it display-ready, then convert it: ffmpeg -i %04d.{kind} -pix_fmt rgb48be %04d.png"
    return MediaError(str(path), f"{what}{kind.upper()} is not read here", remedy)


def files_to_read(path: Path) -> list[Path]:
    """Return the picture files of a source. Raises MediaError where there are none."""
    if files := picture_files(path):
        return files
    if path.is_dir():
        if unread := unread_in(path):
            raise _unread(path, f"{unread[0].name} …: ", unread[0].suffix)
        if videos := [x for x in sorted(path.iterdir()) if x.suffix.lower() in VIDEO_SUFFIXES and x.is_file()]:
            why = f"a folder of {count(len(videos), 'video')}, where one clip is expected"
            raise MediaError(str(path), why, f"name the video, as {videos[0]}")
        remedy = "give a video, a picture, or a folder of pictures"
        raise MediaError(str(path), "no pictures in this folder", remedy)
    there = pictures_in(path.parent)[:1] if path.parent.is_dir() else []
    remedy = f"the folder has {there[0].name}" if there else "check the folder"
    raise MediaError(str(path), "no pictures match the pattern", remedy)


def find_guides(folder: Path) -> dict[str, Path]:
    """Return the guides of a folder by name, sorted: each subfolder of pictures, and each video.

    Raises MediaError where two guides (folder and video, or two videos) have the same name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda one: name_key(one.name)):
        is_video = path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES
        if path.name.startswith(".") or not (is_video or (path.is_dir() and pictures_in(path))):
            continue
        name = name_key(path.stem if is_video else path.name)
        if name in found:
            why = f"'{found[name].name}' and '{path.name}' would both be guide '{name}'"
            raise MediaError(str(folder), why, "rename or move one of them")
        found[name] = path
    return found


def choose_guides(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Return the path of each guide, in order of ``names``, with its # and view if any. Raises MediaError."""
    found = find_guides(folder) if folder.is_dir() else {}
    chosen: dict[str, Path] = {}
    for name in names:
        own, sign, view = name_key(name).partition("#")
        if own not in found and (own or not pictures_in(folder)):
            has = f"it has {', '.join(found)}" if found else "it has none"
            raise MediaError(str(folder), f"no guide '{own}' in it ({has})", "name its folders like the guides")
        whole = found.get(own, folder / "")
        chosen[name] = (whole.with_name(whole.name + sign + view) if own else folder / (sign + view)) if sign else whole
    return chosen


def guide_files(folder: Path, names: Sequence[str]) -> dict[str, list[Path]]:
    """Return for each guide the pictures of the frames that all guides have; [] for each if one guide is a video.

    Raises MediaError where no frame is in all guides, or pictures beside a video have gaps.
    """
    guides = choose_guides(folder, names)
    files = {name: picture_files(path) if is_picture_sequence(path) else [] for name, path in guides.items()}
    if not all(files.values()):
        if torn := next((name for name, own in files.items() if has_gaps([p.name for p in own])), None):
            why = f"frames are missing in guide '{torn}', and other guides are videos"
            raise MediaError(str(guides[torn]), why, "add the missing pictures, or give pictures of all guides")
        return {name: [] for name in names}
    common = common_frames([[p.name for p in own] for own in files.values()])
    if not common:
        raise MediaError(str(folder), "no frame is in all of its guides", "give their pictures the same numbers")
    return {name: [own[n] for n in numbers] for (name, own), numbers in zip(files.items(), common, strict=True)}


def layers_in(folder: Path) -> list[str]:
    """Return the names of the layers of a folder's OpenEXR pictures, from the first one."""
    files = [path for path in pictures_in(folder) if path.suffix.lower() == EXR] if folder.is_dir() else []
    return [layer.name for layer in read_header(files[0]).layers() if layer.name] if files else []
