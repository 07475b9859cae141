"""The trust store and real TLS: what the link accepts with the roots that it is given."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from agent.edge.alarms import alarm
from agent.edge.link import Connected
from agent.edge.trust import Trust, name_of
from tests.edge import pki
from tests.edge.link_helpers import csms, idle, linked
from tests.edge.pki import Issued

issue = partial(pki.issue, at=datetime.now(UTC))
OLD = issue("Old")
NEW = issue("New", OLD)


def serving(folder: Path, by: Issued, *more: Issued) -> ssl.SSLContext:
    leaf = issue("127.0.0.1", by, ca=False, server="127.0.0.1")
    (folder / "server.pem").write_text("".join(one.pem for one in (leaf, *more)))
    (folder / "server.key").write_bytes(leaf.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


@pytest.mark.parametrize("old_stays", [True, False], ids=["with the old root", "with the new root alone"])
async def test_a_root_signed_by_the_one_before_vouches_for_a_server(tmp_path: Path, old_stays: bool) -> None:
    trust = Trust(tmp_path / "certificates")
    trust.add_root("CSMSRoot", NEW.pem)
    if old_stays:
        trust.add_root("CSMSRoot", OLD.pem)
    async with csms(idle, ssl=serving(tmp_path, NEW)) as url, linked(url, more_ca_file=trust.csms_ca_file()) as bench:
        assert await bench.up() == Connected("ocpp2.0.1")
        chain = bench.link.chain()
        assert chain is not None
        trust.stands(chain, only_newest=True)
    assert trust.names("CSMSRoot") == [name_of(NEW.der)]


async def test_a_server_of_the_old_root_proves_nothing_of_the_new_one(tmp_path: Path) -> None:
    trust = Trust(tmp_path / "certificates")
    for root in (OLD, NEW):
        trust.add_root("CSMSRoot", root.pem)
    async with csms(idle, ssl=serving(tmp_path, OLD)) as url, linked(url, more_ca_file=trust.csms_ca_file()) as bench:
        await bench.up()
        trust.stands(bench.link.chain(), only_newest=True)
    assert trust.in_use == {name_of(OLD.der)}
    assert not trust.proven(name_of(NEW.der))


async def test_a_wrong_root_from_afar_gives_way_to_the_trust_from_before(tmp_path: Path) -> None:
    """The link is told the roots anew at each dial, as the daemon does it."""
    trust = Trust(tmp_path / "certificates")
    trust.add_root("CSMSRoot", issue("Wrong").pem)
    (tmp_path / "before.pem").write_text(OLD.pem)
    async with csms(idle, ssl=serving(tmp_path, OLD)) as url:
        async with linked(url, more_ca_file=trust.csms_ca_file()) as bench:
            found = alarm((await bench.loss()).why)
            assert found is not None
            assert found.kind == "InvalidCsmsCertificate"
            trust.refused(ours=found.ours is True)
        assert trust.csms_ca_file() is None
        async with linked(url, ca_file=str(tmp_path / "before.pem"), more_ca_file=trust.csms_ca_file()) as bench:
            await bench.up()


@pytest.mark.parametrize("by", ["the system's", "the installed"])
async def test_a_root_from_afar_vouches_beside_the_systems_trust_store(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no ca_file is configured: a CSMS that installs the root of the next one must not lose us at once."""
    stranger = issue("Stranger")
    trust = Trust(tmp_path / "certificates")
    trust.add_root("CSMSRoot", stranger.pem)
    systems_is(OLD, tmp_path, monkeypatch)
    context = serving(tmp_path, OLD if by == "the system's" else stranger)
    async with csms(idle, ssl=context) as url, linked(url, more_ca_file=trust.csms_ca_file()) as bench:
        assert await bench.up() == Connected("ocpp2.0.1")


async def test_where_only_one_root_may_vouch_the_systems_trust_store_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = Trust(tmp_path / "certificates")
    trust.add_root("CSMSRoot", issue("Stranger").pem)
    systems_is(OLD, tmp_path, monkeypatch)
    async with (
        csms(idle, ssl=serving(tmp_path, OLD)) as url,
        linked(url, more_ca_file=trust.csms_ca_file(), system_roots=False) as bench,
    ):
        found = alarm((await bench.loss()).why)
        assert found is not None
        assert found.kind == "InvalidCsmsCertificate"


def systems_is(root: Issued, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "system.pem").write_text(root.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "system.pem"))
