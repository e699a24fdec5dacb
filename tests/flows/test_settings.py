"""One reader of the environment, and nobody beyond loopback."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flows.settings import QUIET, Settings
from scanners.schemes import Schemes


def test_the_home_is_absolute_wherever_one_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings(home=Path("here")).home == tmp_path / "here"


def test_the_database_is_in_the_home_unless_it_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().database == f"sqlite:///{home / 'kinprint.db'}"
    monkeypatch.setenv("KINPRINT_DATABASE_URL", "postgresql://audit@db/kinprint")
    assert Settings().database == "postgresql://audit@db/kinprint"


def test_names_of_the_dependencies_are_understood(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    settings = Settings()
    assert settings.hf_endpoint == "http://127.0.0.1:1"
    assert settings.ray_address == "127.0.0.1:6379"
    assert settings.prefect_api_url == "http://127.0.0.1:4200/api"


def test_a_token_is_in_no_text_of_the_settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert "hf_secret" not in repr(Settings())


def test_a_secret_is_made_once_and_only_its_owner_reads_it(home: Path) -> None:
    with ThreadPoolExecutor(8) as together:
        keys = set(together.map(lambda _: Settings().key_bytes(), range(8)))
    assert len(keys) == 1
    assert stat.S_IMODE((home / "key").stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == ["key"]
    Schemes(keys.pop())


def said(script: str, **environment: str) -> str:
    """What a fresh interpreter prints whose environment says nothing else about the dependencies."""
    ours = ("KINPRINT_", "PREFECT_", "RAY_", "HF_", "OMP_", "OPENBLAS_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=inherited | environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_operators_own_choice_wins() -> None:
    assert said("import flows, os; print(os.environ['OMP_NUM_THREADS'])") == "1"
    assert said("import flows, os; print(os.environ['OMP_NUM_THREADS'])", OMP_NUM_THREADS="3") == "3"


def test_importing_the_package_imports_none_of_those_it_quietens() -> None:
    heavy = "('ray', 'prefect', 'huggingface_hub', 'numpy')"
    assert said(f"import flows, sys; print([name for name in {heavy} if name in sys.modules])") == "[]"


def test_every_dependency_is_kept_quiet() -> None:
    assert all(name in os.environ for name in QUIET)


@pytest.mark.parametrize("name", ["PREFECT_HOME", "HF_HOME", "RAY_AUTH_TOKEN_PATH"])
def test_the_state_of_every_dependency_is_in_the_home(home: Path, name: str) -> None:
    script = f"from flows.settings import Settings; Settings().export(); import os; print(os.environ['{name}'])"
    assert Path(said(script, KINPRINT_HOME=str(home))).parent == home


def test_only_a_cluster_of_several_machines_listens_beyond_loopback() -> None:
    script = "import flows, os; print(os.environ.get('RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER'))"
    assert said(script) == "0"
    assert said(script, RAY_ADDRESS="10.0.0.1:6379") == "None"
