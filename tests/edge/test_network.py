"""What a dial is made of: the file, what the CSMS has set over it, and the certificates on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.blocks.assembly import assemble
from agent.config import Config, load
from agent.core import record
from agent.core.events import Event, Restored
from agent.core.evse import EvseLimits
from agent.core.network import CredentialsKnown, DialFailed, LinkSilent
from agent.core.types import ClockQuality, Instant, Registration
from agent.edge.dial import LinkSettings
from agent.edge.link import Connected, Disconnected
from agent.edge.reasons import LinkWhy, WhyKind
from agent.edge.trust import Trust
from agent.network import SILENT_S, Network, links
from tests.core.test_config_csms import PLAIN, SECURE, STATION, WORD

NOW = Instant(1000.0, 1_800_000_000.0, ClockQuality.SYNCED, "boot-1")
KEY = "0123456789abcdef0123456789ABCDEF"


class Desk:
    """A station that heard what the store remembers of the network, and the link's settings from it."""

    def __init__(self, folder: Path, csms: str, *, trust: bool = False, **memory: Any) -> None:
        self.folder = folder
        self.config = self.read(csms)
        self.station = assemble([EvseLimits(1, 32.0, 3)], prefix="t", links=links(self.config))
        self.station.handle(Restored({"network": memory}), NOW)
        self.fed: list[Event] = []
        self.hidden: list[str] = []
        self.mono = 1000.0
        self.network = Network(self.config, self.station, self.feed, self.hidden.append, lambda: self.mono)
        self.trust = Trust(folder / "certificates")
        if trust:
            self.network.custodian = SimpleNamespace(trust=self.trust, stands=self.stands)

    def read(self, csms: str) -> Config:
        file = self.folder / "agent.toml"
        file.write_text(f"[csms]\n{csms}\n{STATION}")
        (self.folder / "ca.pem").write_text("")
        return load(file)

    async def stands(self, chain: list[bytes] | None, *, only_newest: bool) -> bool:
        return self.trust.stands(chain, only_newest=only_newest)

    async def feed(self, event: Event) -> None:
        self.fed.append(event)
        self.station.handle(event, NOW)

    @property
    def settings(self) -> LinkSettings:
        return self.network.settings()

    def plan(self, csms: str, **values: Any) -> dict[str, Any]:
        """What is remembered when these values were set over slot 1 of this file."""
        return {"slots": {"1": {**values, "mark": links(self.read(csms)).mark(1)}}, "priority": []}


def over(folder: Path, csms: str, *, trust: bool = False, **values: Any) -> Desk:
    """The same when the CSMS has set these values."""
    return Desk(folder, csms, trust=trust, plan=Desk(folder, csms).plan(csms, **values))


def test_without_anything_set_the_file_is_dialled(tmp_path: Path) -> None:
    made = Desk(tmp_path, PLAIN + WORD).settings
    assert (made.url, made.identity, made.password, made.client) == (
        "ws://csms.example/ocpp", "CP1", "a password of mine", None,
    )  # fmt: skip


def test_what_the_csms_has_set_wins_over_the_file(tmp_path: Path) -> None:
    desk = over(tmp_path, PLAIN + WORD, url="ws://other/ocpp", versions="OCPP16")
    assert (desk.settings.url, desk.settings.subprotocols) == ("ws://other/ocpp", ("ocpp1.6",))


def test_a_key_in_hex_is_sent_as_its_bytes(tmp_path: Path) -> None:
    assert over(tmp_path, PLAIN + WORD, password=KEY, form="hex").settings.password == bytes.fromhex(KEY)


def test_a_password_is_hidden_from_the_log_before_it_is_used(tmp_path: Path) -> None:
    desk = over(tmp_path, PLAIN + WORD, password=KEY, form="text")
    assert desk.settings.password in desk.hidden


@pytest.mark.parametrize(("profile", "password"), [(0, None), (3, None), (1, "a password of mine")])
def test_a_password_goes_out_in_profiles_1_and_2_only(tmp_path: Path, profile: int, password: str | None) -> None:
    assert over(tmp_path, PLAIN + WORD, security=profile).settings.password == password


def test_the_certificate_is_shown_in_profile_3_only(tmp_path: Path) -> None:
    csms = SECURE + WORD + 'client_certificate_file = "ca.pem"\nsecurity_profile = 2'
    assert Desk(tmp_path, csms).settings.client is None
    pem = str(tmp_path / "ca.pem")
    assert over(tmp_path, csms, security=3).settings.client == (pem, pem)


PEM = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"


def test_installed_roots_vouch_in_addition_to_the_file(tmp_path: Path) -> None:
    desk = Desk(tmp_path, SECURE + WORD + 'ca_file = "ca.pem"', trust=True)
    desk.trust.add_root("CSMSRoot", PEM)
    assert (desk.settings.ca_file, desk.settings.more_ca_file) == (
        str(tmp_path / "ca.pem"), str(tmp_path / "certificates" / "csms-roots.pem"),
    )  # fmt: skip


