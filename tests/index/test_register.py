"""The register keeps what it is given, once, and remembers what it gave up."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from index.ledger import Ledger
from index.register import Register
from index.store import connect
from scanners import fingerprint_file
from scanners.errors import UsageError
from tests.index import samples
from tests.index.processes import at_once


def test_what_is_registered_is_there(engine: Engine) -> None:
    register = Register(engine)
    model = register.add("original", "Owner AG", "protected", samples.fingerprint(1))
    assert (model.name, model.owner, model.role) == ("original", "Owner AG", "protected")
    assert model.uri == f"hf://owner/original@{samples.commit(1)}"
    assert model.schemes == (samples.SCHEME, samples.OTHER_SCHEME)
    assert register.list() == [model]
    assert register.get(model.id) == model


def test_a_fingerprint_comes_back_as_it_went(engine: Engine) -> None:
    register, original = Register(engine), samples.fingerprint(1)
    model = register.add("original", "Owner AG", "protected", original)
    again = register.fingerprint(model.id)
    assert fingerprint_file.to_bytes(again) == fingerprint_file.to_bytes(original)


def test_registering_twice_registers_once(engine: Engine) -> None:
    register = Register(engine)
    model = register.add("original", "Owner AG", "protected", samples.fingerprint(1))
    assert register.add("original", "Owner AG", "protected", samples.fingerprint(1)) == model
    assert register.version() == 1


def _register(url: str) -> int:
    return Register(connect(url)).add("original", "Owner AG", "protected", samples.fingerprint(1)).id


def test_processes_that_register_at_once_register_once(engine: Engine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    assert len(set(at_once(_register, [url] * 4))) == 1
    assert len(Register(engine).list()) == 1


def test_another_commit_is_a_further_entry_of_the_name(engine: Engine) -> None:
    register = Register(engine)
    for seed in (1, 2):
        register.add("original", "Owner AG", "protected", samples.fingerprint(seed))
    assert [model.commit for model in register.list()] == [samples.commit(1), samples.commit(2)]


def test_other_schemes_are_a_further_entry_of_the_name(engine: Engine) -> None:
    register, fingerprint = Register(engine), samples.fingerprint(1)
    fewer = tuple(s for s in fingerprint.sketches if s.scheme == samples.SCHEME)
    register.add("original", "Owner AG", "protected", fingerprint)
    register.add("original", "Owner AG", "protected", replace(fingerprint, sketches=fewer))
    assert [model.schemes for model in register.list()][1] == (samples.SCHEME,)


@pytest.mark.parametrize(
    ("owner", "role"),
    [("Owner AG", "ancestor"), ("Another", "protected"), ("", "protected"), ("Owner AG", "")],
)
def test_a_name_stands_for_one_owner_and_one_role(engine: Engine, owner: str, role: str) -> None:
    register = Register(engine)
    register.add("original", "Owner AG", "protected", samples.fingerprint(1))
    with pytest.raises(UsageError):
        register.add("original", owner, role, samples.fingerprint(2))
    assert register.version() == 1


def test_one_scheme_has_vectors_of_one_length(engine: Engine) -> None:
    register, fingerprint = Register(engine), samples.fingerprint(2)
    register.add("original", "Owner AG", "protected", samples.fingerprint(1))
    longer = replace(fingerprint.sketches[0], vector=samples.vector(1, dim=64))
    with pytest.raises(UsageError, match="length"):
        register.add("longer", "Owner AG", "protected", replace(fingerprint, sketches=(longer,)))


def test_exact_copies_are_known_by_their_hash(engine: Engine) -> None:
    register = Register(engine)
    first, second = (
        register.add(name, "Owner AG", "protected", samples.fingerprint(seed))
        for seed, name in enumerate(("a", "b"), 10)
    )
    assert register.by_sha256([f"{11:064X}", f"{99:064x}", "not a hash"]) == [second]
    assert register.by_sha256(f"{n:064x}" for n in range(5000)) == [first, second]
    assert register.by_sha256([]) == []


def test_a_removed_model_is_not_protected_any_more(engine: Engine) -> None:
    register = Register(engine)
    model = register.add("original", "Owner AG", "protected", samples.fingerprint(1))
    assert register.remove("original", "ann") == 1
    assert register.list() == []
    assert register.by_sha256([f"{1:064x}"]) == []
    assert register.get(model.id) == model
    assert [entry.kind for entry in Ledger(engine).entries()] == ["model_registered", "model_removed"]


def test_a_removed_model_can_be_registered_anew(engine: Engine) -> None:
    register = Register(engine)
    old = register.add("original", "Owner AG", "protected", samples.fingerprint(1))
    register.remove("original", "ann")
    new = register.add("original", "Owner AG", "ancestor", samples.fingerprint(1))
    assert new.id > old.id
    assert register.list() == [new]


def test_the_version_grows_with_every_change(engine: Engine) -> None:
    register, versions = Register(engine), []
    for change in (
        lambda: register.add("a", "Owner AG", "protected", samples.fingerprint(1)),
        lambda: register.add("b", "Owner AG", "ancestor", samples.fingerprint(2)),
        lambda: register.remove("a", "ann"),
        lambda: register.add("a", "Owner AG", "protected", samples.fingerprint(1)),
        lambda: register.remove("a", "ann"),
    ):
        change()
        versions.append(register.version())
    assert versions == sorted(set(versions))


def test_what_is_not_there_is_said_so(engine: Engine) -> None:
    register = Register(engine)
    for ask in (register.get, register.fingerprint):
        with pytest.raises(UsageError):
            ask(1)
    with pytest.raises(UsageError):
        register.remove("nobody", "ann")


def test_a_name_that_no_database_takes_is_kept(engine: Engine) -> None:
    register = Register(engine)
    model = register.add("nul \0 and \ud800", "Owner AG", "protected", samples.fingerprint(1))
    assert register.list() == [model]
    assert register.add("nul \0 and \ud800", "Owner AG", "protected", samples.fingerprint(1)) == model
