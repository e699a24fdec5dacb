"""`python -m tests.calibration` measures the calibration set and prints the thresholds; --write stores them."""

import argparse
import json
from pathlib import Path

import scanners
from tests.calibration.cohort import members
from tests.calibration.fit import fit, similarity
from tests.calibration.measure import measure

FILE = Path(scanners.__file__).parent / "calibration.json"


def main() -> None:
    """Fits, prints, and with --write replaces scanners/calibration.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"replace {FILE.name}")
    strangers = [member for member in members() if not member.derived]
    least = similarity(list(measure(strangers, {})))
    text = json.dumps(fit(list(measure(members(), least)), least), indent=2) + "\n"
    if parser.parse_args().write:
        FILE.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
