"""Every command that a page offers: what may be set, and that nothing can reach out of the folder or run a program."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from vidtrans.commands import COMMANDS
from vidtrans.commands.base import parameters_of
from vidtrans.commands.page_commands import HIDDEN_COMMANDS, PageCommands
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.studio.guided_tasks import TASKS, GuidedTask
from vidtrans.studio.project_folder import ProjectFolder


@pytest.fixture
def commands(tmp_path: Path) -> PageCommands:
    return PageCommands(ProjectFolder(tmp_path).check_value)


NAMES = PageCommands(lambda text: None).names()


def test_all_that_work_with_files_are_offered() -> None:
    served = {"live", "vote", "studio"}
    assert set(NAMES) == set(COMMANDS.builtin) - served - set(HIDDEN_COMMANDS)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_runs_a_program_is_offered_and_no_path_leads_out_of_the_folder(
    commands: PageCommands, name: str
) -> None:
    schema = commands.schema(name)
    offered = schema["properties"]
    assert "settings" not in offered
    for key, parameter in parameters_of(COMMANDS.load(name)).items():
        assert parameter.access != "program" or key not in offered or "enum" in str(offered[key])
    needed = {n: ["a.mp4"] if offered[n]["type"] == "array" else "a.mp4" for n in schema["required"]}
    for key in (key for key, about in offered.items() if about["x-access"] == "path"):
        for outward in ("../x", "x.toml"):
            value = [outward] if offered[key].get("type") == "array" else outward
            with pytest.raises(UsageError):
                commands.words(name, needed | {key: value})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("stylize", {"video": ["a.mp4"], "look": "oil", "preset": "mine.toml"}),
        ("stylize", {"video": ["clips.toml"], "look": "oil"}),
        ("try", {"video": "a.mp4", "vary": ["look=/etc/a.jpg,oil"]}),
        ("evaluate", {"output": "a.mp4", "labels": "/etc/passwd"}),
        ("dream", {"source": ["a.mp4"], "model": ["m"], "frames": 2, "actions": "/etc/passwd"}),
        ("stylize", {"video": ["a.mp4"], "look": "oil", "strength": "'/etc/moves.csv:x'"}),
        ("stylize", {"video": ["a.mp4"], "look": "oil", "sound": "/etc/a.wav"}),
        ("stylize", {"video": ["a.mp4"], "look": "oil: '/etc/a.csv:x', ink: 1"}),
        ("dream", {"source": ["a.mp4"], "model": ["m"], "frames": 2, "zoom": "smooth('../moves.csv', 1)"}),
        ("curves", {"curve": ["low", "/etc/moves.csv"], "clip": "a.mp4"}),
        ("train", {"dataset": "d", "labeller": "../m.safetensors"}),
        ("stylize", {"video": ["a.mp4"], "look": "oil", "mask": ["person + ../../a.mkv"]}),
        ("deflicker", {"processed": "a.mp4", "mask": "person - /etc/a.mkv"}),
        ("stylize", {"video": ["a.mp4"], "look": "oil", "codec": "ffmpeg:libx264"}),  # the user's own program
    ],
)
def test_lists_presets_and_tables_of_elsewhere_are_refused(commands: PageCommands, name: str, values: Table) -> None:
    with pytest.raises(UsageError):
        commands.words(name, values)


def test_masks_that_are_found_in_the_picture_are_taken(commands: PageCommands) -> None:
    for mask in ("person", "not face", "key:#00b140 + luma:0.2..0.6", "person - holes.mkv"):
        words = commands.words("stylize", {"video": ["a.mp4"], "look": "oil", "mask": [mask]})
        assert words[words.index("--mask") + 1] == mask


def test_curves_and_files_of_the_folder_are_taken_and_only_what_was_set_is_in_the_line(commands: PageCommands) -> None:
    curve = "clamp(2*low, 0, 1)*'moves.csv:glow'"
    words = commands.words("stylize", {"video": ["a.mp4"], "look": "oil", "strength": curve, "sound": "song.wav"})
    assert words[words.index("--strength") + 1] == curve
    values: Table = {"video": ["-a b.mp4"], "look": "oil", "strength": "0.5", "start": "2", "score": True}
    line = ["./-a b.mp4", "--start", "2", "--score", "--look", "oil", "--strength", "0.5"]
    assert commands.words("stylize", values) == ["stylize", *line]


def _answers(task: GuidedTask) -> dict[str, str]:
    kinds: dict[str, Any] = {"clip": "a clip.mp4", "clips": "a clip.mp4\nb.mp4", "look": "a.jpg", "file": "a.png"}
    return {q.name: kinds.get(q.kind) or q.default for q in task.questions}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_each_task_gives_command_lines_for_all_its_answers_and_refuses_wrong_ones(
    commands: PageCommands, task: GuidedTask
) -> None:
    for question in task.questions:
        bounds = [f"{question.low:g}", f"{question.high:g}"] if question.kind == "slider" else []
        for answer in [*question.choices, *bounds] or [_answers(task)[question.name]]:
            for step in task.steps(_answers(task) | {question.name: answer}):
                words = commands.words(step.command, step.values)
                assert shlex.split(shlex.join(words)) == words
        for wrong in ["", "x", "-1", "nan", "99999999999"] if question.kind in ("choice", "number", "slider") else [""]:
            with pytest.raises(UsageError):
                task.steps(_answers(task) | {question.name: wrong})
