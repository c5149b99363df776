"""``vidtrans doctor``: check device, codecs, libraries and disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vidtrans.commands.base import Command
from vidtrans.commands.text_reports import Terminal
from vidtrans.core.events import Progress
from vidtrans.core.options import Group, option
from vidtrans.core.settings import Table
from vidtrans.session import Context

# First column of the report, padded to one width, by the state of a finding
STATE_LABELS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


@dataclass(frozen=True)
class Doctor(Command):
    """Check the device, codecs, libraries and disk, and suggest a remedy for each problem."""

    CONTEXT: ClassVar = ("device",)

    self_test: bool = option(
        False,
        "Also test the results and the speed of the device, for one or two minutes. --json prints all figures.",
        Group.SPEED,
    )

    def make(self, context: Context) -> Table:
        """Run all checks; the returned entry ``wrong`` has the names of failed ones.

        Raises UsageError, DeviceError, Interrupted.
        """
        from vidtrans.doctor.checks import run_checks

        test = None
        if self.self_test:
            from vidtrans.doctor.self_test import SelfTest
            from vidtrans.inference.device import resolve_device

            test = SelfTest(resolve_device(context.device))
        findings = []
        for checks in (run_checks(context.device), test or ()):
            for finding in checks:
                context.stop.check()
                findings.append(finding)
                context.report(Progress(f"checked {finding.name}", len(findings), None, "checks"))
        wrong = [finding.name for finding in findings if finding.state == "wrong"]
        table: Table = {"findings": [finding.__dict__ for finding in findings], "wrong": wrong}
        return table | ({"self_test": test.table} if test is not None else {})

    def describe(self, table: Table) -> str:
        """Return a line for each finding, if all checks succeeded. ``table``: the result of ``make``."""
        return "\n".join([*map(_line, table["findings"]), "all is well"])

    def show(self, table: Table, terminal: Terminal) -> int:
        """Show the findings, with --quiet only those of failed checks; return the exit status."""
        if not table["wrong"]:
            return super().show(table, terminal)
        if not terminal.as_json:
            shown = [f for f in table["findings"] if f["state"] == "wrong" or not terminal.quiet]
            terminal.text("\n".join(map(_line, shown)))
        terminal.failure(f"not everything is as it should be: {', '.join(table['wrong'])}", 1, table)
        return 1


def _line(finding: Table) -> str:
    """Return the line on a finding: its state, name and detail, with the remedy on a second line."""
    text = f"{STATE_LABELS[finding['state']]} {finding['name']:15} {finding['detail']}"
    return f"{text}\n{'':6}{'':15} -> {finding['remedy']}" if finding["remedy"] else text
