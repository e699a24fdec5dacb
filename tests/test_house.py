"""The house's own laws: style, types, imports, and a wheel that works where no checkout is."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def run(*command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """A finished command; its output is shown where the test fails."""
    done = subprocess.run(command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False)
    print(done.stdout[-6000:], done.stderr[-6000:])
    return done


@pytest.mark.parametrize(
    "command",
    [("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",), ("lint-imports",)],
    ids=["style", "format", "types", "imports"],
)
def test_the_house_is_in_order(command: tuple[str, ...]) -> None:
    assert run(str(BIN / command[0]), *command[1:]).returncode == 0


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    assert run(uv(), "build", "--wheel", "--out-dir", str(out)).returncode == 0
    return next(out.glob("*.whl"))


def uv() -> str:
    """The uv that runs us, or the one on the path."""
    found = os.environ.get("UV") or shutil.which("uv")
    assert found is not None, "the tests are run by `uv run pytest`"
    return found


def test_the_wheel_holds_the_three_packages_and_their_data_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    roots = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert roots == {"flows", "index", "scanners"}
    data = {"scanners/calibration.json", "scanners/architectures/llama.json", "flows/scan.schema.json"}
    assert data <= set(names)
    assert any(name.startswith("index/migrations/versions/") for name in names)


def test_the_installed_wheel_runs_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "environment"
    assert run(uv(), "venv", "--python", sys.executable, str(place), cwd=tmp_path).returncode == 0
    python = str(place / "bin" / "python")
    installed = run(uv(), "pip", "install", "--quiet", "--python", python, str(wheel), cwd=tmp_path)
    assert installed.returncode == 0
    done = run(str(place / "bin" / "kinprint"), "--home", str(tmp_path / "home"), "findings", "--json", cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["findings"] == []
    where = run(python, "-c", "import flows; print(flows.__file__)", cwd=tmp_path)
    assert str(ROOT) not in where.stdout
