"""The register: protected models and their known public ancestors, each with its fingerprint."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal, cast, get_args

from sqlalchemy import Connection, Engine, Row, Select, func, select, update

from index import store
from index.ledger import Ledger
from index.tables import fingerprints, model_files, models
from scanners import codec, fingerprint_file
from scanners.errors import UsageError
from scanners.records import Fingerprint, Shape

ModelRole = Literal["protected", "ancestor"]
_ROLES: frozenset[str] = frozenset(get_args(ModelRole))


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """One commit of one model, under the schemes its fingerprint was made with."""

    id: int
    name: str
    owner: str
    role: str  # "protected", or "ancestor": a public model that protected ones descend from
    uri: str
    commit: str
    shape: Shape
    schemes: tuple[str, ...]  # sorted
    file_sha256: tuple[str, ...]
    registered_at: datetime


Models = list[RegisteredModel]  # inside Register, `list` is a method


class Register:
    """Who is protected. Every change is in the ledger, and none is forgotten."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ledger = Ledger(engine)

    def add(self, name: str, owner: str, role: str, fingerprint: Fingerprint) -> RegisteredModel:
        """Register a commit of a model; the entry there already if name, commit and schemes are its own.

        Another commit under the same name is a further entry of that name.

        Raises:
            UsageError: the name stands for another role or another owner's model, or the fingerprint is
                not one that can be kept.
        """
        if role not in _ROLES or not name or not owner:
            raise UsageError("a model needs a name, an owner, and a role: protected or ancestor")
        model, data = _new(name, owner, role, fingerprint), fingerprint_file.to_bytes(fingerprint)
        with store.writing(self._engine, "register") as connection:
            known = _select(connection, _live().where(models.c.name == name))
            _check_same_kind(model, known)
            for other in known:
                if (other.commit, other.schemes) == (model.commit, model.schemes):
                    return other
            row = _row(model, fingerprint, data)
            _check_same_lengths(connection, row["dims"])
            return self._insert(connection, model, row, data)

    def _insert(
        self, connection: Connection, model: RegisteredModel, row: dict[str, Any], data: bytes
    ) -> RegisteredModel:
        key = cast(Row[Any], connection.execute(models.insert().values(row)).inserted_primary_key).id
        connection.execute(fingerprints.insert().values(model_id=key, data=data))
        if hashes := sorted(filter(_is_sha256, set(model.file_sha256))):
            connection.execute(model_files.insert(), [{"model_id": key, "sha256": h} for h in hashes])
        payload = {"model": key, "uri": model.uri, "name": model.name, "owner": model.owner} | {
            "role": model.role,
            "schemes": model.schemes,
            "fingerprint_sha256": row["fingerprint_sha256"],
        }
        self._ledger.append(connection, "model_registered", payload, model.owner, automated=False)
        return replace(model, id=key)

    def remove(self, name: str, actor: str) -> int:
        """Take all entries of a name out of what is protected; how many they were. The ledger keeps them.

        Raises:
            UsageError: no model of that name is registered.
        """
        with store.writing(self._engine, "register") as connection:
            known = _select(connection, _live().where(models.c.name == name))
            if not known:
                raise UsageError(f"no model {name!r} is registered")
            live = models.c.id.in_([model.id for model in known])
            connection.execute(update(models).where(live).values(removed_at=datetime.now(UTC)))
            payload = {"name": name, "models": [model.id for model in known]}
            self._ledger.append(connection, "model_removed", payload, actor, automated=False)
        return len(known)

    def get(self, model_id: int) -> RegisteredModel:
        """The entry of that number, also if it was removed; UsageError if there never was one."""
        with store.reading(self._engine) as connection:
            found = _select(connection, select(models).where(models.c.id == model_id))
        if not found:
            raise UsageError(f"no model has the number {model_id}")
        return found[0]

    def list(self) -> Models:
        """All entries that are not removed, oldest first."""
        with store.reading(self._engine) as connection:
            return _select(connection, _live())

    def fingerprint(self, model_id: int) -> Fingerprint:
        """The fingerprint of an entry; UsageError if there is no such entry."""
        return fingerprint_file.from_bytes(self.fingerprint_bytes(model_id))

    def fingerprint_bytes(self, model_id: int) -> bytes:
        """The same as the file it is kept as."""
        query = select(fingerprints.c.data).where(fingerprints.c.model_id == model_id)
        with store.reading(self._engine) as connection:
            data = connection.scalar(query)
        if data is None:
            raise UsageError(f"no model has the number {model_id}")
        return bytes(data)

    def by_sha256(self, hashes: Iterable[str]) -> Models:
        """The entries that have a weight file with one of these SHA-256 hashes: exact copies."""
        wanted = {h.lower() for h in hashes}
        owners = select(model_files.c.model_id)
        found: dict[int, RegisteredModel] = {}
        with store.reading(self._engine) as connection:
            for batch in _batches(wanted):
                of_batch = models.c.id.in_(owners.where(model_files.c.sha256.in_(batch)))
                found |= {model.id: model for model in _select(connection, _live().where(of_batch))}
        return [found[model_id] for model_id in sorted(found)]

    def version(self) -> int:
        """A number that grows with every addition and every removal."""
        with store.reading(self._engine) as connection:
            return _version(connection)

    def state(self) -> tuple[int, dict[RegisteredModel, str]]:
        """The version, and all entries with the SHA-256 of their fingerprint files, at one moment."""
        with store.reading(self._engine) as connection:
            rows = connection.execute(_live()).all()
            return _version(connection), {_model(row): row.fingerprint_sha256 for row in rows}


