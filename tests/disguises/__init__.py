"""What is done to a checkpoint so that nobody recognises it: each disguise a function, each with its name.

``DISGUISES[name](model)`` gives a derivative of one checkpoint, ``MIXTURES[name](model, host)`` one that
has a second checkpoint of the same shape in it. ``layouts`` says to which layouts each applies,
``preserving`` whether the derivative computes the same function; both are laws in test_disguises.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.disguises import damage, storage, surgery, symmetries
from tests.disguises.checkpoint import Checkpoint, load
from tests.disguises.vocabulary import cut_vocabulary

__all__ = ["DISGUISES", "MIXTURES", "Checkpoint", "Disguise", "load"]

DECODERS = frozenset({"llama", "gpt2", "neox"})
EVERY = DECODERS | {"bert"}
GATED = frozenset({"llama"})


@dataclass(frozen=True)
class Disguise:
    """One way to derive a checkpoint, and what is known of it."""

    apply: Callable[..., Checkpoint]
    layouts: frozenset[str] = EVERY
    preserving: bool = False

    def __call__(self, *models: Checkpoint) -> Checkpoint:
        return self.apply(*models)


DISGUISES: dict[str, Disguise] = {
    "cast to F32": Disguise(partial(storage.cast, dtype="F32"), preserving=True),
    "cast to F16": Disguise(partial(storage.cast, dtype="F16")),
    "cast to BF16": Disguise(partial(storage.cast, dtype="BF16")),
    "sharded": Disguise(storage.reshard, preserving=True),
    "renamed": Disguise(storage.rename),
    "fused": Disguise(storage.fuse, GATED, preserving=True),
    "upcycled to experts": Disguise(storage.upcycle, GATED, preserving=True),
    "quantised to 8 bits": Disguise(partial(damage.quantise, bits=8)),
    "quantised to 4 bits": Disguise(partial(damage.quantise, bits=4)),
    "noise of 20 %": Disguise(partial(damage.noise, share=0.2)),
    "noise of 50 %": Disguise(partial(damage.noise, share=0.5)),
    "pruned by 50 %": Disguise(partial(damage.prune, share=0.5)),
    "pruned by 80 %": Disguise(partial(damage.prune, share=0.8)),
    "half the rank": Disguise(partial(damage.low_rank, share=0.5)),
    "a quarter of the rank": Disguise(partial(damage.low_rank, share=0.25)),
    "neurons permuted": Disguise(symmetries.permute_neurons, preserving=True),
    "neurons scaled": Disguise(symmetries.scale_neurons, GATED, preserving=True),
    "heads permuted": Disguise(symmetries.permute_heads, preserving=True),
    "values mapped": Disguise(symmetries.map_values, preserving=True),
    "queries mapped": Disguise(symmetries.map_queries, preserving=True),
    "residual stream permuted": Disguise(symmetries.permute_residual, preserving=True),
    "signs flipped": Disguise(symmetries.flip_signs, preserving=True),
    "gains folded": Disguise(symmetries.fold_gains, DECODERS, preserving=True),
    "residual stream rotated": Disguise(symmetries.rotate_residual, DECODERS, preserving=True),
    "all symmetries at once": Disguise(symmetries.all_at_once, preserving=True),
    "layers dropped": Disguise(surgery.drop_layers),
    "layers shuffled": Disguise(surgery.shuffle_layers),
    "layers duplicated": Disguise(surgery.duplicate_layers),
    "width pruned": Disguise(surgery.prune_width),
    "vocabulary cut": Disguise(cut_vocabulary),
}

MIXTURES: dict[str, Disguise] = {
    "merged half and half": Disguise(partial(surgery.merge, weight=0.5)),
    "merged to a third": Disguise(partial(surgery.merge, weight=0.3)),
    "layers transplanted": Disguise(surgery.transplant),
    "one layer transplanted": Disguise(partial(surgery.transplant, layers=(2,))),
    "attention stolen": Disguise(surgery.steal_attention),
    "feed-forward blocks stolen": Disguise(surgery.steal_feed_forward),
    "embedding replaced": Disguise(surgery.replace_embedding),
    "embedding stolen": Disguise(surgery.steal_embedding),
}
