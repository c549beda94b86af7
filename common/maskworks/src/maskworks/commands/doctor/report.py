"""The findings for people and for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict

from maskworks.commands.doctor.finding import Finding

_MARKS = {"ok": "ok", "note": "note", "problem": "PROBLEM"}


def table(findings: Sequence[Finding], width: int = 120) -> str:
    """A line for each finding, longer ones continued below."""
    topic_width = max(len(finding.topic) for finding in findings)
    lines = []
    for finding in findings:
        head = f"{_MARKS[finding.state]:<8} {finding.topic:<{topic_width}}  "
        lines.append(
            textwrap.fill(
                finding.text, max(width, len(head) + 40), initial_indent=head, subsequent_indent=" " * len(head),
                break_long_words=False, break_on_hyphens=False,
            )
        )  # fmt: skip
    problems = sum(finding.state == "problem" for finding in findings)
    lines.append("")
    lines.append("all is well" if not problems else f"{problems} problem{'s' if problems > 1 else ''} found")
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """The findings as a JSON array of objects with `topic`, `state` and `text`."""
    return json.dumps([asdict(finding) for finding in findings], indent=2)
