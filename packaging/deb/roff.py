"""Man pages: `command_page` of the commands, `manual_page` of a manual in Markdown.

Of Markdown it knows what our manuals use: headings, paragraphs, bullets, tables, fences, indented code, and in a line
code, bold and links.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from commands import Argument, Command

LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
MARKS = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])")
CELLS = re.compile(r"(?<!\\)\|")


def escape(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return f"\\&{text}" if text.startswith(".") else text


def inline(text: str) -> str:
    """One paragraph or cell with its marks."""
    text = LINK.sub(r"\1", text)
    found, end = [], 0
    for mark in MARKS.finditer(text):
        found += [escape(text[end : mark.start()]), _marked(*mark.groups())]
        end = mark.end()
    return "".join([*found, escape(text[end:])])


def _marked(code: str | None, bold: str | None, slanted: str | None) -> str:
    if slanted is not None:
        return f"\\fI{escape(slanted)}\\fR"
    return f"\\fB{escape(code if code is not None else bold or '')}\\fR"


def head(name: str, section: int, date: str, version: str, about: str) -> list[str]:
    return [
        f'.TH {name.upper()} {section} {date} "chargepoint\\-agent {version}"',
        ".nh",
        ".ad l",
        ".SH NAME",
        f"{escape(name)} \\- {escape(about)}",
    ]


# --- commands ---


def command_page(commands: Sequence[Command], first: Sequence[str], last: Sequence[str]) -> str:
    lines = [*first, ".SH COMMANDS"]
    for command in commands:
        lines += [f".SS {escape('chargepoint ' + ' '.join(command.words))}", escape(sentence(command.about)), ".PP"]
        lines += [f"\\fB{escape(command.usage)}\\fR"]
        for argument in command.arguments:
            lines += _argument(argument)
        lines += [".PP", escape(sentence(command.epilog))] if command.epilog else []
    return "\n".join([*lines, *last]) + "\n"


def _argument(one: Argument) -> list[str]:
    names = ", ".join(f"\\fB{escape(name)}\\fR" for name in one.names)
    value = f" \\fI{escape(one.value)}\\fR" if one.value and one.names[0].startswith("-") else ""
    choices = f"One of {', '.join(one.choices)}." if one.choices else ""
    return [".TP", names + value, escape(" ".join(part for part in (sentence(one.about), choices) if part)) or "\\&"]


def sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if not text or text.endswith(".") else ".")


# --- Markdown ---


def manual_page(markdown: str, first: Sequence[str], last: Sequence[str]) -> str:
    lines = [*first, ".SH DESCRIPTION"]
    for block in _blocks(markdown):
        lines += _block(block)
    return "\n".join([*lines, *last]) + "\n"


def _blocks(markdown: str) -> Iterator[list[str]]:
    """Runs of lines that belong together; a fence is one, whatever is in it."""
    block: list[str] = []
    fenced = False
    for line in markdown.splitlines():
        fence = line.startswith("```")
        if fence or (not fenced and (not line.strip() or line.startswith("#"))):
            if block and not (fence and fenced):
                yield block
                block = []
            if line.startswith("#") and not fenced:
                yield [line]
            elif fence and fenced:
                yield ["```", *block[1:]]
                block = []
            elif fence:
                block = ["```"]
            fenced ^= fence
            continue
        block.append(line)
    if block:
        yield block


def _block(block: list[str]) -> list[str]:
    first = block[0]
    if first.startswith("# "):
        return []  # the title: the name of the page says it
    if first.startswith("#"):
        level, _, text = first.partition(" ")
        return [f".{'SH' if level == '##' else 'SS'} {inline(text)}"]
    if first == "```" or first.startswith("    "):
        code = block[1:] if first == "```" else [line[4:] for line in block]
        return [".PP", ".nf", ".RS 4", *(escape(line) for line in code), ".RE", ".fi"]
    if first.startswith("|"):
        return [line for row in block[2:] for line in _row(row, _cells(block[0]))]
    if first.startswith("* "):
        items = re.split(r"^\* ", "\n".join(block), flags=re.MULTILINE)[1:]
        return [line for item in items for line in (".IP \\(bu 2", inline(" ".join(item.split())))]
    return [".PP", inline(" ".join(line.strip() for line in block))]


def _cells(row: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in CELLS.split(row.strip().strip("|"))]


def _row(row: str, titles: list[str]) -> list[str]:
    cells = _cells(row)
    text = inline(cells[1]) if len(cells) > 1 else ""
    for title, cell in zip(titles[2:], cells[2:], strict=False):
        if cell:
            text += f" ({escape(title)}: {inline(cell)})"
    return [".TP", inline(cells[0]), text or "\\&"]
