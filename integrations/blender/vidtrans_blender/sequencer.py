"""The differences between versions of Blender in the sequencer, and the context that its operators need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import bpy

MOST_CHANNELS = 128


def strips_of(owner: Any) -> Any:
    """Return the strips of a sequence editor or of a meta strip: ``sequences`` before Blender 4.4."""
    return owner.strips if hasattr(owner, "strips") else owner.sequences


def all_strips(scene: Any) -> list[Any]:
    """Return the strips of a scene's sequencer, and those in meta strips."""
    editor = scene.sequence_editor
    if editor is None:
        return []
    return list(editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all)


def sequencer_scene(context: Any) -> Any:
    """Return the scene that the sequencer edits: from Blender 5.0 on not always that of the window."""
    return getattr(context, "sequencer_scene", None) or context.scene


def scene_rate(scene: Any) -> Fraction:
    return Fraction(scene.render.fps / scene.render.fps_base).limit_denominator(1001)


def siblings_of(scene: Any, strip: Any) -> Any:
    """Return the strips beside a strip, in the sequencer or in a meta strip, itself included."""
    return strips_of(strip.parent_meta() or scene.sequence_editor)


@contextmanager
def sequencer_context(scene: Any, strip: Any) -> Iterator[None]:
    """Run operators of the sequencer on one strip of a scene, wherever the user is; then restore all of it.

    The open meta strip, the selection, and the type of an area that is used when no sequencer is open are restored.
    """
    editor, manager = scene.sequence_editor, bpy.context.window_manager
    selected = {one: one.select for one in all_strips(scene)}
    active, opened = editor.active_strip, [*editor.meta_stack]
    windows = [bpy.context.window, *manager.windows] if bpy.context.window else [*manager.windows]
    areas = [(window, area) for window in windows for area in window.screen.areas]
    window, area = next((pair for pair in areas if pair[1].type == "SEQUENCE_EDITOR"), areas[0])
    kind, area.type = area.type, "SEQUENCE_EDITOR"
    region = next(one for one in area.regions if one.type == "WINDOW")
    workspace = window.workspace
    edited = getattr(workspace, "sequencer_scene", None)
    if hasattr(workspace, "sequencer_scene"):
        workspace.sequencer_scene = scene
    try:
        with bpy.context.temp_override(window=window, area=area, region=region, scene=scene):
            editor.display_stack(strip.parent_meta())
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
        present = set(all_strips(scene))
        for one, is_selected in selected.items():
            if one in present:
                one.select = is_selected
        editor.active_strip = active if active in present else None


def curves_of(scene: Any) -> list[Any]:
    data = scene.animation_data
    slot = getattr(data, "action_slot", None)
    return curves_in(data.action, slot.handle if slot else None) if data and data.action else []


def curves_in(action: Any, slot: int | None = None) -> list[Any]:
    """Return the curves of an action; of one with slots those of one of them, or of all."""
    if not hasattr(action, "layers") or (slot is None and hasattr(action, "fcurves")):
        return list(action.fcurves)
    bags = [bag for layer in action.layers for strip in layer.strips for bag in strip.channelbags]
    return [curve for bag in bags if slot in (None, bag.slot_handle) for curve in bag.fcurves]
