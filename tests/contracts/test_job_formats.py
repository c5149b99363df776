"""What every job format keeps: whatever names are called, what a queue runs is what was meant."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from openjd.model import decode_job_template

from vidtrans.batch.farm import JOB_FORMATS, ClipTasks, FarmJob
from vidtrans.batch.farm.openjd import MAX_CLIPS
from vidtrans.core.errors import UsageError
from vidtrans.store.chunking import ClipPart

HOSTILE = 'it\'s $HOME `x` "q" & café; #1.mp4'
COMMAND = ("vidtrans", "stylize", "--model", "a b", HOSTILE, "-o", "out.mp4")
DIVIDED, WHOLE = ClipTasks(HOSTILE, "out.mp4", 3, COMMAND), ClipTasks("b.mp4", "b.x.mp4", 1, ("vidtrans", "b.mp4"))
JOB = FarmJob("night", Path("/a folder/ü"), {"OMP_NUM_THREADS": "2", "VIDTRANS_SEED": "it's 3"}, [DIVIDED, WHOLE])
LINE = "cd '/a folder/ü' && OMP_NUM_THREADS=2 "


def written(name: str, job: FarmJob = JOB) -> str:
    text: str = JOB_FORMATS.load(name)(job)
    return text


@pytest.mark.parametrize("name", JOB_FORMATS)
def test_hostile_names_and_the_environment_are_in_the_text_and_one_part_has_nothing_to_join(name: str) -> None:
    text = written(name)
    plain = text if name in ("slurm", "commands") else text.encode().decode("unicode_escape", "ignore")
    assert "OMP_NUM_THREADS" in plain
    assert "--join" in plain
    assert text == written(name)
    assert text.strip() == text
    whole = written(name, FarmJob("night", Path("/x"), {}, [WHOLE]))
    assert "--join" not in whole
    assert "--chunk" not in whole


def arguments(line: str) -> list[str]:
    """What a shell makes of a line, but for variables."""
    assert line.startswith(LINE), line
    words = shlex.split(line.removeprefix(LINE))
    assert words[0] == "VIDTRANS_SEED=it's 3"
    return words[1:]


@pytest.mark.parametrize("count", [1000, 2999])
def test_no_array_of_slurm_is_too_long_and_each_part_is_rendered_once(count: int) -> None:
    clips = [ClipTasks("a.mp4", "o.mp4", count, ("vidtrans", "a.mp4"))]
    text = written("slurm", FarmJob("night", Path("/x"), {}, clips))
    [line] = [line for line in text.splitlines() if line.startswith("part=")]
    last = int(text.partition("--array=1-")[2].split()[0])
    loop = f"for SLURM_ARRAY_TASK_ID in $(seq {last}); do {line}; echo $part; done"
    done = subprocess.run(["bash", "-euc", loop], capture_output=True, text=True, check=True)
    parts = [ClipPart.parse(f"{part}/{count}") for part in done.stdout.split()]
    assert last <= 1000
    assert [number for part in parts for number in range(part.first, part.last + 1)] == list(range(1, count + 1))


def test_commands_are_lines_for_a_shell_each_of_which_may_be_the_last() -> None:
    lines = written("commands").splitlines()
    parts = [[*COMMAND, "--chunk", f"{n}/3", "--join"] for n in (1, 2, 3)]
    assert [arguments(line) for line in lines] == [*parts, ["vidtrans", "b.mp4"]]


def test_slurm_submits_an_array_and_a_join_that_depends_on_it() -> None:
    text = written("slurm")
    lines = [line for line in text.splitlines() if line.startswith("cd ")]
    wanted = [[*COMMAND, "--chunk", "$part/3"], [*COMMAND, "--join"], ["vidtrans", "b.mp4"]]
    assert list(map(arguments, lines)) == wanted
    submissions = [shlex.split(line.split("<<")[0]) for line in text.splitlines() if "sbatch " in line and "<<" in line]
    found = [("--array=1-3" in words, "--dependency=afterok:$parts" in words) for words in submissions]
    assert found == [(True, False), (False, True), (False, False)]
    assert all("--chdir=/a folder/ü" in words for words in submissions)
    assert "\npart=$SLURM_ARRAY_TASK_ID\n" in text
    title = FarmJob("night", Path("/x"), {}, [ClipTasks("a\nrm -rf x", "o", 1, ("vidtrans",))])
    assert "\nrm" not in written("slurm", title)


def test_an_openjd_template_is_valid_and_joins_when_all_parts_are_done() -> None:
    template = json.loads(written("openjd"))
    job = decode_job_template(template=template, supported_extensions=["TASK_CHUNKING"])
    render, join, whole = job.steps
    assert render.parameterSpace is not None
    assert join.dependencies is not None
    assert [d.dependsOn for d in join.dependencies] == [render.name]
    assert whole.parameterSpace is None
    scripts = [step["script"]["embeddedFiles"][0]["data"].strip() for step in template["steps"]]
    wanted = [[*COMMAND, "--chunk", "{{Task.Param.Part}}/3"], [*COMMAND, "--join"], ["vidtrans", "b.mp4"]]
    assert list(map(arguments, scripts)) == wanted


def test_what_an_openjd_template_cannot_say_is_refused() -> None:
    with pytest.raises(UsageError, match="as a variable"):
        written("openjd", FarmJob("n", Path("/x"), {}, [ClipTasks("{{a}}", "o", 1, ("vidtrans", "{{a}}"))]))
    with pytest.raises(UsageError, match="--shard"):
        written("openjd", FarmJob("n", Path("/x"), {}, [WHOLE] * (MAX_CLIPS + 1)))
    many = json.loads(written("openjd", FarmJob("n" * 200, Path("/x"), {}, [ClipTasks("a", "o" * 90, 2, ("v",))] * 50)))
    decode_job_template(template=many, supported_extensions=["TASK_CHUNKING"])


def test_json_and_a_flamenco_job_type_have_each_clip_with_its_commands() -> None:
    table = json.loads(written("json"))
    first, second = table["clips"]
    assert (first["part"], first["join"]) == ([*COMMAND, "--chunk", "{part}/3"], [*COMMAND, "--join"])
    assert (second["command"], second["part"], second["join"]) == (["vidtrans", "b.mp4"], None, None)
    assert (table["environment"], table["folder"]) == (dict(JOB.environment), str(JOB.folder))
    text = written("flamenco")
    clips = json.loads(text.split("const CLIPS = ")[1].split(";\n\nfunction")[0])
    assert list(map(arguments, clips[0]["parts"])) == [[*COMMAND, "--chunk", f"{n}/3"] for n in (1, 2, 3)]
    assert arguments(clips[0]["join"]) == [*COMMAND, "--join"]
    assert clips[1]["join"] is None
    assert text.count("{") == text.count("}")
