"""Anchor strings across tokenizers: the same piece of text, whatever the tokenizer calls it.

A token is known by the bytes it stands for: ``Ġthe`` (byte-level BPE), ``▁the`` (SentencePiece) and
``the`` (WordPiece, where a word start has no mark) all mean b" the". The anchor list is fixed and ordered:
its positions are the slots of `AnchorGeometry`. A tokenizer is untrusted input: sizes are capped and
whatever does not parse is a `FormatError` with reason ``malformed_tokenizer``. Half a character, which JSON
can spell, is no anchor and costs none of the others.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from scanners.errors import FormatError, Reason

WORDS = (
    "the of and to in a is that for it as with on be by this are from or not an at if was can but which all "
    "have will has one no other when so use more you may used its there set only must any first each new "
    "than two into return they then also these such between time same where value file name number error "
    "data type string list self def i e s t x n 1 2 0"
).split()
PIECES = (
    "s e t d n r y o l a i g m c p f b u h k w v x er in on ed es ing al or en at is it an re ly le ar ion "
    "tion st ch ic ent as ation th ve ate ne ment il ad us ther il able el ter ers ity"
).split()
MARKS = tuple(". , ( ) : ; - \" ' / = _ [ ] * + ? ! < > # & % $ @ { } | ~ ^ ` \\ 0 1 2 3 4 5 6 7 8 9".split())

ANCHORS: tuple[bytes, ...] = tuple(
    dict.fromkeys(
        [b" " + word.encode() for word in WORDS]
        + [mark.encode() for mark in MARKS]
        + [piece.encode() for piece in PIECES]
    )
)
MAX_TOKENS = 2_000_000


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in printable]
    return {chr(c): b for c, b in zip([*printable, *range(256, 256 + len(hidden))], printable + hidden, strict=True)}


_ALPHABET = _byte_alphabet()


def byte_level(token: str) -> bytes | None:
    """The bytes of a byte-level BPE token, None if a character is not of its alphabet."""
    codes = [_ALPHABET.get(character) for character in token]
    return None if None in codes else bytes(code for code in codes if code is not None)


def sentence_piece(token: str) -> bytes:
    """The bytes of a SentencePiece token: ``▁`` is a space, ``<0x0A>`` is one byte."""
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        try:
            return bytes([int(token[3:5], 16)])
        except ValueError:
            return token.encode(errors="surrogatepass")
    return token.replace("▁", " ").encode(errors="surrogatepass")


def word_piece(token: str) -> bytes:
    """The bytes of a WordPiece token: ``##`` continues a word, punctuation stands alone."""
    if token.startswith("##"):
        return token[2:].encode(errors="surrogatepass")
    return (" " + token if token[:1].isalnum() else token).encode(errors="surrogatepass")


def slots(vocabulary: Mapping[str, int]) -> dict[int, int]:
    """Anchor slot -> token id, for the anchors this vocabulary has; the spelling is found out by itself."""
    spelling = _spelling(vocabulary)
    wanted = {text: slot for slot, text in enumerate(ANCHORS)}
    found: dict[int, int] = {}
    for token, number in vocabulary.items():
        slot = wanted.get(spelling(token) or b"")
        if slot is not None:
            found[slot] = min(number, found.get(slot, number))
    return dict(sorted(found.items()))


def _spelling(vocabulary: Mapping[str, int]) -> Callable[[str], bytes | None]:
    marks = {"Ġ": 0, "▁": 0, "##": 0}
    for token in vocabulary:
        for mark in marks:
            marks[mark] += len(token) > len(mark) and token.startswith(mark)
    best = max(marks, key=lambda mark: marks[mark])
    readers: dict[str, Callable[[str], bytes | None]] = {
        "Ġ": byte_level,
        "▁": sentence_piece,
        "##": word_piece,
    }
    return readers[best] if marks[best] else sentence_piece


def from_tokenizer_json(data: bytes) -> dict[str, int]:
    """The vocabulary of a Hugging Face ``tokenizer.json``: BPE, WordPiece and Unigram models."""
    document = _json(data)
    model = document.get("model") if isinstance(document, dict) else None
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocabulary, dict):
        return _checked(vocabulary.items())
    if isinstance(vocabulary, list):
        return _checked((entry[0], i) for i, entry in enumerate(vocabulary) if isinstance(entry, list) and entry)
    raise _malformed("tokenizer.json holds no vocabulary")


def from_vocab_json(data: bytes) -> dict[str, int]:
    """The vocabulary of a GPT-2 style ``vocab.json``."""
    document = _json(data)
    if not isinstance(document, dict):
        raise _malformed("vocab.json is no object")
    return _checked(document.items())


def from_vocab_txt(data: bytes) -> dict[str, int]:
    """The vocabulary of a BERT style ``vocab.txt``: one token a line."""
    return _checked((line.rstrip("\r"), i) for i, line in enumerate(data.decode("utf-8", "replace").split("\n")))


def from_sentence_piece(data: bytes) -> dict[str, int]:
    """The pieces of a SentencePiece ``tokenizer.model``: field 1 of field 1 of its protocol buffer."""
    pieces = (text for number, piece in _fields(data) if number == 1 for inner, text in _fields(piece) if inner == 1)
    return _checked((text.decode("utf-8", "replace"), i) for i, text in enumerate(pieces))


READERS: Mapping[str, Callable[[bytes], dict[str, int]]] = {
    "tokenizer.json": from_tokenizer_json,
    "tokenizer.model": from_sentence_piece,
    "vocab.json": from_vocab_json,
    "vocab.txt": from_vocab_txt,
}


def _checked(pairs: Iterable[tuple[Any, Any]]) -> dict[str, int]:
    vocabulary: dict[str, int] = {}
    for token, number in pairs:
        if not isinstance(token, str) or type(number) is not int or not 0 <= number < MAX_TOKENS:
            raise _malformed("a vocabulary entry is no pair of a string and a token number")
        vocabulary[token] = number
    return vocabulary


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _malformed(f"the tokenizer is no JSON: {type(error).__name__}") from error


def _fields(data: bytes) -> Iterable[tuple[int, bytes]]:
    """Length-delimited fields of a protocol buffer message; other wire types are stepped over."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        size, at = _varint(data, at) if wire == 2 else ({1: 8, 5: 4}.get(wire, 0), at)
        if wire == 0:
            _, at = _varint(data, at)
        elif wire not in (1, 2, 5) or at + size > len(data):
            raise _malformed("the protocol buffer is cut or has an unknown wire type")
        if wire == 2:
            yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        value |= (data[at] & 127) << shift
        at += 1
        if not data[at - 1] & 128:
            return value, at
    raise _malformed("the protocol buffer has a bad number")


def _malformed(sentence: str) -> FormatError:
    return FormatError(Reason.MALFORMED_TOKENIZER, sentence)
