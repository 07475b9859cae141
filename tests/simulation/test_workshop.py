"""The simulation's own parts: the workshop does every errand that there is, and what follows the words knows a lie."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import agent.core
from agent.core.effects import Errand
from tests.simulation.plan import rough
from tests.simulation.statuses import FIRMWARE, PLAIN, Statuses
from tests.simulation.workshop import ORIGINAL, Hands, Workshop, Writing

ABSTRACT = ("Errand", "CertificateErrand")


def errands(modules: Iterator[Any]) -> Iterator[str]:
    for module in modules:
        for name, kind in vars(import_module(f"agent.core.{module.name}")).items():
            if isinstance(kind, type) and issubclass(kind, Errand) and name not in ABSTRACT:
                yield name


def test_the_workshop_does_every_errand_of_the_core() -> None:
    known = set(errands(pkgutil.iter_modules(agent.core.__path__)))
    hands = Hands(Workshop(rough(1, "1.6", 1.0), lambda: 0.0), lambda: None, lambda: None)
    assert {kind.__name__ for kind in hands.handlers()} == known


def test_new_firmware_that_nobody_calls_good_gives_way_to_the_old_one() -> None:
    shop = Workshop(rough(1, "1.6", 1.0), lambda: 100.0)
    shop.kind = "slots"
    shop.slots["B"], shop.booted, shop.primary = "new", "A", "B"
    shop._run_primary()
    seen = []
    for _ in range(4):
        shop.boots()
        seen.append(shop.running)
    assert seen == ["new", "new", ORIGINAL, ORIGINAL]


def test_an_installer_goes_on_when_only_the_agent_is_killed() -> None:
    now = [0.0]
    shop = Workshop(rough(1, "1.6", 1.0), lambda: now[0])
    shop.kind, shop.writing = "slots", Writing("new", 50.0)
    now[0] = 60.0
    shop.settle()
    assert (shop.running, shop.slots[shop.primary]) == (ORIGINAL, "new")


def test_a_power_cut_ends_an_installer() -> None:
    shop = Workshop(rough(1, "1.6", 1.0), lambda: 0.0)
    shop.kind, shop.writing = "slots", Writing("new", 50.0)
    shop.power_lost()
    assert (shop.writing or "nothing", shop.primary) == ("nothing", "A")


def told(*words: str, acked: bool = True, triggers: int = 0) -> list[str]:
    """What is wrong with this row of words about one order."""
    wrong: list[str] = []
    statuses = Statuses("firmware", FIRMWARE, PLAIN, lambda: 0.0, wrong.append)
    statuses.asked(1)
    for _ in range(triggers):
        statuses.triggered()
    for number, word in enumerate(words):
        statuses.told(1, word, f"m{number}")
        if acked:
            statuses.acked(f"m{number}")
    return wrong


def test_a_row_of_words_in_order_is_right() -> None:
    assert told("Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting", "Installed") == []


def test_a_word_that_was_answered_may_not_be_told_again() -> None:
    assert told("Downloading", "Downloaded", "Downloaded") != []


def test_a_word_that_was_not_answered_may_be_told_again() -> None:
    assert told("Downloading", "Downloading", acked=False) == []


def test_a_word_may_be_told_again_to_who_asks() -> None:
    assert told("Downloading", "Downloading", triggers=1) == []


def test_a_row_of_words_that_leaves_one_out_is_wrong() -> None:
    assert told("Downloading", "Installing") != []
