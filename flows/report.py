"""Outcomes as one JSON document (flows/scan.schema.json) and as tables for a terminal."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from flows import exits
from flows.terminal import printable
from flows.why import explained
from scanners.records import Acquittal, Coverage, Evidence, Finding, Outcome, RepoRevision, Skipped

SMALLEST_LOG10_P = -1e6  # JSON has no word for minus infinity
MANY = 20  # subjects with nothing to say that are still worth a line each
Document = dict[str, Any]
CaseIds = Mapping[str, int | str]  # subject's uri -> case


def document(outcomes: Iterable[Outcome], cases: CaseIds) -> Document:
    """The document that ``scan --json`` prints."""
    outcomes = list(outcomes)
    skipped = [outcome for outcome in outcomes if isinstance(outcome, Skipped)]
    return {
        "complete": exits.complete(outcomes),
        "scanned": len(outcomes) - len(skipped),
        "skipped": [{"source": s.source, "reason": s.reason, "detail": s.detail} for s in skipped],
        "findings": [_finding(o, cases) for o in outcomes if isinstance(o, Finding)],
        "independent": [_acquittal(o) for o in outcomes if isinstance(o, Acquittal)],
    }


def _finding(finding: Finding, cases: CaseIds) -> Document:
    return {
        "subject": _subject(finding.subject),
        "reference": {"name": finding.reference},
        "verdict": finding.verdict.value,
        "relation": finding.relation.value,
        "score": finding.score,
        "error_rate": finding.error_rate,
        "layer_map": [[m.suspect_layer, m.reference_layer, m.score] for m in finding.layer_map],
        "evidence": [_evidence(evidence) for evidence in finding.evidence],
        "case": cases.get(finding.subject.uri),
        **_cost(finding.coverage),
    }


def _evidence(evidence: Evidence) -> Document:
    log10_p = max(evidence.log10_p, SMALLEST_LOG10_P)
    return {**asdict(evidence), "log10_p": log10_p, "detail": dict(evidence.detail)}


def _acquittal(acquittal: Acquittal) -> Document:
    return {
        "subject": _subject(acquittal.subject),
        "best_reference": acquittal.best_reference,
        "relation": acquittal.relation.value,
        "score": acquittal.score,
        "error_rate": acquittal.error_rate,
        **_cost(acquittal.coverage),
    }


def _subject(subject: RepoRevision) -> Document:
    return {"repo": subject.repo, "commit": subject.commit}


def _cost(coverage: Coverage) -> Document:
    return {
        "bytes_read": coverage.bytes_read,
        "bytes_total": coverage.bytes_total,
        "requests": coverage.requests,
    }


def tables(report: Document) -> Group:
    """The same document for a person: findings, what could not be read and why, and the cost."""
    parts: list[Any] = []
    if report["findings"]:
        parts += [findings_table(report["findings"]), *explained(report["findings"])]
    if 0 < len(report["independent"]) <= MANY:
        parts.append(_independent_table(report["independent"]))
    if report["skipped"]:
        parts.append(_skipped_table(report["skipped"]))
    return Group(*parts, _summary(report))


def findings_table(findings: list[Document]) -> Table:
    """One line a finding."""
    table = Table("subject", "reference", "verdict", "relation", "score", "error rate", "read", "case")
    for finding in findings:
        cells = (
            finding["subject"]["repo"],
            finding["reference"]["name"],
            finding["verdict"],
            finding["relation"],
            f"{finding['score']:.2f}",
            f"{finding['error_rate']:.0e}",
            share(finding["bytes_read"], finding["bytes_total"]),
            str(finding["case"] or ""),
        )
        table.add_row(*(escape(printable(cell)) for cell in cells))
    return table


def _independent_table(acquitted: list[Document]) -> Table:
    table = Table("independent weights", "nearest", "score", "missed at most", "read")
    for line in acquitted:
        cells = (
            line["subject"]["repo"],
            line["best_reference"] or "",
            f"{line['score']:.2f}",
            f"{line['error_rate']:.1%}",
            share(line["bytes_read"], line["bytes_total"]),
        )
        table.add_row(*(escape(printable(cell)) for cell in cells))
    return table


def _skipped_table(skipped: list[Document]) -> Table:
    table = Table("not looked at", "reason", "detail")
    for line in skipped:
        table.add_row(*(escape(printable(line[name])) for name in ("source", "reason", "detail")))
    return table


def _summary(report: Document) -> str:
    looked_at = report["findings"] + report["independent"]
    read = sum(line["bytes_read"] for line in looked_at)
    total = sum(line["bytes_total"] for line in looked_at)
    state = "complete" if report["complete"] else "incomplete"
    return escape(
        f"{len(report['findings'])} findings, {len(report['independent'])} independent, "
        f"{len(report['skipped'])} not looked at: {state}; {share(read, total)} read"
    )


def share(read: int, total: int) -> str:
    """Bytes read of bytes there are: ``1.2 of 16.0 MB (7.5 %)``."""
    percent = 100 * read / total if total else 0.0
    return f"{read / 1e6:.1f} of {total / 1e6:.1f} MB ({percent:.2g} %)"
