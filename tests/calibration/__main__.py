"""`python -m tests.calibration` fits the thresholds, `--evaluate` judges the shipped ones on the other models.

With --write the thresholds replace scanners/calibration.json, the rates tests/calibration/evaluation.json.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import scanners
from scanners.calibration import shipped
from tests.calibration.cohort import CALIBRATION, EVALUATION, digest, members
from tests.calibration.fit import fit, rates, similarity
from tests.calibration.measure import measure

THRESHOLDS = Path(scanners.__file__).parent / "calibration.json"
RATES = Path(__file__).parent / "evaluation.json"


def fitted() -> dict[str, Any]:
    """The thresholds, from the calibration models alone: first how alike strangers are, then the rest."""
    strangers = [member for member in members(CALIBRATION) if not member.derived]
    least = similarity(list(measure(CALIBRATION, strangers, {})))
    return fit(list(measure(CALIBRATION, members(CALIBRATION), least)), least)


def evaluated() -> dict[str, Any]:
    """The rates of the shipped thresholds on the evaluation models."""
    calibration = shipped()
    found = list(measure(EVALUATION, members(EVALUATION), calibration.similarity))
    return {"models": digest(EVALUATION), "thresholds": calibration.digest, **rates(calibration, found)}


def main() -> None:
    """Measure, print, and with --write store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluate", action="store_true")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    text = json.dumps(evaluated() if asked.evaluate else fitted(), indent=2) + "\n"
    if asked.write:
        (RATES if asked.evaluate else THRESHOLDS).write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
