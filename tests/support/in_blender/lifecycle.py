"""Jobs that are cancelled, killed, and outlive their file; what the add-on refuses; what it leaves behind.

Arguments: the folder with the clips, a program that renders slowly, one that is no vidtrans, the file for the results.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import bpy
from common import MODULE, disable, enable, finish, fresh, refused

CLIPS, FAKE, OLD, RESULTS = Path(sys.argv[-4]), sys.argv[-3], sys.argv[-2], Path(sys.argv[-1])
FOLDER = RESULTS.parent / "files"


def traces() -> set[str]:
    """Return what the add-on adds to Blender."""
    found = {f"type {name}" for name in dir(bpy.types) if "vidtrans" in name.lower()}
    found |= {"property"} if hasattr(bpy.types.Scene, "vidtrans") else set()
    for name in ("load_post", "undo_post", "redo_post"):
        handlers = getattr(bpy.app.handlers, name)
        found |= {f"{name} {one}" for one in handlers if MODULE in one.__module__}
    return found | ({"operator"} if "style_strips" in dir(bpy.ops.vidtrans) else set())


def left_behind() -> list[str]:
    """Enable and disable the add-on twice; return what stays."""
    before = traces()
    for _ in range(2):
        enable()
        assert "property" in traces()
        disable()
    return sorted(traces() - before)


LEFT = left_behind()
enable(FAKE)
from vidtrans_blender import UserError, submitting  # noqa: E402
from vidtrans_blender.jobs import JobState  # noqa: E402
from vidtrans_blender.monitor import MONITOR  # noqa: E402
from vidtrans_blender.sequencer import strips_of  # noqa: E402


def clip_scene(name: str, path: Path = CLIPS / "24.mp4") -> tuple[Any, Any]:
    """Return a new scene with a strip, which is selected."""
    scene = fresh(FOLDER / name)
    scene.vidtrans.look, scene.vidtrans.whole = "pencil", True
    strip = strips_of(scene.sequence_editor).new_movie("clip", str(path), 2, 5)
    strip.select, scene.sequence_editor.active_strip = True, strip
    MONITOR.load()
    return scene, strip


def style() -> str:
    """Press the button; return its refusal."""
    return refused(bpy.ops.vidtrans.style_strips)


def wait_for_frames(count: int) -> None:
    """Wait until the job has made some frames."""
    for _ in range(400):
        MONITOR.tick()
        if (MONITOR.entries[-1].job.files(0).progress().get("done") or 0) >= count:
            return
        time.sleep(0.02)
    raise AssertionError("the job makes no frames")


def wait_for_end() -> str:
    """Wait until no job is active; return the state of the last one."""
    for _ in range(1500):
        if not MONITOR.tick():
            return MONITOR.entries[-1].state.value
        time.sleep(0.02)
    raise AssertionError("the job does not end")


def starts(name: str) -> list[str]:
    """Return the frames at which the program began."""
    return (FOLDER / name / "vidtrans" / "starts.txt").read_text().split()


def is_inserted(scene: Any) -> bool:
    """Return whether the result is in the sequencer."""
    return any("(pencil)" in one.name for one in strips_of(scene.sequence_editor))


def cancelled() -> dict[str, object]:
    """Cancel a job and resume it."""
    scene, _ = clip_scene("cancelled")
    assert style() == ""
    wait_for_frames(5)
    number = MONITOR.entries[-1].job.number
    bpy.ops.vidtrans.cancel(number=number)
    state = wait_for_end()
    bpy.ops.vidtrans.resume(number=number)
    wait_for_end()
    return {"state": state, "resumed_from_zero": starts("cancelled")[1] == "0", "inserted": is_inserted(scene)}


def killed() -> dict[str, object]:
    """Kill the process, open the file again: the job goes on."""
    clip_scene("killed")
    assert style() == ""
    bpy.ops.wm.save_mainfile()
    wait_for_frames(5)
    job = MONITOR.entries[-1].job
    os.kill(int((job.files(0).path / "pid").read_text()), signal.SIGKILL)
    state = wait_for_end()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    MONITOR.load()
    wait_for_end()
    return {"state": state, "resumed_from_zero": starts("killed")[1] == "0", "inserted": is_inserted(bpy.context.scene)}


def closed_without_saving() -> dict[str, object]:
    """Insert a result, close the file without saving it: the result can be inserted again."""
    clip_scene("closed")
    assert style() == ""
    bpy.ops.wm.save_mainfile()
    wait_for_end()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    MONITOR.load()
    MONITOR.tick()
    entry = MONITOR.entries[-1]
    state = entry.state.value
    bpy.ops.vidtrans.insert(number=entry.job.number)
    return {"state": state, "inserted": is_inserted(bpy.context.scene)}


def undone() -> dict[str, object]:
    """Undo the insertion of a result, redo it, undo it, and insert it again."""
    clip_scene("undone")
    bpy.ops.ed.undo_push(message="before")
    assert style() == ""
    bpy.ops.ed.undo_push(message="marked")
    wait_for_end()
    bpy.ops.ed.undo_push(message="inserted")
    number, states = MONITOR.entries[-1].job.number, [MONITOR.entries[-1].state.value]
    for act in (bpy.ops.ed.undo, bpy.ops.ed.redo, bpy.ops.ed.undo):
        act()
        MONITOR.tick()
        states.append(MONITOR.entries[-1].state.value + (" and there" if is_inserted(bpy.context.scene) else ""))
    bpy.ops.vidtrans.insert(number=number)
    return {"states": states, "inserted": is_inserted(bpy.context.scene)}


def twins() -> dict[str, object]:
    """Style two strips of one file at once, one of them muted, both in a meta strip that is closed."""
    scene, strip = clip_scene("twins")
    other = strips_of(scene.sequence_editor).new_movie("clip", str(CLIPS / "24.mp4"), 2, 200)
    meta = strips_of(scene.sequence_editor).new_meta("meta", 6, 1)
    for one in (strip, other):
        one.move_to_meta(meta)
        one.select = True
    other.mute, meta.select = True, False
    assert style() == ""
    wait_for_end()
    results = [one for one in strips_of(meta) if one.get("vidtrans_source")]
    files = {Path(bpy.path.abspath(one.filepath)).name for one in results}
    return {
        "places": sorted((one.frame_final_start, one.mute) for one in results),
        "files": len(files),
        "sources_are_muted": all(one.mute for one in strips_of(meta) if one.name.endswith("(source)")),
    }


def unwritable() -> str:
    """Return the refusal where the folder of results cannot be made, and check that no job is left."""
    _, strip = clip_scene("unwritable")
    (FOLDER / "unwritable" / "vidtrans").write_text("in the way")
    found = style()
    assert not strip.get("vidtrans_job")
    assert MONITOR.entries == []
    return found


def left_folders() -> list[str]:
    """Return the folders of jobs that were refused after their folder was made."""
    scene, _ = clip_scene("left")
    scene.vidtrans.options_stylize.driver_add("strength").driver.expression = "frame / 99"
    submitting.write_values, kept = refuse, submitting.write_values
    try:
        assert "no space" in style()
    finally:
        submitting.write_values = kept
    return [path.name for path in (FOLDER / "left" / "vidtrans" / "jobs").iterdir()]


def refuse(*_: object, **__: object) -> None:
    """Refuse as a full disk does."""
    raise UserError("values.csv: it cannot be written (no space left on device) — free disk space")


def refused_strip(change: Callable[[Any, Any], object]) -> str:
    """Return the refusal for a strip that was changed before the button is pressed."""
    scene, strip = clip_scene("refused")
    change(scene, strip)
    return style()


def refused_result(change: Callable[[Any, Any], object], *, whole: bool = True) -> str:
    """Return the refusal for a strip that was changed while its job ran."""
    shutil.rmtree(FOLDER / "late", ignore_errors=True)
    scene, strip = clip_scene("late")
    scene.vidtrans.whole, scene.vidtrans.handle = whole, 2
    if not whole:
        strip.frame_offset_start, strip.frame_offset_end = 20, 30
    assert style() == ""
    wait_for_frames(1)
    change(scene, strip)
    assert wait_for_end() == JobState.READY.value
    return str(MONITOR.entries[-1].job.message())


def fill_channels(scene: Any, strip: Any) -> None:
    """Put a strip into every channel."""
    for channel in range(1, 129):
        if channel != strip.channel:
            strips_of(scene.sequence_editor).new_movie(f"c{channel}", str(CLIPS / "30.mp4"), channel, 5)


def move_file(scene: Any, strip: Any) -> None:
    """Move the file of a strip while its job runs."""
    strip.filepath = "//moved.mp4"
    job = MONITOR.entries[-1].job
    job.change(target={**job.record["target"], "path": str(FOLDER / "late" / "moved.mp4")})


def with_program(path: str) -> str:
    """Return the refusal of another program: of its search, or of the job."""
    preferences = bpy.context.preferences.addons[MODULE].preferences
    preferences.program = path
    clip_scene("program")
    found = refused(bpy.ops.vidtrans.find_program)
    preferences.program = FAKE
    return found


def failing() -> str:
    """Return the message of a program that fails."""
    shutil.copy(CLIPS / "24.mp4", FOLDER / "fails.mp4")
    clip_scene("failing", FOLDER / "fails.mp4")
    assert style() == ""
    assert wait_for_end() == JobState.FAILED.value
    return MONITOR.entries[-1].text


def missing_picture() -> str:
    """Return the refusal of an image sequence with a hole."""
    scene = fresh(FOLDER / "pictures")
    folder = FOLDER / "hole"
    shutil.copytree(CLIPS / "pictures", folder)
    names = sorted(path.name for path in folder.iterdir())
    strip = strips_of(scene.sequence_editor).new_image("pictures", str(folder / names[0]), 2, 5)
    for name in names[1:]:
        strip.elements.append(name)
    (folder / names[50]).unlink()
    scene.sequence_editor.active_strip, strip.select = strip, True
    return style()


def twice() -> str:
    """Return the refusal of a second job for a strip."""
    clip_scene("twice")
    assert style() == ""
    found = style()
    wait_for_end()
    return found


def unsaved() -> str:
    """Return the refusal of a file that was never saved."""
    bpy.ops.wm.read_homefile(use_empty=True)
    scene = bpy.context.scene
    strip = strips_of(scene.sequence_editor_create()).new_movie("clip", str(CLIPS / "24.mp4"), 2, 5)
    scene.sequence_editor.active_strip, strip.select = strip, True
    scene.vidtrans.look = "pencil"
    return style()


def of_scene(*, has_camera: bool) -> str:
    """Return the refusal of a scene without camera, or of a pass that its engine lacks."""
    scene = fresh(FOLDER / "scene")
    if has_camera:
        bpy.ops.object.camera_add()
        scene.camera = bpy.context.object
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.vidtrans.pass_index = True
    return refused(bpy.ops.vidtrans.render_passes)


def odd_name() -> bool:
    """Return whether a relative path, and a name with spaces, marks and letters of other languages, work."""
    folder = FOLDER / "odd"
    folder.mkdir(parents=True)
    shutil.copy(CLIPS / "24.mp4", folder / "--Übung & 'eins' 100%.mp4")
    scene, strip = clip_scene("odd", folder / "--Übung & 'eins' 100%.mp4")
    strip.name = 'Größe/2: "a"'
    strip.filepath = "//--Übung & 'eins' 100%.mp4"
    assert style() == ""
    wait_for_end()
    found = next(one for one in strips_of(scene.sequence_editor) if "(pencil)" in one.name)
    return str(found.filepath).startswith("//") and Path(bpy.path.abspath(found.filepath)).is_file()


def refusals() -> dict[str, str]:
    """Return the refusals by their causes."""
    other = str(CLIPS / "30.mp4")
    return {
        "unsaved": unsaved(),
        "file_gone": refused_strip(lambda _, strip: setattr(strip, "filepath", "//gone.mp4")),
        "picture_gone": missing_picture(),
        "meta": refused_strip(lambda scene, strip: strip.move_to_meta(new_meta(scene, strip))),
        "locked": refused_strip(lambda _, strip: setattr(strip, "lock", True)),
        "colour_strip": refused_strip(colour_strip),
        "channels_full": refused_result(fill_channels),
        "extended": refused_result(lambda _, strip: setattr(strip, "frame_offset_start", 3), whole=False),
        "strip_gone": refused_result(lambda scene, strip: strips_of(scene.sequence_editor).remove(strip)),
        "relinked": refused_result(lambda _, strip: setattr(strip, "filepath", other)),
        "twice": twice(),
        "unwritable": unwritable(),
        "file_moved": refused_result(move_file),
        "locked_late": refused_result(lambda _, strip: setattr(strip, "lock", True)),
        "scene_renamed": refused_result(lambda scene, _: setattr(scene, "name", "other")),
        "program_gone": with_program("/nowhere/vidtrans"),
        "program_old": with_program(OLD),
        "fails": failing(),
        "no_camera": of_scene(has_camera=False),
        "index_without_cycles": of_scene(has_camera=True),
    }


def new_meta(scene: Any, strip: Any) -> Any:
    """Return a meta strip that is selected in the place of the strip."""
    meta = strips_of(scene.sequence_editor).new_meta("meta", 6, 1)
    meta.select, strip.select = True, False
    scene.sequence_editor.active_strip = meta
    return meta


def colour_strip(scene: Any, strip: Any) -> None:
    """Select a strip of a colour in the place of the strip."""
    strips = strips_of(scene.sequence_editor)
    span = {"length": 10} if bpy.app.version >= (5, 0) else {"frame_end": 11}
    strip.select = False
    scene.sequence_editor.active_strip = strips.new_effect("grey", "COLOR", 7, 1, **span)


def main() -> None:
    """Run all of it."""
    found: dict[str, object] = {"left_behind": LEFT, "cancelled": cancelled(), "killed": killed()}
    found |= {"closed_without_saving": closed_without_saving(), "relative_path_and_odd_name": odd_name()}
    found |= {"undone": undone(), "twins": twins(), "left_folders": left_folders()}
    finish({**found, "refusals": refusals()}, RESULTS)


main()
