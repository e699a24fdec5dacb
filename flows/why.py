"""Why a subject matched, in a few lines for a person."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from flows.terminal import printable

Document = dict[str, Any]

FEW = 3  # findings that are all explained; of more, one is


def explained(findings: list[Document]) -> list[Table]:
    """The reasons of a few findings; of many, those of one whose coordinates were hidden, if there is one."""
    if len(findings) <= FEW:
        return [why(finding) for finding in findings]
    return [why(next((f for f in findings if f["relation"] == "disguised"), findings[0]))]


def why(finding: Document) -> Table:
    """One finding with its evidence: what was counted, of how many, and how likely that is by chance."""
    subject, reference = finding["subject"]["repo"], finding["reference"]["name"]
    opened = f"; case {finding['case']} opened" if finding["case"] else ""
    heading = f"{subject} resembles {reference}: {finding['verdict']}, {finding['relation']}{opened}"
    table = Table(title=escape(printable(heading)), title_justify="left", title_style="bold", box=None)
    for column in ("evidence", "found", "by chance"):
        table.add_column(column, header_style="dim")
    for evidence in finding["evidence"]:
        table.add_row(escape(evidence["test"]), _found(evidence), _chance(evidence))
    if finding["layer_map"]:
        pairs = " ".join(f"{suspect}:{registered}" for suspect, registered, _ in finding["layer_map"])
        table.add_row("layers, suspect:registered", pairs, "")
    return table


def _found(evidence: Document) -> str:
    if "sketches" in evidence["test"]:
        return f"cosine {evidence['statistic']:.2f}"
    if evidence["test"].startswith("best test"):
        return f"median similarity {evidence['statistic']:.2f}"
    if evidence["test"] == "cohort":
        return f"{evidence['statistic']:.0f} of {evidence['sample_size']} strangers flagged"
    return f"{evidence['statistic']:.0f} of {evidence['sample_size']} agree"


def _chance(evidence: Document) -> str:
    if "sketches" in evidence["test"]:
        return "0 +- 0.06"
    if evidence["test"] == "cohort":
        return f"rate below {10 ** evidence['log10_p']:.1%}"
    return f"p <= 1e{evidence['log10_p']:.0f}" if evidence["log10_p"] < 0 else "p <= 1"
