"""A manifest becomes a Layout: every matrix of every block at its place, by a family's rules."""

import math
from collections import defaultdict
from collections.abc import Mapping

from scanners.errors import FormatError, Reason
from scanners.records import CheckpointManifest, Role, Shape, TensorInfo
from scanners.roles import Block, Family, Hints, Layout, MatrixPart, TensorRule, best_family, find_tensor
from scanners.unknown_names import infer_family

Placed = dict[tuple[str, int], dict[tuple[str, int], TensorInfo]]

HEAD_WIDTHS = (128, 64, 32, 16, 80, 96, 24, 20, 8)
# Larger than any model's. Memory grows with them and not with the file, so an enemy may not choose them.
MAX_WIDTH = 1 << 16
MAX_ROWS = 1 << 18
MAX_HEAD_WIDTH = 512


def understand(manifest: CheckpointManifest, hints: Hints) -> Layout:
    """The layout of a checkpoint, by its names or by its shapes.

    Raises FormatError: unknown_architecture where neither shows a transformer block, too_large where a
    dimension is larger than any model's.
    """
    family = best_family(manifest.tensors) or infer_family(manifest.tensors)
    if family is None:
        raise FormatError(Reason.UNKNOWN_ARCHITECTURE, "no transformer blocks in its tensor names or shapes")
    placed = _place(manifest.tensors, family)
    width = _width(placed, family)
    if not width:
        raise FormatError(Reason.UNKNOWN_ARCHITECTURE, "its transformer blocks hold no matrices")
    if width > MAX_WIDTH:
        raise FormatError(Reason.TOO_LARGE, f"matrices of width {width}")
    heads, kv_heads, head_width, notes = _heads(placed, family, hints, width)
    blocks = tuple(
        _block(layer, tensors, family, manifest.tensors, hints, width, heads, head_width)
        for layer, (_, tensors) in enumerate(sorted(placed.items()))
    )
    blocks = tuple(block for block in blocks if block.parts)
    if not blocks:
        raise FormatError(Reason.UNKNOWN_ARCHITECTURE, "no block has matrices of one width")
    embedding = find_tensor(manifest.tensors, family.embedding)
    unembedding = find_tensor(manifest.tensors, family.unembedding)
    shape = Shape(
        family.name,
        len(blocks),
        width,
        _hidden(blocks),
        heads,
        kv_heads,
        embedding.shape[0] if embedding else 0,
    )
    centred = any(part.centred for block in blocks for parts in block.parts.values() for part in parts)
    return Layout(shape, embedding, unembedding, blocks, head_width, centred, notes)


def _place(tensors: Mapping[str, TensorInfo], family: Family) -> Placed:
    placed: Placed = defaultdict(dict)
    for name, tensor in tensors.items():
        at = family.place(name)
        if at is not None and len(tensor.shape) == 2 and tensor.size_bytes:
            stack, number, rule, expert = at
            placed[stack, number][rule, expert] = tensor
    return placed


def _width(placed: Placed, family: Family) -> int:
    votes: dict[int, int] = defaultdict(int)
    for tensors in placed.values():
        for (rule, _), tensor in tensors.items():
            votes[tensor.shape[family.tensors[rule].residual_axis]] += 1
    return max(votes, key=lambda width: votes[width]) if votes else 0


def _rows(placed: Placed, family: Family, role: str) -> int:
    """Units of the first tensor that holds this role alone, 0 if there is none."""
    for tensors in placed.values():
        for (rule, _), tensor in tensors.items():
            if family.tensors[rule].roles == (role,):
                return tensor.shape[1 - family.tensors[rule].residual_axis]
    return 0


