"""Review cases as JSON documents and as tables for a terminal."""

from collections.abc import Iterable
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from flows import report
from flows.terminal import printable
from index.cases import Activity, ReviewCase

Document = dict[str, Any]


def line(case: ReviewCase) -> Document:
    """What ``review list`` says of one case."""
    return {
        "id": case.id,
        "repo": case.repo,
        "status": case.status.value,
        "outcome": case.outcome.value if case.outcome else None,
        "verdict": case.verdict.value,
        "references": sorted({finding.reference for finding in case.findings}),
        "findings": len(case.findings),
        "disagreement": case.disagreement,
        "opened_at": case.opened_at.isoformat(),
        "updated_at": case.updated_at.isoformat(),
    }


def whole(case: ReviewCase, activities: Iterable[Activity]) -> Document:
    """Everything about one case: its findings with their evidence, and its history."""
    ids = {finding.subject.uri: case.id for finding in case.findings}
    return {
        **line(case),
        "findings": report.document(case.findings, ids)["findings"],
        "activities": [_activity(activity) for activity in activities],
    }


def _activity(activity: Activity) -> Document:
    return {
        "at": activity.at.isoformat(),
        "actor": activity.actor,
        "automated": activity.automated,
        "previous": activity.previous.value if activity.previous else None,
        "status": activity.status.value,
        "outcome": activity.outcome.value if activity.outcome else None,
        "reasons": [reason.value for reason in activity.reasons],
        "note": activity.note,
    }


def table(lines: Iterable[Document]) -> Table:
    """One row a case."""
    drawn = Table("case", "suspect", "resembles", "verdict", "status", "outcome", "findings")
    for case in lines:
        who = (str(case["id"]), case["repo"], ", ".join(case["references"]))
        state = (case["verdict"], case["status"], case["outcome"] or "", str(case["findings"]))
        drawn.add_row(*(escape(printable(cell)) for cell in who + state))
    return drawn


def page(case: Document) -> Group:
    """One case for a person: findings, evidence, layer maps, history."""
    evidence = Table("test", "statistic", "of", "log10 p", "null")
    layers = Table("suspect layer", "registered layer", "units that agree")
    for finding in case["findings"]:
        for one in finding["evidence"]:
            numbers = f"{one['statistic']:.4g}", str(one["sample_size"]), f"{one['log10_p']:.1f}"
            evidence.add_row(escape(one["test"]), *numbers, escape(one["null"]))
        for suspect, reference, score in finding["layer_map"]:
            layers.add_row(str(suspect), str(reference), f"{score:.0%}")
    return Group(report.findings_table(case["findings"]), evidence, layers, _history(case["activities"]))


def _history(activities: Iterable[Document]) -> Table:
    drawn = Table("when", "who", "status", "outcome", "note")
    for activity in activities:
        cells = (activity["at"], activity["actor"], activity["status"], activity["outcome"] or "")
        drawn.add_row(*(escape(printable(cell)) for cell in (*cells, activity["note"])))
    return drawn
