"""The scanner under the graph parser: patterns at a position, and errors that show the place."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from graphc.ir.text import BARE_NAME

STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
NAME = re.compile(rf"{BARE_NAME.pattern}|{STRING.pattern}")
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# lengths are bounded so that no text can ask for arithmetic on numbers of a million digits
INTEGER = re.compile(r"-?[0-9]{1,40}(?![0-9])")
NUMBER = re.compile(r"-?(?:inf|nan|[0-9]{1,40}(?:\.[0-9]{1,40})?(?:e[+-]?[0-9]{1,4})?)(?![A-Za-z0-9_.])")
BITS = re.compile(r"0x[0-9a-f]{1,16}(?![A-Za-z0-9_.])")
HASH = re.compile(r"#[0-9a-f]{32}(?![A-Za-z0-9_.])")
_BLANK = re.compile(r"(?:[ \t\r\n]+|//[^\n]*)*")
_SHOWN = 160  # columns of the line that an error shows


class ParseError(ValueError):
    """A text that is not a valid graph: line, column, what was expected and the line itself."""


class Scanner:
    """A text and a position in it. Blanks and `//` comments before a pattern are skipped."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def position(self) -> int:
        """The position of the next thing that is not blank."""
        match = _BLANK.match(self.text, self.at)
        assert match is not None
        self.at = match.end()
        return self.at

    def at_end(self) -> bool:
        return self.position() == len(self.text)

    def peek(self, literal: str) -> bool:
        """Whether the literal is next; a word only if it ends there."""
        end = self.position() + len(literal)
        if not self.text.startswith(literal, self.at):
            return False
        return not (literal[-1].isalnum() and re.match(r"\w", self.text[end : end + 1]))

    def accept(self, literal: str) -> bool:
        found = self.peek(literal)
        if found:
            self.at += len(literal)
        return found

    def expect(self, literal: str) -> None:
        if not self.accept(literal):
            raise self.expected(f"'{literal}'")

    def choice(self, words: Sequence[str], what: str) -> tuple[int, str]:
        """One of some words and where it stands."""
        at = self.position()
        for word in words:
            if self.accept(word):
                return at, word
        raise self.expected(f"{what}: {', '.join(words)}")

    def match(self, pattern: re.Pattern[str], what: str) -> tuple[int, str]:
        """The text of a pattern and where it stands."""
        found = pattern.match(self.text, self.position())
        if found is None:
            raise self.expected(what)
        self.at = found.end()
        return found.start(), found.group()

    def name(self, what: str) -> str:
        at, text = self.match(NAME, what)
        return self._unquote(text, at) if text.startswith('"') else text

    def string(self, what: str) -> str:
        at, text = self.match(STRING, f"{what} in double quotes")
        return self._unquote(text, at)

    def integer(self, what: str) -> int:
        return int(self.match(INTEGER, f"{what} (a whole number)")[1])

    def expected(self, what: str) -> ParseError:
        at = self.position()
        got = re.match(r"[\w./%@-]+|.|", self.text[at : at + 40])
        return self.error(f"expected {what}, got {got.group()!r}" if got and got.group() else f"expected {what}", at)

    def error(self, message: str, at: int) -> ParseError:
        """A ParseError at a position, with the line and a caret under the column."""
        start = self.text.rfind("\n", 0, at) + 1
        end = self.text.find("\n", at)
        line = self.text[start : end if end >= 0 else len(self.text)]
        first = max(0, at - start - _SHOWN // 2)
        shown = line[first : first + _SHOWN].replace("\t", " ")
        place = f"line {self.text.count(chr(10), 0, at) + 1}, column {at - start + 1}"
        return ParseError(f"{place}: {message}\n  {shown}\n  {' ' * (at - start - first)}^")

    def _unquote(self, text: str, at: int) -> str:
        try:
            value: str = json.loads(text)
        except ValueError:
            raise self.error(f"{text[:40]} is not a string as in JSON", at) from None
        return value
