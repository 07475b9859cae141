"""Numbers, times and tables for people: at most 80 columns, or as many as the terminal has."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Sequence

COLUMNS = 80


def columns() -> int:
    """How wide a line may be."""
    try:
        return max(40, os.get_terminal_size(sys.stdout.fileno()).columns)
    except (OSError, ValueError):
        return COLUMNS


def is_screen() -> bool:
    """Whether what is printed may command the terminal: clear it, and colour words."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as they must be; a head that begins with ">" is a column of numbers. The last one is wrapped."""
    right = [title.startswith(">") for title in head]
    titles = [title.removeprefix(">") for title in head]
    widths = [max(len(row[i]) for row in [titles, *rows]) for i in range(len(titles))]
    left = sum(widths[:-1]) + 2 * (len(widths) - 1)
    lines: list[str] = []
    for row in [titles, *rows]:
        cells = [
            cell.rjust(width) if r else cell.ljust(width) for cell, width, r in zip(row, widths, right, strict=True)
        ]
        first, *more = wrapped(cells[-1].strip() if not right[-1] else cells[-1], max(20, columns() - left)) or [""]
        lines.append("  ".join([*cells[:-1], first]).rstrip())
        lines += [" " * left + line for line in more]
    return lines


def wrapped(text: str, width: int) -> list[str]:
    """The same in lines of at most this width."""
    return textwrap.wrap(text, width, break_on_hyphens=False, drop_whitespace=True) if len(text) > width else [text]


def hanging(text: str, indent: int) -> str:
    """A long line for a terminal: what does not fit goes on under its text. For a file or a pipe it stays one line."""
    if not sys.stdout.isatty() or len(text) <= (width := columns()):
        return text
    first, *more = textwrap.wrap(text, width, break_on_hyphens=False, subsequent_indent=" " * min(indent, width // 3))
    return "\n".join([first, *more])


def labelled(label: str, text: str, width: int) -> list[str]:
    """A label of ten columns and a text beside it."""
    first, *more = wrapped(text, max(20, width - 10)) or [""]
    return [f"{label:<10}{first}".rstrip(), *(f"{'':10}{line}" for line in more)]


def moment(utc: float | None) -> str:
    """A day and a time of day in UTC."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(utc)) if utc is not None else "-"


def day_time(utc: float | None) -> str:
    return time.strftime("%m-%d %H:%M", time.gmtime(utc)) if utc is not None else "-"


def stamp(utc: float | None) -> str:
    """For files: RFC 3339 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(utc)) if utc is not None else ""


def kwh(energy_wh: float | None) -> str:
    return f"{energy_wh / 1000:.3f}" if energy_wh is not None else "?"


def amps(value: float | None) -> str:
    return "? A" if value is None else f"{value:g} A"


def span(seconds: float | None) -> str:
    """A duration in its two largest units."""
    if seconds is None:
        return "?"
    left = max(0, int(seconds))
    words: list[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count or (unit == "s" and not words):
            words.append(f"{count} {unit}")
    return " ".join(words[:2])


def size(count: float | None) -> str:
    if count is None:
        return "? kB"
    return f"{count / 1024:.1f} KiB" if count < 1024**2 else f"{count / 1024**2:.1f} MiB"
