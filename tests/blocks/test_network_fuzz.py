"""The link as a whole under anything in any order: it never raises, always has somewhere to dial, always comes back."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from agent.blocks.network import QUIET_S
from agent.core.effects import Effect, Redial
from agent.core.events import LinkDown, LinkUp, Restored
from agent.core.network import CredentialsKnown, Profile, Secret, State, read_plan
from agent.core.types import Registration
from tests.blocks.helpers import of
from tests.blocks.test_network import HOME, KEY, SPARE, Desk

STEPS = 120
LONGEST_S = 300.0 + QUIET_S
WRITES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("NetworkConfiguration[1].OcppCsmsUrl", ("ws://new/ocpp", "wss://new/ocpp", "", "junk")),
    ("NetworkConfiguration[2].OcppCsmsUrl", ("ws://second/ocpp", "wss://second/ocpp", "")),
    ("NetworkConfiguration[3].OcppCsmsUrl", ("wss://third/ocpp", "")),
    ("NetworkConfiguration[3].BasicAuthPassword", (KEY, "short")),
    ("NetworkConfiguration[1].Identity", ("CP9", "", "with:colon")),
    ("NetworkConfiguration[2].SecurityProfile", ("0", "1", "2", "3")),
    ("NetworkConfiguration.SecurityProfile", ("0", "1", "2", "3")),
    ("NetworkConfiguration[1].OcppVersion", ("V-ONE", "V-TWO,V-ONE", "V-NINE", "")),
    ("SecurityCtrlr.BasicAuthPassword", (KEY, "a password in words", "short")),
    ("OCPPCommCtrlr.NetworkConfigurationPriority", ("1", "2,1", "1,2", "3", "3,2,1", "4", "")),
)


class Fuzz:
    """One station and its restarts; what must hold is looked at after every step."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.desk = self.made()
        self.desk.begin()
        self.floor = 0

    def made(self) -> Desk:
        return Desk(HOME, SPARE, OCPPCommCtrlr__NetworkLastResortAfter="3600")

    def write(self) -> None:
        name, values = self.rng.choice(WRITES)
        self.desk.set(name, self.rng.choice(values))

    def fail(self) -> None:
        kind, security = self.rng.choice((("refused", ""), ("unauthorized", "FailedToAuthenticateAtCsms")))
        self.desk.fail(kind, "no luck", security)

    def accept(self) -> None:
        self.desk.accept(self.rng.choice((Registration.ACCEPTED, Registration.PENDING, Registration.REJECTED)))

    def drop(self) -> None:
        self.desk.feed(LinkUp(), LinkDown("lost"))

    def wait(self) -> None:
        self.desk.wait(self.rng.choice((0.5, 2.0, 3.0, 61.0, 400.0, 2500.0)))

    def restart(self) -> None:
        before, self.desk = self.desk, self.made()
        self.desk.mono, self.desk.utc = before.mono, before.utc
        self.desk.remembered = {table: dict(rows) for table, rows in before.remembered.items()}
        self.desk.feed(Restored(before.remembered))

    def certificates(self) -> None:
        self.desk.feed(CredentialsKnown(root=self.rng.random() < 0.7, client=self.rng.random() < 0.7))

    def step(self) -> None:
        steps: tuple[Callable[[], None], ...] = (
            *(self.write, self.write, self.fail, self.fail, self.accept, self.accept),
            *(self.drop, self.wait, self.restart, self.certificates),
        )
        self.rng.choice(steps)()
        self.check()

    def check(self) -> None:
        desk = self.desk
        assert desk.network.target is not None
        profile = desk.profile
        floor = read_plan(desk.store.get("plan")).floor
        assert floor >= self.floor, "the floor has sunk"
        assert profile.security >= max(floor, 1), "a security profile was lowered"
        self.floor = floor
        if desk.network.state is State.TRYING:
            assert desk.network.trial_ends_mono() is not None, "a trial without an end"
        else:
            assert desk.network.state is State.GATHERING or "wanted" not in desk.store or not desk.store["wanted"]


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_the_link_has_somewhere_to_go(seed: int) -> None:
    fuzz = Fuzz(seed)
    for _ in range(STEPS):
        fuzz.step()


@pytest.mark.parametrize("seed", range(40))
def test_whatever_was_set_a_trial_that_nobody_accepts_ends_in_time(seed: int) -> None:
    fuzz = Fuzz(seed)
    for _ in range(STEPS // 4):
        fuzz.step()
    fuzz.desk.wait(2 * LONGEST_S)
    assert fuzz.desk.network.state in (State.STANDING, State.PROBING)
    fuzz.desk.wait(LONGEST_S)
    assert "wanted" not in fuzz.desk.store


@pytest.mark.parametrize("seed", range(20))
def test_a_restart_at_any_moment_dials_what_stands_or_tries_what_is_wanted(seed: int) -> None:
    fuzz = Fuzz(seed)
    for _ in range(STEPS // 4):
        fuzz.step()
    fuzz.desk.wait(QUIET_S + 1)  # what is gathered and changes nothing of the link in use is taken without a trial
    stood = fuzz.desk.store.get("plan")
    fuzz.restart()
    assert fuzz.desk.store.get("plan") == stood
    fuzz.desk.wait(2 * LONGEST_S)
    assert "wanted" not in fuzz.desk.store
    assert fuzz.desk.store.get("plan") == stood


def test_redials_of_a_charger_that_reaches_nobody_are_few() -> None:
    """Each slot has its first turn at once; from then on it is the back-off that says when."""
    desk = Desk(HOME, Profile("ws://x/ocpp", "CP1", 1, Secret(KEY))).begin()
    effects: list[Effect] = []
    for _ in range(100):
        effects += desk.fail()
    redials = of(effects, Redial)
    assert len(redials) == 50
    assert [redial.at_once for redial in redials[:3]] == [True, False, False]
    assert sum(redial.at_once for redial in redials) == 1
