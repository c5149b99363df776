"""The guided tasks of the studio: a few questions each, and the commands that follow from the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath

from vidtrans import shipped_looks
from vidtrans.core.errors import UsageError
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import Table

Answers = Mapping[str, str]  # Answers of the user by question name


@dataclass(frozen=True)
class Question:
    """A question of a guided task, with the ``kind`` of its answer.

    Kinds are clip, look (a picture or a painting medium), file (a clip or a picture), source (the original of another
    clip, which the user may not have), number and choice. ``choices``: the labels by value, for a choice or a source.
    ``default``: the initial answer. ``low``, ``high``: the bounds of a number.
    """

    name: str
    label: str
    kind: str
    choices: Mapping[str, str] = field(default_factory=dict)
    default: str = ""
    low: int = 0
    high: int = 0

    def check(self, answer: str) -> None:
        """Raise UsageError if an answer is not valid for the question."""
        if not answer:
            raise UsageError(self.label, "it is not answered", "choose one")
        if self.kind == "choice" and answer not in self.choices:
            raise unknown_name("answer", answer, list(self.choices))
        if self.kind == "number" and not (answer.isdecimal() and self.low <= int(answer) <= self.high):
            raise UsageError(f"{self.label}: {answer}", "out of bounds", f"give {self.low} to {self.high}")


@dataclass(frozen=True)
class CommandStep:
    """One command of a task, with its option values. ``after``: indices of the steps that must be done before it."""

    command: str
    values: Table
    title: str
    after: tuple[int, ...] = ()


@dataclass(frozen=True)
class GuidedTask:
    """A guided task of the first page. ``opens_easel``: the page then opens the easel, to paint on frames."""

    name: str
    title: str
    text: str
    questions: tuple[Question, ...]
    make_steps: Callable[[Answers], list[CommandStep]]
    opens_easel: bool = False

    def table(self) -> Table:
        """Return the task for the page, as JSON values."""
        questions = [asdict(question) for question in self.questions]
        return {
            "name": self.name,
            "title": self.title,
            "text": self.text,
            "easel": self.opens_easel,
            "questions": questions,
        }

    def steps(self, answers: Answers) -> list[CommandStep]:
        """Return the commands that carry out the task for the given answers. Raises UsageError."""
        for question in self.questions:
            question.check(answers.get(question.name, ""))
        return self.make_steps(answers)


def _stem(name: str) -> str:
    """Return a file name without its folder and its suffix."""
    return PurePosixPath(name).stem


def _picture_steps(answers: Answers) -> list[CommandStep]:
    """Return the commands of the task "picture": render a clip in the style of a picture or a painting medium."""
    clip, look, clip_name = answers["clip"], answers["look"], _stem(answers["clip"])
    colours: Table = {"keep_colour": "1"} if answers["colours"] == "film" else {}
    if answers["how"] == "now" or look in shipped_looks():  # They need no training
        return [CommandStep("stylize", {"video": [clip], "look": look} | colours, f"{clip_name} like {_stem(look)}")]
    model = f"{_stem(look)}.{clip_name}.{answers['how']}min.safetensors"
    train = {"pictures": [look], "on": [clip], "minutes": float(answers["how"]), "output": model}
    render = {"video": [clip], "model": [model]} | colours
    return [
        CommandStep("look", train, f"learn {_stem(look)}"),
        CommandStep("stylize", render, f"{clip_name} like {_stem(look)}", (0,)),
    ]


def _film_steps(answers: Answers) -> list[CommandStep]:
    """Return the commands of the task "film": train on frames of a film, and render another clip."""
    film, clip, pairing = answers["film"], answers["clip"], answers["pairing"]
    model = f"{_stem(film)}.{pairing}.{answers['minutes']}min.safetensors"
    data = f"{_stem(film)}.{pairing}.dataset"
    settings = (
        {} if pairing == "edges" else {"pairing": pairing}
    )  # Edges are the default, with settings for other footage
    return [
        CommandStep("make-dataset", {"videos": [film], "output": data} | settings, f"pairs of {_stem(film)}"),
        CommandStep(
            "train", {"dataset": data, "minutes": float(answers["minutes"]), "output": model}, f"learn {film}", (0,)
        ),
        CommandStep("stylize", {"video": [clip], "model": [model]}, f"{_stem(clip)} like {_stem(film)}", (1,)),
    ]


def _paint_steps(answers: Answers) -> list[CommandStep]:
    """Return the command of the task "paint": choose frames of a clip to paint."""
    clip = answers["clip"]
    values = {"video": clip, "count": int(answers["count"]), "output": f"{_stem(clip)}.keyframes"}
    return [CommandStep("keyframes", values, f"frames of {_stem(clip)} to paint")]


def _deflicker_steps(answers: Answers) -> list[CommandStep]:
    """Return the command of the task "flicker": remove flicker, with the source clip if the user has it."""
    processed, source = answers["made"], answers["source"]
    values = {"processed": [processed]} | ({"source": source} if source not in (processed, NO_SOURCE) else {})
    return [CommandStep("deflicker", values, f"{_stem(processed)} without flicker")]


def _grade_steps(answers: Answers) -> list[CommandStep]:
    """Return the commands of the task "grade": learn a colour grade from two stills, and grade a clip."""
    before, after, clip = (answers[name] for name in ("before", "after", "clip"))
    model = f"{_stem(after)}.grade.safetensors"
    learn: Table = {"before": before, "after": after, "output": model}
    if answers["same"] == "no":
        learn["unpaired"] = True
    render = {"video": [clip], "model": [model]}
    return [
        CommandStep("grade", learn, f"learn the grade of {_stem(after)}"),
        CommandStep("stylize", render, f"{_stem(clip)} graded", (0,)),
    ]


def _dream_steps(answers: Answers) -> list[CommandStep]:
    """Return the commands of the task "dream": train a next-frame model on a clip, and render a dream."""
    clip, preset = answers["clip"], answers["how"]
    model = f"{_stem(clip)}.{preset}.{answers['minutes']}min.safetensors"
    data = f"{_stem(clip)}.{preset}.dataset"
    train = {"dataset": data, "preset": preset, "minutes": float(answers["minutes"]), "output": model}
    dream = {"source": [clip], "model": [model], "frames": int(answers["frames"])}
    return [
        CommandStep("make-dataset", {"videos": [clip], "preset": preset, "output": data}, f"frames of {_stem(clip)}"),
        CommandStep("train", train, f"learn how {_stem(clip)} moves", (0,)),
        CommandStep("dream", dream, f"a dream of {_stem(clip)}", (1,)),
    ]


def _time_steps(answers: Answers) -> list[CommandStep]:
    """Return the command of the task "time": make frames between frames, slow motion or held frames."""
    clip, what = answers["clip"], answers["what"]
    label, options = TIMES[what]
    return [CommandStep("retime", {"video": clip} | options, f"{_stem(clip)}, {label}")]


# The answers of the task "time": what each says, and its options of ``retime``
TIMES: dict[str, tuple[str, Table]] = {
    "24": ("24 frames a second", {"fps": "24"}),
    "x2": ("twice the frames", {"fps": "x2"}),
    "half": ("half the speed", {"speed": "0.5"}),
    "quarter": ("a quarter of the speed", {"speed": "0.25"}),
    "double": ("twice the speed", {"speed": "2"}),
    "twos": ("animation on twos", {"hold": 2}),
    "blur": ("motion blur of a film camera", {"motion_blur": 180.0}),
}
TIME_LABELS = {name: label for name, (label, _) in TIMES.items()}
NO_SOURCE = "none"  # Answer of a user who does not have the source clip
# Labels of the answers to the question which colours a rendered clip gets
COLOURS = {"picture": "the picture's", "film": "the film's own"}
# Question for the length of a training, in minutes
MINUTES = Question("minutes", "Minutes to learn", "number", default="4", low=1, high=1440)
# Labels of the pairings (how the network's input is made from a frame) that the page offers
PAIRINGS = {
    "edges": "its lines, light and dark",
    "sketch": "a pencil sketch",
    "regions": "flat areas of colour",
    "simplify": "a simplified picture",
    "colorize": "its black and white picture",
}

# Guided tasks by name
TASKS = {
    task.name: task
    for task in (
        GuidedTask(
            "picture",
            "Like this picture",
            "Your clip in the manner of a painting, a drawing or a photograph.",
            (
                Question("clip", "The clip", "clip"),
                Question("look", "The picture", "look"),
                Question(
                    "how",
                    "How",
                    "choice",
                    {"now": "at once", "5": "closer: learn it for 5 minutes", "20": "closest: learn it for 20 minutes"},
                    "now",
                ),
                Question("colours", "Colours", "choice", COLOURS, "picture"),
            ),
            _picture_steps,
        ),
        GuidedTask(
            "film",
            "From my film",
            "A network learns how your film looks, and renders another clip that way.",
            (
                Question("film", "The film to learn from", "clip"),
                Question("clip", "The clip to render", "clip"),
                Question("pairing", "What it starts from", "choice", PAIRINGS, "edges"),
                MINUTES,
            ),
            _film_steps,
        ),
        GuidedTask(
            "paint",
            "I paint frames",
            "Paint over a few frames; all others follow.",
            (
                Question("clip", "The clip", "clip"),
                Question("count", "Frames to paint (all of them)", "number", default="1", low=1, high=40),
            ),
            _paint_steps,
            opens_easel=True,
        ),
        GuidedTask(
            "flicker",
            "Take the flicker out",
            "Steadies what another tool made frame by frame.",
            (
                Question("made", "The clip that flickers", "clip"),
                Question("source", "What it was made from", "source", {NO_SOURCE: "I do not have it"}, NO_SOURCE),
            ),
            _deflicker_steps,
        ),
        GuidedTask(
            "grade",
            "This grade",
            "Learns your grade from a still before and after it, and grades a clip.",
            (
                Question("before", "Before the grade", "file"),
                Question("after", "After the grade", "file"),
                Question(
                    "same", "Do both show the same scene?", "choice", {"yes": "yes", "no": "no: only the mood"}, "yes"
                ),
                Question("clip", "The clip to grade", "clip"),
            ),
            _grade_steps,
        ),
        GuidedTask(
            "dream",
            "Let it dream",
            "A network learns how your clip moves, and makes new frames without end.",
            (
                Question("clip", "The clip", "clip"),
                Question(
                    "how",
                    "What it does",
                    "choice",
                    {"loop": "it goes to and fro through the clip", "next-frame": "it invents what comes next"},
                    "loop",
                ),
                MINUTES,
                Question("frames", "Length of the dream, in frames", "number", default="120", low=1, high=100_000),
            ),
            _dream_steps,
        ),
        GuidedTask(
            "time",
            "Change its time",
            "Slow motion, more frames, held frames or motion blur.",
            (
                Question("clip", "The clip", "clip"),
                Question("what", "What", "choice", TIME_LABELS, "half"),
            ),
            _time_steps,
        ),
    )
}


def find_task(name: str) -> GuidedTask:
    """Return the guided task ``name``. Raises UsageError."""
    if name not in TASKS:
        raise unknown_name("task", name, list(TASKS))
    return TASKS[name]
