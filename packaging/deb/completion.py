"""The completion of `chargepoint` for bash: one table of what may follow, and a function that looks it up.

It needs nothing of the package bash-completion but to be found by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from commands import Argument, Command

FILES = ("FILE", "PATH", "DIR", "PORT")  # values that are names of files
MAPS = "MAP"


def script(commands: Sequence[Command]) -> str:
    frame = Path(__file__).with_name("completion.in").read_text("utf-8")
    paths = _paths(commands)
    tables = {
        "@COMMANDS@": "|".join(f'"{path}"' for path in paths if path),
        "@VALUES@": "\n".join(_values(commands)),
        "@WORDS@": "\n".join(f'        "{path}") words="{" ".join(words)}" ;;' for path, words in paths.items()),
        "@PLACES@": "\n".join(_places(commands)),
    }
    for mark, text in tables.items():
        frame = frame.replace(mark, text)
    return frame


def _paths(commands: Sequence[Command]) -> dict[str, list[str]]:
    """Words of a command -> what may come next."""
    found: dict[str, list[str]] = {"": []}
    for command in commands:
        path = ""
        for word in command.words:
            if word not in found[path]:
                found[path].append(word)
            path = f"{path} {word}"
            found.setdefault(path, [])
        found[path] += [*(name for one in command.arguments for name in _options(one)), "--help"]
    return {path: sorted(words, key=lambda word: word.startswith("-")) for path, words in found.items()}


def _options(one: Argument) -> tuple[str, ...]:
    return tuple(name for name in one.names if name.startswith("--"))


def _values(commands: Sequence[Command]) -> Iterator[str]:
    for command in commands:
        for one in command.arguments:
            if one.value and _options(one):
                places = "|".join(f'" {" ".join(command.words)} {name}"' for name in _options(one))
                yield f"        {places}) {_give(one, command)}; return ;;"


def _places(commands: Sequence[Command]) -> Iterator[str]:
    """What may stand as a word of its own; where there are several the first says what it is like."""
    for command in commands:
        bare = [one for one in command.arguments if not one.names[0].startswith("-")]
        if bare:
            yield f'        " {" ".join(command.words)}") {_give(bare[0], command)} ;;'


def _give(one: Argument, command: Command) -> str:
    if one.choices:
        return f'_chargepoint_words "{" ".join(one.choices)}"'
    if one.value == MAPS:
        kind = command.words[0] if command.words[0] in ("meter", "evse") else "*"
        return f'_chargepoint_maps "{kind}"'
    return "_chargepoint_files" if one.value in FILES else ":"
