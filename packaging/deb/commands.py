"""All commands of `chargepoint`, asked from the program itself: what man page and completion are made of.

Each verb is called with --help while argparse is made to show its parser instead of its text, so that a verb or option
that comes or goes needs no change here. `run` does without argparse; its options are read from what it prints.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
from dataclasses import dataclass
from typing import Any

OPTION = re.compile(r"\[(--[a-z-]+) ([A-Z]+)\]")


@dataclass(frozen=True)
class Argument:
    """An option, when `names` begin with a dash, else a word that stands by itself."""

    names: tuple[str, ...]
    value: str  # what is to be given, such as FILE; "": nothing
    choices: tuple[str, ...]
    about: str


@dataclass(frozen=True)
class Command:
    """`words`: after "chargepoint"."""

    words: tuple[str, ...]
    about: str
    usage: str
    arguments: tuple[Argument, ...]
    epilog: str = ""


class _Shown(SystemExit):
    """Instead of a help text."""


def all_commands() -> list[Command]:
    from agent.__main__ import VERBS

    return [command for verb, (_module, about) in VERBS.items() for command in _of_verb(verb, about)]


def _of_verb(verb: str, about: str) -> list[Command]:
    parsers, printed = _asked(verb)
    if not parsers:
        return [_by_text(verb, about, printed)]
    known = {parser.prog for parser in parsers}
    for word in _elsewhere(verb, parsers):
        parsers += [parser for parser in _asked(verb, word)[0] if parser.prog not in known]
    return [command for parser in parsers for command in _of_parser(parser)]


def _asked(*words: str) -> tuple[list[argparse.ArgumentParser], str]:
    """The parsers behind a help, and what was printed without one."""
    from agent.__main__ import main

    caught: list[argparse.ArgumentParser] = []
    printed = io.StringIO()
    with _shown(caught), contextlib.redirect_stdout(printed), contextlib.suppress(_Shown):
        main([*words, "--help"])
    return caught, printed.getvalue()


def _elsewhere(verb: str, parsers: list[argparse.ArgumentParser]) -> list[str]:
    """Second words that the help of a verb only points at: "also: chargepoint meter read"."""
    pointer = re.compile(rf"chargepoint {verb} ([a-z][a-z|-]*)")
    found = [word for parser in parsers for words in pointer.findall(parser.epilog or "") for word in words.split("|")]
    return list(dict.fromkeys(found))


@contextlib.contextmanager
def _shown(caught: list[argparse.ArgumentParser]) -> Any:
    def show(parser: argparse.ArgumentParser, *_given: Any, **_named: Any) -> Any:
        caught.append(parser)
        raise _Shown(0)

    before = argparse.ArgumentParser.parse_known_args
    argparse.ArgumentParser.parse_known_args = show  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        argparse.ArgumentParser.parse_known_args = before  # type: ignore[method-assign]


def _by_text(verb: str, about: str, text: str) -> Command:
    arguments = tuple(Argument((name,), value, (), "") for name, value in OPTION.findall(text))
    usage = re.search(r"^usage: (.*)$", text, re.MULTILINE)
    return Command((verb,), about, usage[1] if usage else f"chargepoint {verb}", arguments)


def _of_parser(parser: argparse.ArgumentParser) -> list[Command]:
    words = tuple(parser.prog.split()[1:])
    found = [Command(words, parser.description or "", _usage(parser), _arguments(parser), parser.epilog or "")]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                inner.prog = f"{parser.prog} {name}"  # without the options that stand before it
                found += _of_parser(inner)
    return found


def _usage(parser: argparse.ArgumentParser) -> str:
    return " ".join(parser.format_usage().removeprefix("usage: ").split())


def _arguments(parser: argparse.ArgumentParser) -> tuple[Argument, ...]:
    return tuple(
        _argument(action)
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
        and action.help is not argparse.SUPPRESS
    )


def _argument(action: argparse.Action) -> Argument:
    choices = tuple(map(str, action.choices or ()))
    shown = action.metavar if isinstance(action.metavar, str) else action.dest
    value = "" if action.nargs == 0 else shown if action.metavar else shown.upper()
    about = (action.help or "") % {"default": action.default, "prog": "chargepoint"}
    names = tuple(action.option_strings) or (value,)
    return Argument(names, value, choices, about)
