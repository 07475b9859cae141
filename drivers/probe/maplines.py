"""Where in a TOML text a key stands: `Lines(text).of(("registers", "Voltage@L1-N", "at"))` is a line number, from 1.

The TOML parser tells lines of broken syntax only. This looks for headers and for keys at the beginning of a line, which
is all that a register map has; a key of an inline table is on the line of the row that it is in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

HEADER = re.compile(r"^\s*\[\[?(?P<path>[^\]#]+)\]\]?\s*(?:#.*)?$")
KEY = re.compile(r"""^\s*(?P<path>(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*=""")
PART = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^\s."']+))\s*""")
WHERE = re.compile(r"""\[([^\]]+)\]|"([^"]*)"|(\S+)""")
Path = tuple[str, ...]


class Lines:
    """An index of one text."""

    def __init__(self, text: str) -> None:
        self._line: dict[Path, int] = {}
        table: Path = ()
        for number, line in enumerate(text.splitlines(), 1):
            if header := HEADER.match(line):
                table = _parts(header["path"])
                self._keep(table, number)
            elif key := KEY.match(line):
                self._keep((*table, *_parts(key["path"])), number)

    def _keep(self, path: Path, number: int) -> None:
        for length in range(1, len(path) + 1):
            self._line.setdefault(path[:length], number)

    def of(self, path: Sequence[str]) -> int:
        """The line of this key, or of the nearest table around it; 1 when there is none."""
        for length in range(len(path), 0, -1):
            if (number := self._line.get(tuple(path[:length]))) is not None:
                return number
        return 1


def path_of(where: str) -> Path:
    """What an error of `mapfile` calls a place, as the path of its keys."""
    return tuple(next(word for word in words if word) for words in WHERE.findall(where) if any(words))


def _parts(text: str) -> Path:
    return tuple(next(word for word in words if word) for words in PART.findall(text) if any(words))
