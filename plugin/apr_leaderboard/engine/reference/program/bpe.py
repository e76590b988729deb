"""Byte-level BPE (Sennrich et al. 2016; bytes as in GPT-2) from plain tables, with the standard library alone."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

__all__ = ["Codec"]

_CONTRACTIONS = r"'(?:s|t|re|ve|m|ll|d)"
# Over classes, not letters: L letter, N number, R line end, S other white space, P the rest; a space is itself.
_SPLITS = {
    "qwen2": (
        re.compile(_CONTRACTIONS, re.IGNORECASE),
        re.compile(r"[^RLN]?L+|N| ?P+R*|[ SR]*R+|[ SR]+(?![^ SR])|[ SR]+"),
    ),
    "gpt2": (re.compile(_CONTRACTIONS), re.compile(r" ?L+| ?N+| ?P+|[ SR]+(?![^ SR])|[ SR]+")),
}


class Codec:
    """Text to ids and back. `table` holds tokens, merges, special ids, added tokens, split, digits, nfc."""

    def __init__(self, table: dict[str, Any]) -> None:
        self._tokens: list[str] = table["tokens"]
        self._ids = {token: i for i, token in enumerate(self._tokens)}
        self._ranks = {tuple(pair): rank for rank, pair in enumerate(table["merges"])}
        self._added: dict[str, int] = table["added"]
        self._special = frozenset(table["special"])
        self._split = _SPLITS[table["split"]]
        self._digits, self._nfc = table["digits"], table["nfc"]
        words = sorted(map(re.escape, self._added), key=len, reverse=True)
        self._cut = re.compile("(" + "|".join(words) + ")") if words else None
        self._letters = _alphabet()
        self._bytes = {letter: byte for byte, letter in enumerate(self._letters)}

    def encode(self, text: str) -> list[int]:
        """Token ids; added tokens in the text stand for themselves."""
        ids: list[int] = []
        for part in self._cut.split(text) if self._cut else [text]:
            if part in self._added:
                ids.append(self._added[part])
            else:
                for word in self._words(unicodedata.normalize("NFC", part) if self._nfc else part):
                    ids += self._merge("".join(self._letters[byte] for byte in word.encode("utf-8")))
        return ids

    def decode(self, ids: list[int]) -> bytes:
        """The bytes the ids stand for; special tokens stand for none."""
        out = bytearray()
        added = {i: text for text, i in self._added.items()}
        for i in ids:
            if i in added:
                out += b"" if i in self._special else added[i].encode("utf-8")
            elif i < len(self._tokens):
                for letter in self._tokens[i]:
                    byte = self._bytes.get(letter)
                    out += bytes([byte]) if byte is not None else letter.encode("utf-8")
        return bytes(out)

    def _words(self, text: str) -> list[str]:
        contraction, pattern = self._split
        classes = "".join(map(_class_of, text))
        words, at = [], 0
        while at < len(text):
            if self._digits and classes[at] == "N":
                end = at + 1
            else:
                found = contraction.match(text, at) or pattern.match(classes, at, self._stop(classes, at))
                end = found.end() if found and found.end() > at else at + 1
            words.append(text[at:end])
            at = end
        return words

    def _stop(self, classes: str, at: int) -> int:
        """Where single digits are cut out first, no word goes past the next one."""
        if not self._digits:
            return len(classes)
        digit = classes.find("N", at)
        return digit if digit >= 0 else len(classes)

    @lru_cache(maxsize=65536)  # noqa: B019 - there is one codec in a program
    def _merge(self, word: str) -> tuple[int, ...]:
        parts = list(word)
        while len(parts) > 1:
            ranked = [(self._ranks.get((parts[i], parts[i + 1])), i) for i in range(len(parts) - 1)]
            known = [(rank, i) for rank, i in ranked if rank is not None]
            if not known:
                break
            best = min(known)[0]
            merged, i = [], 0
            while i < len(parts):
                if i + 1 < len(parts) and self._ranks.get((parts[i], parts[i + 1])) == best:
                    merged.append(parts[i] + parts[i + 1])
                    i += 2
                else:
                    merged.append(parts[i])
                    i += 1
            parts = merged
        return tuple(self._ids[part] for part in parts if part in self._ids)


def _class_of(letter: str) -> str:
    if letter == " ":
        return " "
    if letter in "\r\n":
        return "R"
    kind = unicodedata.category(letter)[0]
    if kind in "LN":
        return kind
    return "S" if letter.isspace() and letter not in "\x1c\x1d\x1e\x1f" else "P"


def _alphabet() -> list[str]:
    """The printable stand-in of each byte: itself where printable in Latin-1, else the next free one from U+0100."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]
