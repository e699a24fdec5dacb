"""The demonstration shows what it says, from nothing, in one command."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from flows import report

SCHEMA = json.loads(Path(report.__file__).with_name("scan.schema.json").read_text())


@pytest.mark.cluster
def test_every_repository_comes_out_as_it_was_made(home: Path) -> None:
    command = [sys.executable, "-m", "flows", "--home", str(home), "demo", "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    document = json.loads(done.stdout)
    assert document.pop("wrong") == []
    assert done.returncode == 0
    jsonschema.validate(document, SCHEMA)
    assert len(document["findings"]) + len(document["independent"]) + len(document["skipped"]) > 30
    assert {line["reason"] for line in document["skipped"]} == {"gated", "no_weights", "pickle_only", "truncated"}
