"""``vidtrans vote``: people judge results on a page, without knowing which is which."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vidtrans.commands.base import WRITE_OPTIONS
from vidtrans.commands.options import LABELS_OPTION, check_suffix, output_option
from vidtrans.commands.page_server import PageServerCommand
from vidtrans.commands.results import VoteOutcome
from vidtrans.commands.text_reports import Terminal
from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Stop
from vidtrans.core.files import digest_of
from vidtrans.core.options import Group, argument, option
from vidtrans.core.settings import Table
from vidtrans.session import Context
from vidtrans.voting import DEFAULT_TRIALS

if TYPE_CHECKING:
    from vidtrans.voting.ballot import Study
    from vidtrans.voting.result_page import Material
    from vidtrans.voting.stimuli import Stimuli
    from vidtrans.voting.vote_log import VoteLog

# Default seconds that a voter sees an excerpt: for preference votes, and for votes with --real
EXCERPT_S, EXPOSURE_S = 2.0, 1.0


@dataclass(frozen=True)
class Vote(PageServerCommand):
    """Let people judge pictures or clips blind: they choose the better one, or with --real the real one.

    It runs until Ctrl-C. The same command continues the vote. Votes are saved beside the page, in a .jsonl file with
    the same name.
    """

    CONTEXT: ClassVar = (*WRITE_OPTIONS, "seed")
    RESULT: ClassVar = VoteOutcome

    clips: tuple[Path, ...] = argument("[A B...]", default=())
    output: Path | None = output_option("The page with the results, an .html file.", "A.vote.html")
    _: KW_ONLY
    real: Path | None = option(
        None,
        "The real clip or pictures. Each trial shows one of these and one of the others, for --seconds each.",
        Group.INPUT,
        metavar="CLIP|FOLDER",
    )
    labels: tuple[str, ...] = LABELS_OPTION(())
    stills: bool = option(False, "Show single frames of clips instead of excerpts.", Group.TIME)
    seconds: float | None = option(
        None,
        "Length of an excerpt in seconds. With --real: how long each is shown.",
        Group.TIME,
        bounds=(0.1, 30),
        default_text=f"{EXCERPT_S:g}; with --real {EXPOSURE_S:g}",
    )
    trials: int = option(
        DEFAULT_TRIALS,
        "Largest number of questions for each person. There are fewer if there is less to compare.",
        Group.INPUT,
        bounds=(1, 1000),
    )
    repeats: float = option(
        0.1,
        "Share of the trials that repeat an earlier trial with exchanged sides, to check attention.",
        Group.INPUT,
        bounds=(0, 0.5),
    )
    critic: Path | None = option(
        None,
        "Also add a machine's vote: it chooses what is nearer to REFERENCE, the style of one picture, or the "
        "content of a clip or folder. The report compares it with the people's votes, and does not count it.",
        Group.OUTPUT,
        metavar="REFERENCE",
    )
    results: tuple[Path, ...] = option(
        (), "Report the votes of this .jsonl file, and serve no page. Can be repeated.", Group.OUTPUT, metavar="VOTES"
    )
    left_out: tuple[str, ...] = option(
        (), "Report the results without the votes of this person.", Group.OUTPUT, ("--leave-out",), metavar="NAME"
    )

    def __post_init__(self) -> None:
        self.check_address("see the pictures and vote")
        check_suffix(self.output, "the page", ".html")
        least, what = (1, "one clip or folder") if self.real else (2, "two clips or folders")
        if len(self.clips) < least and (self.clips or self.real or not self.results):
            remedy = "give one more" if self.clips else "give what is compared"
            raise UsageError("vote", f"it takes at least {what}", remedy + (", or --real" if not self.real else ""))
        if self.critic and not self.clips:
            raise UsageError("--critic", "it has to see what was voted on", "name the clips too: vidtrans vote A B")
        if len(self.labels) > len(self.clips):
            why = f"{count(len(self.labels), 'label')} for {count(len(self.clips), 'clip')}"
            raise UsageError("--label", why, "give one per clip, in order")

    def make(self, context: Context) -> Table:
        """Serve the voting page until a stop is requested, or report the votes of log files.

        Raises UsageError, MediaError, ModelError.
        """
        from vidtrans.core.files import base_name
        from vidtrans.output.result import Result, refuse_link
        from vidtrans.voting.result_page import Material, check_left_out
        from vidtrans.voting.vote_log import SUFFIX, VoteLog, read_votes_on

        if self.results and not self.clips:
            return self._report(VoteLog.merged(self.results), self.output, Material(), context)
        stimuli, study = self._study(context)
        if self.results:
            log, page = VoteLog.merged(self.results), self.output
            if (log.study.digests, log.study.items) != (study.digests, study.items):
                remedy = "name the clips that were voted on, in their order, with the options of that vote"
                raise UsageError(str(self.results[0]), "its votes are on other conditions", remedy)
            return self._report(log, page, self._material(stimuli, study, context), context)
        page = self.output or refuse_link(Path(f"{base_name(self.clips[0])}.vote.html"))
        votes = page.with_suffix(SUFFIX)
        Result(page, "", self.clips, context, lineage=_lineage(study)).existing()
        Result(votes, "", self.clips, context).check()
        check_left_out(read_votes_on(study, votes), self.left_out)
        self._note_limits(stimuli, study, context)
        if context.dry_run:
            plan = {"trials": study.num_trials, "items": len(study.items), "forced_s": round(study.forced_s, 1)}
            return {"output": str(page), "log": str(votes), "dry_run": True, "seconds": 0.0, "cached": False, **plan}
        material = self._material(stimuli, study, context)
        log = self._serve(stimuli, study, votes, context)
        report_context = replace(
            context, stop=Stop()
        )  # The stop request that ended the server must not stop the report.
        return self._report(log, page, material, report_context) | {"log": str(votes)}

    def show(self, table: Table, terminal: Terminal) -> int:
        """Print the table of votes by condition and then the report; return the exit status."""
        if table.get("votes"):
            terminal.figures(*_figures(table))
        return super().show(table, terminal)

    def describe(self, table: Table) -> str:
        """Return the numbers of people and votes, and the verdict, as text. ``table``: the result of ``make``."""
        if table.get("dry_run"):
            waits = f"{count(table['trials'], 'trial')} a person, of {count(table['items'], 'item')}"
            return f"would ask {waits}; the page waits {table['forced_s']:.0f} s in all, beside the answers"
        people = len(table["voters"])
        lines = [f"{'1 person' if people == 1 else f'{people} people'}, {count(table['votes'], 'vote')}"]
        if (repeated := table["repeated"])["whole"]:
            lines[0] += f"; {repeated['part']} of {count(repeated['whole'], 'repetition')} answered alike"
        lines.append(table["verdict"])
        if critic := table["critic"]:
            order = ", ".join(f"{row['name']} {row['distance']:.3g}" for row in critic["order"])
            lines.append(f"the critic ({critic['measured']}), nearest first: {order}")
            if critic["whole"]:
                unit = "pairs of conditions" if table["question"] == "real" else "votes"
                lines[-1] += f"; it agrees with {critic['part']} of {critic['whole']} {unit}"
        if table["skipped"]:
            lines.append(f"{count(table['skipped'], 'damaged line')} of the log left out")
        return "\n".join([*lines, *([f"{table['output']}"] if table["output"] else [])])

    def _study(self, context: Context) -> tuple[Stimuli, Study]:
        """Open the clips; return them, and the study: its conditions (the clips to compare), items and trials.

        An item is an excerpt or a picture that all conditions have.
        """
        from vidtrans.voting.ballot import Study
        from vidtrans.voting.stimuli import condition_names, open_stimuli

        names = condition_names(self.clips, self.labels)
        if self.real and "real" in names:
            raise UsageError("'real'", "that is what --real is called", "name the others: --label A --label B")
        seconds = self.seconds or (EXPOSURE_S if self.real else EXCERPT_S)
        paths = [*self.clips, *([self.real] if self.real else [])]
        stimuli = open_stimuli(paths, 0.0 if self.stills else seconds, context)
        names += ["real"] if self.real else []
        if self.seconds and not self.real and not stimuli.is_motion:
            raise UsageError("--seconds", "stills are shown until the answer", "leave it out, or add --real")
        study = Study(
            tuple(names),
            stimuli.digests,
            stimuli.items,
            self.real is not None,
            stimuli.is_motion,
            seconds,
            self.trials,
            self.repeats,
            context.seed,
        )
        return stimuli, study

    def _note_limits(self, stimuli: Stimuli, study: Study, context: Context) -> None:
        """Warn about limits of the study: clips of different sizes or equal content, fewer trials than requested."""
        stimuli.warn_about_sizes(study.conditions, context)
        for n, digest in enumerate(study.digests):
            if (same := study.digests.index(digest)) < n:
                context.note(f"{study.conditions[n]} has the same content as {study.conditions[same]}", "warning")
        if study.num_trials < self.trials:
            things = f"{count(len(study.items), 'item')} of {count(len(self.clips), 'condition')}"
            context.note(f"{things} give {count(study.num_trials, 'trial')} a person, not {self.trials}")

    def _material(self, stimuli: Stimuli, study: Study, context: Context) -> Material:
        """Return the content of the result page besides the votes: an example picture of each condition, and distances.

        The distances are those of each picture from the clip of --critic, measured by a network; without --critic there
        are none.
        """
        from vidtrans.voting.result_page import Material, examples_of

        examples = examples_of(stimuli, study.conditions)
        if self.critic is None:
            return Material(examples)
        from vidtrans.voting.machine_critic import measure_distances

        return Material(examples, *measure_distances(stimuli, len(self.clips), self.critic, context))

    def _serve(self, stimuli: Stimuli, study: Study, votes: Path, context: Context) -> VoteLog:
        """Serve the page of the vote until a stop is requested; return the log of all votes."""
        from vidtrans.voting.poll import Poll, make_app
        from vidtrans.voting.vote_log import OpenLog
        from vidtrans.voting.vote_summary import summarise
        from vidtrans.web.server import WebServer

        opened = OpenLog(votes, study)
        try:
            server = WebServer(self.address())
            if given := sum(map(len, opened.log.votes.values())):
                people = count(len(opened.log.votes), "voter")
                context.note(f"{votes}: {count(given, 'vote')} of {people} so far; continuing")
            context.note(f"open {server.link()}")
            self.announce_reach(server, context, "see the pictures and vote")
            self.open_in_browser(server.link())
            app = make_app(Poll(study, opened), stimuli, lambda: summarise(opened.log, self.left_out))
            server.run(app, context.stop)
        finally:
            opened.close()
        return opened.log

    def _report(self, log: VoteLog, output: Path | None, material: Material, context: Context) -> Table:
        """Return the outcome of a log, and write its page to ``output``; without votes, nothing is written.

        Raises UsageError if a name of --leave-out has no votes, or another result is at ``output``.
        """
        from vidtrans.output.result import produce
        from vidtrans.voting.result_page import VERSION, outcome, write_page

        table = outcome(log, self.left_out, material)
        if output is None or not any(log.votes.values()):
            return {"output": None, "seconds": 0.0, "cached": False} | table

        def make(path: Path) -> Table:
            """Write the page to ``path``."""
            write_page(path, table, log.study, material.examples)
            return {}

        key = {"command": "vote", "version": VERSION, "table": table, "examples": sorted(material.examples)}
        return produce(context, output, key, self.clips, lambda: make, lineage=_lineage(log.study)) | table


def _lineage(study: Study) -> str:
    """Return a digest that all pages of one vote share, so that a new page may replace an earlier one."""
    return digest_of(["vote", list(study.digests), study.is_real])


def _figures(table: Table) -> tuple[list[str], list[list[str]]]:
    """Return the headings and rows of the table of votes, with the 95 % interval of each condition."""
    is_real = table["question"] == "real"
    headings = ["", "taken for real", "of", "95 %"] if is_real else ["", "preferred", "of", "score", "95 %"]
    rows = []
    for row in table["conditions"]:
        share = f"{100 * row['part'] / row['whole']:.0f} %" if row["whole"] else "–"
        if row["low"] is None:
            own = ["–"] * (1 if is_real else 2)
        elif is_real:
            own = [f"{100 * row['low']:.0f} to {100 * row['high']:.0f} %"]
        else:
            own = [f"{row['value']:.2f}", f"{row['low']:.2f} to {row['high']:.2f}"]
        rows.append([row["name"], share, str(row["whole"]), *own])
    return headings, rows
