"""The differences between versions of Blender in the sequencer, and the context that its operators need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy

MOST_CHANNELS = 128


def strips_of(owner: Any) -> Any:  # noqa: ANN401  (types of Blender)
    """Return the strips of a sequence editor or of a meta strip: ``sequences`` before Blender 4.4."""
    return owner.strips if hasattr(owner, "strips") else owner.sequences


def all_strips(editor: Any) -> list[Any]:  # noqa: ANN401
    """Return the strips of a sequence editor, and those in meta strips."""
    return list(editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all)


def sequencer_scene(context: Any) -> Any:  # noqa: ANN401
    """Return the scene that the sequencer edits: from Blender 5.0 on not always that of the window."""
    return getattr(context, "sequencer_scene", None) or context.scene


def parent_of(strip: Any) -> Any:  # noqa: ANN401
    """Return the meta strip in which a strip lies; None at the top."""
    return strip.parent_meta()


def siblings_of(scene: Any, strip: Any) -> Any:  # noqa: ANN401
    """Return the strips beside a strip, itself included."""
    return strips_of(parent_of(strip) or scene.sequence_editor)


@contextmanager
def sequencer_context(scene: Any, strip: Any) -> Iterator[None]:  # noqa: ANN401
    """Run operators of the sequencer on one strip of a scene, wherever the user is; then restore all of it.

    The open meta strip, the selection, and the type of an area that is used when no sequencer is open are restored.
    """
    editor, manager = scene.sequence_editor, bpy.context.window_manager
    selected = {one: one.select for one in all_strips(editor)}
    active, opened = editor.active_strip, [*editor.meta_stack]
    windows = [bpy.context.window, *manager.windows] if bpy.context.window else [*manager.windows]
    areas = [(window, area) for window in windows for area in window.screen.areas]
    window, area = next((pair for pair in areas if pair[1].type == "SEQUENCE_EDITOR"), areas[0])
    kind, area.type = area.type, "SEQUENCE_EDITOR"
    region = next(one for one in area.regions if one.type == "WINDOW")
    override = {"window": window, "area": area, "region": region, "scene": scene}
    workspace = window.workspace
    edited = getattr(workspace, "sequencer_scene", None)
    if hasattr(workspace, "sequencer_scene"):
        workspace.sequencer_scene = scene
    try:
        with bpy.context.temp_override(**override):
            editor.display_stack(parent_of(strip))
            for one in selected:
                one.select = one == strip
            editor.active_strip = strip
            yield
    finally:
        if area.type != kind:
            area.type = kind
        if hasattr(workspace, "sequencer_scene"):
            workspace.sequencer_scene = edited
        editor.display_stack(opened[-1] if opened else None)
        present = set(all_strips(editor))
        for one, is_selected in selected.items():
            if one in present:
                one.select = is_selected
        editor.active_strip = active if active in present else None


def duplicate(scene: Any, strip: Any) -> Any:  # noqa: ANN401
    """Return a copy of a strip at the same place: with its retiming, modifiers and animation."""
    before = set(all_strips(scene.sequence_editor))
    with sequencer_context(scene, strip):
        bpy.ops.sequencer.duplicate()
    copies = [one for one in all_strips(scene.sequence_editor) if one not in before]
    copy = next(one for one in copies if one.type == strip.type)
    for one in copies:
        if one != copy:  # of strips that are connected
            siblings_of(scene, copy).remove(one)
    return copy


def taken_channels(scene: Any, strip: Any) -> set[int]:  # noqa: ANN401
    """Return the channels in which another strip lies at the time of a strip, handles that are held included."""
    return {
        one.channel
        for one in siblings_of(scene, strip)
        if one != strip
        and one.frame_final_start < strip.frame_final_end
        and strip.frame_final_start < one.frame_final_end
    }


def curves_of(scene: Any) -> list[Any]:  # noqa: ANN401
    """Return the animation curves of a scene's action: from Blender 4.4 on those of its slot."""
    data = scene.animation_data
    action = data.action if data else None
    if action is None:
        return []
    slot = getattr(data, "action_slot", None)
    if slot is None or not hasattr(action, "layers"):
        return list(getattr(action, "fcurves", ()))
    bags = (bag for layer in action.layers for strip in layer.strips for bag in strip.channelbags)
    return [curve for bag in bags if bag.slot_handle == slot.handle for curve in bag.fcurves]


@contextmanager
def kept_animation(strip: Any) -> Iterator[None]:  # noqa: ANN401
    """Keep the times of a strip's keyframes, which Blender moves along with ``frame_start``."""
    prefix = f'sequence_editor.strips_all["{bpy.utils.escape_identifier(strip.name)}"]'
    other = prefix.replace("strips_all", "sequences_all")
    points = [
        (point, point.co[0], point.handle_left[0], point.handle_right[0])
        for curve in curves_of(strip.id_data)
        if curve.data_path.startswith((prefix, other))
        for point in curve.keyframe_points
    ]
    yield
    for point, time, left, right in points:
        point.co[0], point.handle_left[0], point.handle_right[0] = time, left, right
