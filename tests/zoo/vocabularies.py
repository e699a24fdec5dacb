"""The tokenizers of the zoo, trained on the text of its models and stored as ``tokenizer.json``."""

import json
from collections import Counter
from collections.abc import Iterator

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def _lines(text: str) -> Iterator[str]:
    yield from text[:3_000_000].splitlines(keepends=True)


def _alphabet(text: str, size: int) -> list[str]:
    """The most frequent characters; the trainer's own choice among equally frequent ones is by chance."""
    counts = Counter("".join(_lines(text)).replace(" ", "▁"))
    return sorted(counts, key=lambda character: (counts[character], character), reverse=True)[:size]


def byte_level(text: str, size: int, special: list[str]) -> Tokenizer:
    """Byte-level BPE, as GPT-2, GPT-NeoX and Llama 3 have it: a space is spelt Ġ."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_lines(text), trainer)
    return tokenizer


def sentence_piece(text: str, size: int, special: list[str]) -> Tokenizer:
    """BPE over characters with bytes to fall back on, as Llama 2 and Mistral have it: a space is spelt ▁."""
    tokenizer = Tokenizer(models.BPE(unk_token=special[0], byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special + BYTES,
        initial_alphabet=_alphabet(text, 100),
        limit_alphabet=100,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_lines(text), trainer)
    return _with_plain_bytes(tokenizer)


def _with_plain_bytes(tokenizer: Tokenizer) -> Tokenizer:
    """Bytes are ordinary tokens there: only the trainer needs them among the special ones."""
    content = json.loads(tokenizer.to_str())
    content["pre_tokenizer"] = None
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] not in BYTES]
    return Tokenizer.from_str(json.dumps(content))


KINDS = {"byte_level": byte_level, "sentence_piece": sentence_piece}