def _heads(placed: Placed, family: Family, hints: Hints, width: int) -> tuple[int, int, int, tuple[str, ...]]:
    """(heads, key-value heads, head width, notes); the hints where they fit the shapes, else a usual width."""
    query, key = _rows(placed, family, "q"), _rows(placed, family, "k")
    fused = _fused_rows(placed, family)
    if fused and not query:
        query = _rows(placed, family, "o") or width
        key = (fused - query) // 2
    query, key = query or width, key or query or width
    claimed = hints.head_width or (query // hints.heads if hints.heads and query % hints.heads == 0 else 0)
    if 0 < claimed <= MAX_HEAD_WIDTH and query % claimed == 0 and key % claimed == 0:
        return query // claimed, key // claimed, claimed, ()
    common = math.gcd(query, key)
    usual = (w for w in HEAD_WIDTHS if common % w == 0 and query // w >= 2)
    guess = next(usual, 0) or max(w for w in range(1, MAX_HEAD_WIDTH + 1) if common % w == 0)
    return query // guess, key // guess, guess, (f"head width {guess} guessed from the shapes",)


def _fused_rows(placed: Placed, family: Family) -> int:
    for tensors in placed.values():
        for (rule, _), tensor in tensors.items():
            if family.tensors[rule].roles == ("q", "k", "v"):
                return tensor.shape[1 - family.tensors[rule].residual_axis]
    return 0


def _block(
    layer: int,
    tensors: Mapping[tuple[str, int], TensorInfo],
    family: Family,
    everything: Mapping[str, TensorInfo],
    hints: Hints,
    width: int,
    heads: int,
    head_width: int,
) -> Block:
    parts: dict[Role, list[MatrixPart]] = defaultdict(list)
    for (rule_name, _), tensor in sorted(tensors.items(), key=lambda item: item[0]):
        rule = family.tensors[rule_name]
        if tensor.shape[rule.residual_axis] != width:
            continue
        norm, centred = _norm(tensor.name, rule_name, rule, everything, width)
        gain = _row_gain(tensor.name, rule_name, rule, everything, head_width)
        units = tensor.shape[1 - rule.residual_axis]
        if units > MAX_ROWS:
            raise FormatError(Reason.TOO_LARGE, f"{tensor.name!r} has {units} rows")
        for role, runs in _runs(rule, units, heads * head_width, head_width).items():
            offset = hints.gain_offset if norm else 0.0
            parts[role].append(MatrixPart(tensor, rule.residual_axis, runs, norm, offset, centred, gain))
    return Block(layer, {role: tuple(found) for role, found in parts.items()})


def _runs(rule: TensorRule, units: int, query: int, head_width: int) -> dict[Role, tuple[tuple[int, int], ...]]:
    """Which units of a stored tensor belong to which of its roles."""
    roles = [Role(role) for role in rule.roles]
    if len(roles) == 1:
        return {roles[0]: ((0, units),)}
    if len(roles) == 2:
        return {roles[0]: ((0, units // 2),), roles[1]: ((units // 2, units),)}
    if rule.interleaved:
        step = 3 * head_width
        return {
            role: tuple((at + i * head_width, at + (i + 1) * head_width) for at in range(0, units - step + 1, step))
            for i, role in enumerate(roles)
        }
    query = min(query, units)
    key = (units - query) // 2
    bounds = (0, query, query + key, units)
    return {role: ((bounds[i], bounds[i + 1]),) for i, role in enumerate(roles)}


def _norm(
    name: str, rule_name: str, rule: TensorRule, everything: Mapping[str, TensorInfo], width: int
) -> tuple[TensorInfo | None, bool]:
    """The gain that this tensor reads through, and whether that norm has a bias, hence takes the mean out."""
    stem = name[: len(name) - len(_tail(name, rule_name))]
    for candidate in rule.norms:
        gain = everything.get(stem + candidate)
        if gain is not None and gain.shape == (width,):
            return gain, stem + candidate.removesuffix("weight") + "bias" in everything
    return None, False


def _tail(name: str, rule_name: str) -> str:
    """The part of a name that the rule covers, with the expert's number back in place of the star."""
    return ".".join(name.split(".")[-len(rule_name.split(".")) :])


def _row_gain(
    name: str, rule_name: str, rule: TensorRule, everything: Mapping[str, TensorInfo], head_width: int
) -> TensorInfo | None:
    if rule.row_gain is None:
        return None
    gain = everything.get(name[: len(name) - len(_tail(name, rule_name))] + rule.row_gain)
    return gain if gain is not None and gain.shape == (head_width,) else None


def _hidden(blocks: tuple[Block, ...]) -> int:
    for role in (Role.UP, Role.IN, Role.GATE, Role.DOWN):
        for block in blocks:
            if role in block.parts:
                return sum(part.rows for part in block.parts[role])
    return 0
