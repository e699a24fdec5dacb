"""The document is what its schema says, whatever a hub puts into a name."""

import io
import json
from pathlib import Path

import jsonschema
from rich.console import Console

from flows import report
from scanners.errors import Reason
from scanners.records import Outcome
from tests.flows.subjects import acquittal, finding, revision, skipped

SCHEMA = json.loads(Path(report.__file__).with_name("scan.schema.json").read_text())
HOSTILE = "evil/\x1b]0;owned\x07[red]name"
OUTCOMES: list[Outcome] = [
    finding(revision("owner/copy")),
    acquittal(revision("owner/stranger")),
    skipped(revision(HOSTILE), Reason.GATED),
]


def test_the_document_keeps_to_its_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(report.document(OUTCOMES, {}), SCHEMA)
    jsonschema.validate(report.document([], {}), SCHEMA)


def test_the_document_is_json_even_where_a_probability_is_zero() -> None:
    text = json.dumps(report.document(OUTCOMES, {}), allow_nan=False)
    assert json.loads(text)["findings"][0]["evidence"][0]["log10_p"] == report.SMALLEST_LOG10_P


def test_a_finding_names_its_case() -> None:
    document = report.document(OUTCOMES, {revision("owner/copy").uri: 7})
    assert document["findings"][0]["case"] == 7


def test_a_scan_with_a_gap_is_not_complete() -> None:
    assert report.document(OUTCOMES, {})["complete"] is False
    assert report.document(OUTCOMES[:2], {})["complete"] is True


def test_a_name_cannot_steer_the_terminal() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(report.tables(report.document(OUTCOMES, {})))
    text = console.export_text()
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[red]name" in text


def test_a_finding_says_why_it_matched() -> None:
    found = finding(revision("owner/copy"))
    document = report.document([found, acquittal(revision("owner/stranger"))], {found.subject.uri: 7})
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(report.tables(document))
    text = console.export_text()
    assert "owner/copy resembles" in text
    assert "case 7 opened" in text
    assert all(evidence["test"] in text for evidence in document["findings"][0]["evidence"])
    assert "independent weights" in text
