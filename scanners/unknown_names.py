"""Names never seen: the rules of a family worked out from repetition, shapes and the words in the names.

A transformer repeats itself. The text before the number that varies most names the blocks; within a block
the shapes tell feed-forward from attention matrices, and words in the names (gate, up, query, w1, ...)
settle what shapes leave open. Where nothing settles it, the order of the names does: a wrong guess lowers a
score, it never raises one, since the views of a unit must then agree by chance.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from scanners.records import TensorInfo
from scanners.roles import Family, TensorRule

WORDS: Mapping[str, frozenset[str]] = {
    "qkv": frozenset({"qkv", "wqkv", "attn_qkv", "in_proj_weight"}),
    "q": frozenset({"q", "wq", "query", "queries", "qproj"}),
    "k": frozenset({"k", "wk", "key", "keys", "kproj"}),
    "v": frozenset({"v", "wv", "value", "values", "vproj"}),
    "o": frozenset({"o", "wo", "out", "output", "dense", "proj", "oproj"}),
    "gate": frozenset({"gate", "w1", "wg", "gating"}),
    "up": frozenset({"up", "w3", "linear", "lin"}),
    "in": frozenset({"in", "fc1", "fc", "wi", "up", "expand", "inner", "intermediate", "linear1", "lin1", "w1", "h"}),
    "down": frozenset({"down", "fc2", "w2", "out", "output", "proj", "contract", "linear2", "lin2", "wo", "4h"}),
    "ffn norm": frozenset({"post", "ffn", "mlp", "ff", "feed", "2", "ln2", "norm2", "second"}),
}


def infer_family(tensors: Mapping[str, TensorInfo]) -> Family | None:
    """Rules for a checkpoint whose names are in no architecture file; None where nothing repeats."""
    prefix = _block_prefix(tensors)
    if prefix is None:
        return None
    block = re.compile("^" + re.escape(prefix) + r"(\d+)")
    members: dict[str, TensorInfo] = {}
    for name, tensor in sorted(tensors.items()):
        found = block.match(name)
        if found:
            members.setdefault(name[found.end() :], tensor)
    outside = [t for name, t in tensors.items() if not block.match(name) and len(t.shape) == 2]
    width = _width(members.values(), outside)
    rules = _rules(members, width)
    embedding = sorted((t for t in outside if t.shape[1] == width and t.shape[0] > width), key=_embedding_order)
    names = tuple(t.name for t in embedding)
    return Family("unknown", block, names[:1], names[1:2], rules) if len(rules) >= 2 else None


def _embedding_order(tensor: TensorInfo) -> tuple[int, bool, str]:
    """The largest first (never the positions); of two alike, the one that no word calls an output."""
    output = any(word in tensor.name.lower() for word in ("head", "out", "unembed"))
    return (-tensor.shape[0], output, tensor.name)


def _block_prefix(tensors: Mapping[str, TensorInfo]) -> str | None:
    """The text before the block number: the prefix under which the most tensors repeat with the number."""
    suffixes: dict[str, Counter[str]] = defaultdict(Counter)
    for name in tensors:
        for found in re.finditer(r"\d+", name):
            suffixes[name[: found.start()]][name[found.end() :]] += 1
    repeated = {
        prefix: sum(count for suffix, count in counts.items() if count >= 2 and suffix)
        for prefix, counts in suffixes.items()
    }
    best = max(repeated, key=lambda prefix: (repeated[prefix], -len(prefix)), default=None)
    return best if best is not None and repeated[best] >= 4 else None


def _width(members: Iterable[TensorInfo], outside: list[TensorInfo]) -> int:
    """The dimension that most matrices of a block share, the embedding's where there is a tie."""
    votes = Counter(side for tensor in members if len(tensor.shape) == 2 for side in set(tensor.shape))
    for tensor in outside:
        votes[tensor.shape[1]] += 1
    return max(votes, key=lambda side: votes[side], default=0)


