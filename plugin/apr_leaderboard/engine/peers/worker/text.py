"""An answer as it grows: bytes, stop strings, and text that never ends inside a character."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence

__all__ = ["END_TEXTS", "GrowingText", "byte_alphabet", "token_bytes"]

END_TEXTS = ("<|endoftext|>", "<|im_end|>", "<|end_of_text|>", "<|eot_id|>", "</s>")
"""Control tokens that end an answer, whichever of them a model file calls its end token."""


class GrowingText:
    """Collects bytes. Stop strings are looked for in bytes, so the borders of tokens do not matter."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop.encode("utf-8") for stop in stops if stop]
        self._reach = max(map(len, self._stops), default=1) - 1
        self._bytes = bytearray()

    def add(self, piece: bytes) -> bool:
        """Append; True once a stop string is complete: the text then ends before the earliest one."""
        begin = max(0, len(self._bytes) - self._reach)
        self._bytes += piece
        places = [place for stop in self._stops if (place := self._bytes.find(stop, begin)) >= 0]
        if places:
            del self._bytes[min(places) :]
        return bool(places)

    def text(self) -> str:
        """What stands; an unfinished last character is left out, other bad bytes become U+FFFD."""
        return codecs.getincrementaldecoder("utf-8")("replace").decode(bytes(self._bytes), final=False)


def byte_alphabet() -> dict[str, int]:
    """The stand-in characters of byte-level BPE: printable Latin-1 for itself, the other bytes from U+0100 on."""
    printable = [byte for byte in range(256) if 0x21 <= byte <= 0x7E or (byte >= 0xA1 and byte != 0xAD)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(rest)}


def token_bytes(words: Mapping[str, int], special: frozenset[int], added: frozenset[int]) -> list[bytes]:
    """What each token id adds to an answer: nothing if special, its own text if added, else bytes by the alphabet."""
    alphabet = byte_alphabet()
    table = [b""] * (max(words.values(), default=-1) + 1)
    for word, token in words.items():
        if token in special:
            continue
        if token in added:
            table[token] = word.encode("utf-8")
        else:
            table[token] = b"".join(bytes([alphabet[c]]) if c in alphabet else c.encode("utf-8") for c in word)
    return table
