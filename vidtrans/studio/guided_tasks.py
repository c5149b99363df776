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

    Kinds are clip, clips (one per line), look (a picture or a painting medium), file (a clip or a picture), source (the
    original of another clip, which the user may not have), number, slider and choice. ``choices``: the labels by value,
    for a choice or a source. ``default``: the initial answer; a slider may have a word here, for no value. ``low``,
    ``high``: the bounds of a number or a slider. ``step``: the interval of a slider's values.
    """

    name: str
    label: str
    kind: str
    choices: Mapping[str, str] = field(default_factory=dict)
    default: str = ""
    low: float = 0
    high: float = 0
    step: float = 1

    def check(self, answer: str) -> None:
        """Raise UsageError if an answer is not valid for the question."""
        if not answer:
            raise UsageError(self.label, "it is not answered", "choose one")
        if self.kind == "choice" and answer not in self.choices:
            raise unknown_name("answer", answer, list(self.choices))
        if self.kind == "number" and not (answer.isdecimal() and self.low <= int(answer) <= self.high):
            raise UsageError(f"{self.label}: {answer}", "out of bounds", f"give {self.low} to {self.high}")
        if self.kind == "slider" and answer != self.default:
            try:
                is_valid = self.low <= float(answer) <= self.high
            except ValueError:
                is_valid = False
            if not is_valid:
                raise UsageError(f"{self.label}: {answer}", "out of bounds", f"give {self.low:g} to {self.high:g}")


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


def _clips(answer: str) -> tuple[list[str], str]:
    """Return the clips of an answer, and how a job's title calls them."""
    clips = answer.split("\n")
    return clips, _stem(clips[0]) if len(clips) == 1 else f"{len(clips)} clips"


def _adjustments(answers: Answers) -> Table:
    """Return the options of ``stylize`` for those sliders that the user has moved."""
    moved = {q.name: float(answers[q.name]) for q in SLIDERS if answers.get(q.name, q.default) != q.default}
    return {name: f"{value:g}" for name, value in moved.items()}


def _picture_steps(answers: Answers) -> list[CommandStep]:
    """Return the commands of the task "picture": render clips in the style of a picture or a painting medium."""
    look, (clips, title) = answers["look"], _clips(answers["clip"])
    adjusted = _adjustments(answers)
    if answers["how"] == "now" or look in shipped_looks():  # They need no training
        return [CommandStep("stylize", {"video": clips, "look": look} | adjusted, f"{title} like {_stem(look)}")]
    model = f"{_stem(look)}.{_stem(clips[0])}.{answers['how']}min.safetensors"
    train = {"pictures": [look], "on": clips, "minutes": float(answers["how"]), "output": model}
    render = {"video": clips, "model": [model]} | adjusted
    return [
        CommandStep("look", train, f"learn {_stem(look)}"),
        CommandStep("stylize", render, f"{title} like {_stem(look)}", (0,)),
    ]


def _person_steps(answers: Answers) -> list[CommandStep]:
    """Return the command of the task "person": a look inside a mask that is found in the pictures."""
    look, (clips, title) = answers["look"], _clips(answers["clip"])
    values = {"video": clips, "look": look, "mask": [answers["mask"]]} | _adjustments(answers)
    return [CommandStep("stylize", values, f"{title}: {MASKS[answers['mask']]} like {_stem(look)}")]


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
# What the task "person" renders in the look, by the mask of ``stylize``
MASKS = {"person": "the person", "not person": "all but the person", "face": "the face"}
CLIPS, LOOK = Question("clip", "Clip", "clips"), Question("look", "Look", "look")
SLIDERS = (
    Question("strength", "Strength", "slider", default="1", low=0, high=2, step=0.05),
    Question("keep_colour", "The clip's own colours", "slider", default="0", low=0, high=1, step=0.05),
    Question("size", "Detail, in lines", "slider", default="auto", low=240, high=1080, step=40),
)
# Question for the length of a training, in minutes
MINUTES = Question("minutes", "Minutes of training", "number", default="4", low=1, high=1440)
# Labels of the pairings (how the network's input is made from a frame) that the page offers
PAIRINGS = {
    "edges": "its lines, light and dark",
    "sketch": "a pencil sketch",
    "regions": "flat areas of colour",
    "simplify": "a simplified picture",
    "colorize": "its black and white picture",
}

# Guided tasks by name, in the order of the page
TASKS = {
    task.name: task
    for task in (
        GuidedTask(
            "picture",
            "Paint it in a style",
            "Render your clip like a painting, a drawing or any picture.",
            (
                CLIPS,
                LOOK,
                Question(
                    "how",
                    "How",
                    "choice",
                    {"now": "At once", "5": "Closer: train for 5 minutes", "20": "Closest: train for 20 minutes"},
                    "now",
                ),
                *SLIDERS,
            ),
            _picture_steps,
        ),
        GuidedTask(
            "person",
            "Only this person",
            "Render the person in a look, and keep the rest as filmed.",
            (CLIPS, LOOK, Question("mask", "What is rendered", "choice", MASKS, "person"), *SLIDERS),
            _person_steps,
        ),
        GuidedTask(
            "paint",
            "Paint frames yourself",
            "Paint on a few frames. The other frames follow.",
            (
                Question("clip", "Clip", "clip"),
                Question("count", "Number of frames to paint", "number", default="1", low=1, high=40),
            ),
            _paint_steps,
            opens_easel=True,
        ),
        GuidedTask(
            "time",
            "Change its time",
            "Slow motion, more frames, held frames or motion blur.",
            (
                Question("clip", "Clip", "clip"),
                Question("what", "Change", "choice", TIME_LABELS, "half"),
            ),
            _time_steps,
        ),
        GuidedTask(
            "flicker",
            "Remove flicker",
            "Steady a clip that another tool rendered frame by frame.",
            (
                Question("made", "Clip that flickers", "clip"),
                Question("source", "Its source", "source", {NO_SOURCE: "I do not have the source"}, NO_SOURCE),
            ),
            _deflicker_steps,
        ),
        GuidedTask(
            "grade",
            "Copy a colour grade",
            "Learn a grade from a still before and after it, and apply it to a clip.",
            (
                Question("before", "Still before the grade", "file"),
                Question("after", "Still after the grade", "file"),
                Question(
                    "same", "Do both show the same scene?", "choice", {"yes": "Yes", "no": "No: copy the mood"}, "yes"
                ),
                Question("clip", "Clip to grade", "clip"),
            ),
            _grade_steps,
        ),
        GuidedTask(
            "film",
            "Learn from a film",
            "Train a network on one film, and render another clip like it.",
            (
                Question("film", "Film to learn from", "clip"),
                Question("clip", "Clip to render", "clip"),
                Question("pairing", "What the network starts from", "choice", PAIRINGS, "edges"),
                MINUTES,
            ),
            _film_steps,
        ),
        GuidedTask(
            "dream",
            "Let it dream",
            "Train a network on how your clip moves, and generate new frames.",
            (
                Question("clip", "Clip", "clip"),
                Question(
                    "how",
                    "The dream",
                    "choice",
                    {"loop": "moves to and fro through the clip", "next-frame": "invents what comes next"},
                    "loop",
                ),
                MINUTES,
                Question("frames", "Length in frames", "number", default="120", low=1, high=100_000),
            ),
            _dream_steps,
        ),
    )
}


def find_task(name: str) -> GuidedTask:
    """Return the guided task ``name``. Raises UsageError."""
    if name not in TASKS:
        raise unknown_name("task", name, list(TASKS))
    return TASKS[name]