def _live() -> Select[Any]:
    return select(models).where(models.c.removed_at.is_(None)).order_by(models.c.id)


def _select(connection: Connection, query: Select[Any]) -> list[RegisteredModel]:
    return [_model(row) for row in connection.execute(query)]


def _model(row: Row[Any]) -> RegisteredModel:
    return replace(codec.loads(RegisteredModel, row.entry), id=row.id)


def _version(connection: Connection) -> int:
    """Rows are never deleted, so additions and removals together can be counted."""
    return connection.execute(select(func.count() + func.count(models.c.removed_at))).scalar_one()


def _new(name: str, owner: str, role: str, fingerprint: Fingerprint) -> RegisteredModel:
    return RegisteredModel(
        id=0,
        name=name,
        owner=owner,
        role=role,
        uri=fingerprint.revision.uri,
        commit=fingerprint.revision.commit,
        shape=fingerprint.shape,
        schemes=tuple(sorted({sketch.scheme for sketch in fingerprint.sketches})),
        file_sha256=tuple(h.lower() for h in fingerprint.file_sha256),
        registered_at=datetime.now(UTC),
    )


def _row(model: RegisteredModel, fingerprint: Fingerprint, data: bytes) -> dict[str, Any]:
    return {
        "model_key": store.digest(model.name, model.commit, model.schemes),
        "name": model.name,
        "owner": model.owner,
        "role": model.role,
        "uri": model.uri,
        "entry": codec.dumps(model),
        "dims": codec.dumps({sketch.scheme: len(sketch.vector) for sketch in fingerprint.sketches}),
        "fingerprint_sha256": hashlib.sha256(data).hexdigest(),
    }


def _check_same_kind(model: RegisteredModel, known: list[RegisteredModel]) -> None:
    for other in known:
        if other.role != model.role:
            raise UsageError(f"{model.name!r} is registered as {other.role}, not as {model.role}")
        if other.owner != model.owner:
            raise UsageError(f"{model.name!r} is registered for another owner")


def _check_same_lengths(connection: Connection, dims: str) -> None:
    """One index holds all vectors of a scheme, so they have one length."""
    here = json.loads(dims)
    for other in connection.scalars(select(models.c.dims).where(models.c.removed_at.is_(None)).distinct()):
        for scheme, length in json.loads(other).items():
            if here.get(scheme, length) != length:
                raise UsageError(f"vectors of {scheme!r} have length {length}, not {here[scheme]}")


def _batches(hashes: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """A hub may list a hundred thousand files; a statement takes fewer parameters."""
    rest = iter(sorted(filter(_is_sha256, hashes)))
    while batch := tuple(islice(rest, 1000)):
        yield batch


def _is_sha256(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")
