"""The wishes of the studio's first page: a few questions each, and the commands that fulfil them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath

from vidtrans.core.errors import UsageError
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import Table
from vidtrans.strokes.media import medium_names

Answers = Mapping[str, str]


@dataclass(frozen=True)
class Question:
    """A question. ``kind``: clip, look (a picture or a medium), file, source, number or choice.

    A file is a clip or a picture; a source is the clip that another one was made from, which somebody may not have.
    ``choices``: of a choice or a source, value → label. ``default``: the answer at first.
    """

    name: str
    label: str
    kind: str
    choices: Mapping[str, str] = field(default_factory=dict)
    default: str = ""
    low: int = 0
    high: int = 0

    def check(self, answer: str) -> None:
        """Raise UsageError if an answer is no answer to the question."""
        if not answer:
            raise UsageError(self.label, "it is not answered", "choose one")
        if self.kind == "choice" and answer not in self.choices:
            raise unknown_name("answer", answer, list(self.choices))
        if self.kind == "number" and not (answer.isdecimal() and self.low <= int(answer) <= self.high):
            raise UsageError(f"{self.label}: {answer}", "out of bounds", f"give {self.low} to {self.high}")


@dataclass(frozen=True)
class WishStep:
    """A command that a wish needs. ``after``: places, among the steps, of those that have to be done before."""

    command: str
    values: Table
    title: str
    after: tuple[int, ...] = ()


@dataclass(frozen=True)
class Wish:
    """A wish. ``easel``: the first step makes frames to paint on; the page then opens the easel."""

    name: str
    title: str
    text: str
    questions: tuple[Question, ...]
    make: Callable[[Answers], list[WishStep]]
    easel: bool = False

    def table(self) -> Table:
        """Return the wish as a page receives it."""
        questions = [asdict(question) for question in self.questions]
        return {"name": self.name, "title": self.title, "text": self.text, "easel": self.easel, "questions": questions}

    def steps(self, answers: Answers) -> list[WishStep]:
        """Return the steps that the answers give. Raises UsageError."""
        for question in self.questions:
            question.check(answers.get(question.name, ""))
        return self.make(answers)


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _like_picture(answers: Answers) -> list[WishStep]:
    clip, look, clip_name = answers["clip"], answers["look"], _stem(answers["clip"])
    kept: Table = {"keep_colour": "1"} if answers["colours"] == "film" else {}
    if answers["how"] == "now" or look in medium_names():  # a medium is not learned
        return [WishStep("stylize", {"video": [clip], "look": look} | kept, f"{clip_name} like {_stem(look)}")]
    model = f"{_stem(look)}.{clip_name}.{answers['how']}min.safetensors"
    teach = {"pictures": [look], "on": [clip], "minutes": float(answers["how"]), "output": model}
    show = {"video": [clip], "model": [model]} | kept
    return [
        WishStep("look", teach, f"learn {_stem(look)}"),
        WishStep("stylize", show, f"{clip_name} like {_stem(look)}", (0,)),
    ]


def _from_film(answers: Answers) -> list[WishStep]:
    film, clip, pairing = answers["film"], answers["clip"], answers["pairing"]
    model = f"{_stem(film)}.{pairing}.{answers['minutes']}min.safetensors"
    data = f"{_stem(film)}.{pairing}.dataset"
    begins = {} if pairing == "edges" else {"pairing": pairing}  # the recipe for other footage is the default
    return [
        WishStep("make-dataset", {"videos": [film], "output": data} | begins, f"pairs of {_stem(film)}"),
        WishStep(
            "train", {"dataset": data, "minutes": float(answers["minutes"]), "output": model}, f"learn {film}", (0,)
        ),
        WishStep("stylize", {"video": [clip], "model": [model]}, f"{_stem(clip)} like {_stem(film)}", (1,)),
    ]


def _paint(answers: Answers) -> list[WishStep]:
    clip = answers["clip"]
    values = {"video": clip, "count": int(answers["count"]), "output": f"{_stem(clip)}.keyframes"}
    return [WishStep("keyframes", values, f"frames of {_stem(clip)} to paint")]


def _deflicker(answers: Answers) -> list[WishStep]:
    made, source = answers["made"], answers["source"]
    values = {"processed": [made]} | ({"source": source} if source not in (made, NO_SOURCE) else {})
    return [WishStep("deflicker", values, f"{_stem(made)} without flicker")]


def _grade(answers: Answers) -> list[WishStep]:
    before, after, clip = (answers[name] for name in ("before", "after", "clip"))
    model = f"{_stem(after)}.grade.safetensors"
    learn: Table = {"before": before, "after": after, "output": model}
    if answers["same"] == "no":
        learn["unpaired"] = True
    show = {"video": [clip], "model": [model]}
    return [
        WishStep("grade", learn, f"learn the grade of {_stem(after)}"),
        WishStep("stylize", show, f"{_stem(clip)} graded", (0,)),
    ]


def _dream(answers: Answers) -> list[WishStep]:
    clip, preset = answers["clip"], answers["how"]
    model = f"{_stem(clip)}.{preset}.{answers['minutes']}min.safetensors"
    data = f"{_stem(clip)}.{preset}.dataset"
    train = {"dataset": data, "preset": preset, "minutes": float(answers["minutes"]), "output": model}
    dream = {"source": [clip], "model": [model], "frames": int(answers["frames"])}
    return [
        WishStep("make-dataset", {"videos": [clip], "preset": preset, "output": data}, f"frames of {_stem(clip)}"),
        WishStep("train", train, f"learn how {_stem(clip)} moves", (0,)),
        WishStep("dream", dream, f"a dream of {_stem(clip)}", (1,)),
    ]


NO_SOURCE = "none"  # an answer: the source is not there
COLOURS = {"picture": "the picture's", "film": "the film's own"}
MINUTES = Question("minutes", "Minutes to learn", "number", default="4", low=1, high=1440)
PAIRINGS = {
    "edges": "its lines, light and dark",
    "sketch": "a pencil sketch",
    "regions": "flat areas of colour",
    "simplify": "a simplified picture",
    "colorize": "its black and white picture",
}

WISHES = {
    wish.name: wish
    for wish in (
        Wish(
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
            _like_picture,
        ),
        Wish(
            "film",
            "From my film",
            "A network learns how your film looks, and renders another clip that way.",
            (
                Question("film", "The film to learn from", "clip"),
                Question("clip", "The clip to render", "clip"),
                Question("pairing", "What it starts from", "choice", PAIRINGS, "edges"),
                MINUTES,
            ),
            _from_film,
        ),
        Wish(
            "paint",
            "I paint frames",
            "Paint over a few frames; all others follow.",
            (
                Question("clip", "The clip", "clip"),
                Question("count", "Frames to paint (all of them)", "number", default="1", low=1, high=40),
            ),
            _paint,
            easel=True,
        ),
        Wish(
            "flicker",
            "Take the flicker out",
            "Steadies what another tool made frame by frame.",
            (
                Question("made", "The clip that flickers", "clip"),
                Question("source", "What it was made from", "source", {NO_SOURCE: "I do not have it"}, NO_SOURCE),
            ),
            _deflicker,
        ),
        Wish(
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
            _grade,
        ),
        Wish(
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
            _dream,
        ),
    )
}


def find_wish(name: str) -> Wish:
    """Return a wish by name. Raises UsageError."""
    if name not in WISHES:
        raise unknown_name("wish", name, list(WISHES))
    return WISHES[name]