def _rules(members: Mapping[str, TensorInfo], width: int) -> dict[str, TensorRule]:
    matrices = {s: t.shape for s, t in members.items() if len(t.shape) == 2 and width in t.shape}
    others = {s: shape[0] if shape[1] == width else shape[1] for s, shape in matrices.items()}
    attention_norm, ffn_norm = _norms(members, width)
    hidden = max((o for s, o in others.items() if not _words(s) & WORDS["qkv"]), default=0)
    ffn = sorted(s for s, other in others.items() if other in (hidden, hidden // 2) and hidden > width)
    ffn = [s for s in ffn if not _is_attention(s)]
    rules = _feed_forward({s: matrices[s] for s in ffn}, hidden, width, ffn_norm, _outputs(members))
    rest = {s: shape for s, shape in matrices.items() if s not in rules}
    return rules | _attention(rest, width, attention_norm)


def _outputs(members: Mapping[str, TensorInfo]) -> dict[str, int]:
    """For each matrix with a bias beside it the number of its outputs: the bias has one number for each."""
    biases = {s.rpartition(".")[0]: t.shape[0] for s, t in members.items() if len(t.shape) == 1}
    stems = {s: s.rpartition(".")[0] for s, t in members.items() if len(t.shape) == 2}
    return {s: biases[stem] for s, stem in stems.items() if biases.get(stem) in members[s].shape}


def _words(suffix: str) -> frozenset[str]:
    return frozenset(re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", suffix).lower()))


def _is_attention(suffix: str) -> bool:
    return any(word.startswith(("attn", "attention", "self", "att")) for word in _words(suffix))


def _norms(members: Mapping[str, TensorInfo], width: int) -> tuple[str | None, str | None]:
    """The suffixes of the gains before attention and before the feed-forward block."""
    gains = sorted(s for s, t in members.items() if t.shape == (width,) and not s.endswith(("bias", "beta")))
    gains = [s for s in gains if any(word in s.lower() for word in ("norm", "ln", "scale", "gain", "gamma"))] or gains
    if not gains:
        return None, None
    ffn = next((s for s in gains if _words(s) & WORDS["ffn norm"]), gains[1 % len(gains)])
    attention = next((s for s in gains if s != ffn), gains[0])
    return attention, ffn


def _feed_forward(
    shapes: Mapping[str, tuple[int, ...]],
    hidden: int,
    width: int,
    norm: str | None,
    outputs: Mapping[str, int],
) -> dict[str, TensorRule]:
    by_axis: dict[int, list[str]] = defaultdict(list)
    for suffix, shape in shapes.items():
        by_axis[1 if shape[1] == width else 0].append(suffix)
    norms = (norm,) if norm else ()
    sides = sorted(by_axis.items(), key=lambda item: -len(item[1]))
    if len(shapes) == 3 and len(sides) == 2:
        axis, pair = sides[0]
        gate = next((s for s in pair if _words(s) & WORDS["gate"]), pair[0])
        return {s: TensorRule(("gate" if s == gate else "up",), axis, norms) for s in pair} | {
            sides[1][1][0]: TensorRule(("down",), sides[1][0])
        }
    if len(shapes) == 2 and len(sides) == 2:
        return _two_matrices(shapes, hidden, norms, outputs)
    return {}


def _two_matrices(
    shapes: Mapping[str, tuple[int, ...]], hidden: int, norms: tuple[str, ...], outputs: Mapping[str, int]
) -> dict[str, TensorRule]:
    """Input and output matrix of an ungated block, or a fused gate and up with its down."""
    axis = {s: 1 if shape[1] not in (hidden, hidden // 2) else 0 for s, shape in shapes.items()}
    first = next((s for s in shapes if outputs.get(s) in (hidden, hidden // 2)), None)
    first = first or next((s for s in shapes if _words(s) & WORDS["in"] - WORDS["down"]), None)
    first = first or next(s for s in shapes if axis[s] == 1)
    (second,) = (s for s in shapes if s != first)
    fused = shapes[first][1 - axis[first]] == 2 * shapes[second][1 - axis[second]]
    roles = ("gate", "up") if fused else ("in",)
    return {first: TensorRule(roles, axis[first], norms), second: TensorRule(("down",), axis[second])}


def _attention(shapes: Mapping[str, tuple[int, ...]], width: int, norm: str | None) -> dict[str, TensorRule]:
    norms = (norm,) if norm else ()
    rules: dict[str, TensorRule] = {}
    for suffix, shape in sorted(shapes.items()):
        words = _words(suffix)
        role = next((r for r in ("q", "k", "v", "o") if words & WORDS[r]), None)
        axis = 1 if shape[1] == width else 0
        other = shape[1 - axis]
        if words & WORDS["qkv"] or {"query", "key", "value"} <= words or (other > 2 * width and role is None):
            rules[suffix] = TensorRule(("q", "k", "v"), axis, norms)
        elif role == "o":
            rules[suffix] = TensorRule(("o",), 0)
        elif role is not None:
            rules[suffix] = TensorRule((role,), axis, norms)
    return rules or _by_shape(shapes, width, norms)


def _by_shape(shapes: Mapping[str, tuple[int, ...]], width: int, norms: tuple[str, ...]) -> dict[str, TensorRule]:
    """Grouped-query attention without words: the two narrow matrices are k and v, in the order of their names."""
    narrow = sorted(s for s, shape in shapes.items() if shape[1] == width and shape[0] < width)
    if len(narrow) != 2:
        return {}
    return {s: TensorRule((role,), 1, norms) for s, role in zip(narrow, ("k", "v"), strict=True)}
