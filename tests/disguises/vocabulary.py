"""A vocabulary cut and shuffled, with a tokenizer that still works."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np

from tests.disguises.checkpoint import Checkpoint
from tests.disguises.layouts import pack, unpack

Tokenizer = dict[str, Any]


def cut_vocabulary(model: Checkpoint, share: float = 0.25, seed: int = 9) -> Checkpoint:
    """``share`` of the tokens left out and the others renumbered at random, rows and tokenizer alike."""
    assert model.tokenizer is not None
    rng = np.random.default_rng(seed)
    vocabulary = model.tokenizer["model"]["vocab"]
    dropped = _droppable(model.tokenizer, round(share * len(vocabulary)), rng)
    kept = [token for token in vocabulary if token not in dropped]
    kept = [kept[i] for i in rng.permutation(len(kept))]
    rows = np.array([vocabulary[token] for token in kept])
    network = unpack(model)
    head = None if network.unembedding is None else network.unembedding[rows]
    network = replace(network, embedding=network.embedding[rows], unembedding=head)
    return pack(network, replace(model, tokenizer=_renumbered(model.tokenizer, kept)))


def _parts(merge: str | list[str]) -> list[str]:
    return merge.split(" ") if isinstance(merge, str) else merge


def _droppable(tokenizer: Tokenizer, count: int, rng: np.random.Generator) -> set[str]:
    """Tokens of which no remaining token is made; never special ones, bytes or single characters."""
    protected = {token["content"] for token in tokenizer["added_tokens"]}
    made = [_parts(merge) for merge in tokenizer["model"].get("merges", [])]
    dropped: set[str] = set()
    while len(dropped) < count:
        needed = {part for parts in made if "".join(parts) not in dropped for part in parts}
        leaves = [
            token
            for token in tokenizer["model"]["vocab"]
            if token not in dropped | protected | needed and len(token) > 1 and not token.startswith("<0x")
        ]
        some = min(count - len(dropped), len(leaves) // 2 + 1)
        dropped |= set(rng.permutation(leaves)[:some].tolist())
    return dropped


def _renumbered(tokenizer: Tokenizer, kept: list[str]) -> Tokenizer:
    """The tokenizer with token ``kept[i]`` at number i, and without the merges that lead elsewhere."""
    numbers = {token: number for number, token in enumerate(kept)}
    new = copy.deepcopy(tokenizer)
    new["model"]["vocab"] = numbers
    if "merges" in new["model"]:
        merges = new["model"]["merges"]
        new["model"]["merges"] = [merge for merge in merges if "".join(_parts(merge)) in numbers]
    for token in new["added_tokens"]:
        token["id"] = numbers[token["content"]]
    for name, special in ((new.get("post_processor") or {}).get("special_tokens") or {}).items():
        special["ids"] = [numbers[name]]
    return new