@pytest.mark.parametrize(("value", "counts"), [("false", True), ("true", False)])
def test_where_one_root_may_vouch_it_takes_the_place_of_the_systems(tmp_path: Path, value: str, counts: bool) -> None:
    desk = Desk(tmp_path, SECURE + WORD, trust=True)
    assert not desk.station.facts.variables.layer("config", {"SecurityCtrlr.AdditionalRootCertificateCheck": value})
    assert desk.settings.system_roots is counts


async def test_installed_roots_do_not_vouch_for_a_fallback_of_the_file(tmp_path: Path) -> None:
    csms = SECURE + WORD + f'[[csms.fallback]]\nurl = "wss://spare/ocpp"\n{WORD}'
    desk = Desk(tmp_path, csms, trust=True)
    desk.trust.add_root("CSMSRoot", PEM)
    refused = Disconnected(LinkWhy(WhyKind.REFUSED, "nobody listens"), 1.0, False)
    for _ in range(3):
        assert desk.settings.url == "wss://csms.example/ocpp"
        await desk.network.disconnected(refused)
    assert (desk.settings.url, desk.settings.more_ca_file) == ("wss://spare/ocpp", None)


async def test_a_refused_root_is_passed_over_at_the_next_dial(tmp_path: Path) -> None:
    desk = Desk(tmp_path, SECURE + WORD, trust=True)
    desk.trust.add_root("CSMSRoot", PEM)
    assert desk.settings.more_ca_file is not None
    text = "the certificate has expired (or this charger's clock is wrong)"
    await desk.network.disconnected(Disconnected(LinkWhy(WhyKind.TLS, text), 1.0, False))
    assert desk.settings.more_ca_file is None


@pytest.mark.parametrize(
    ("why", "security"),
    [
        (LinkWhy(WhyKind.UNAUTHORIZED, "the server refused user or password (HTTP 401)"), "FailedToAuthenticateAtCsms"),
        (LinkWhy(WhyKind.REFUSED, "nobody listens there"), ""),
    ],
)
async def test_a_dial_that_failed_is_told_with_its_security_event(tmp_path: Path, why: LinkWhy, security: str) -> None:
    desk = Desk(tmp_path, PLAIN + WORD)
    _ = desk.settings
    await desk.network.disconnected(Disconnected(why, 1.0, False))
    assert desk.fed == [DialFailed(1, str(why.kind), why.text, security)]


@pytest.mark.parametrize("kind", [WhyKind.REDIAL, WhyKind.DROPPED, WhyKind.STOPPED])
async def test_what_we_ended_ourselves_is_no_failure(tmp_path: Path, kind: WhyKind) -> None:
    desk = Desk(tmp_path, PLAIN)
    await desk.network.disconnected(Disconnected(LinkWhy(kind, "on order"), 0.0, False))
    assert desk.fed == []


class Standing:
    """A link that stands and shows life."""

    is_up = True

    def chain(self) -> list[bytes]:
        return []


async def test_lesson_10_a_csms_that_answers_nothing_for_long_is_asked_once_a_minute(tmp_path: Path) -> None:
    desk = Desk(tmp_path, PLAIN)
    _ = desk.settings
    desk.network.connected(Connected("ocpp1.6"))
    desk.station.facts.registration = Registration.ACCEPTED
    link: Any = Standing()
    asked = []
    for second in (1, SILENT_S - 1, SILENT_S + 1, SILENT_S + 30, SILENT_S + 62):
        desk.mono = 1000.0 + second
        await desk.network.look(link, 0.0)
        asked.append(sum(isinstance(event, LinkSilent) for event in desk.fed))
    assert asked == [0, 0, 1, 1, 2]


async def test_the_station_hears_which_certificates_there_are(tmp_path: Path) -> None:
    desk = Desk(tmp_path, PLAIN, trust=True)
    link: Any = SimpleNamespace(is_up=False)
    desk.trust.add_root("CSMSRoot", PEM)
    await desk.network.look(link, 0.0)
    await desk.network.look(link, 0.0)
    assert desk.fed == [CredentialsKnown(root=True, client=False)]


async def test_a_file_that_names_another_csms_moves_the_link(tmp_path: Path) -> None:
    desk = Desk(tmp_path, PLAIN)
    assert await desk.network.configured(desk.read(PLAIN.replace("csms.example", "new.example")))
    assert desk.settings.url == "ws://new.example/ocpp"


async def test_a_file_that_changes_nothing_of_the_target_does_not(tmp_path: Path) -> None:
    desk = Desk(tmp_path, PLAIN)
    csms = record.replace(desk.config.csms, accept_without_subprotocol=True)
    assert not await desk.network.configured(replace(desk.config, csms=csms))
    assert desk.settings.accept_without_subprotocol
