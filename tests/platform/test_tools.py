"""The technician's tools where they belong: the package on a booted system, the agent as a hardened service."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.ledger import begun, over
from tests.platform.network import Network
from tests.platform.station import station

Layers = tuple[Path, ...]


async def test_a_bundle_is_packed_and_replayed_and_a_factory_reset_begins_anew(
    layers: Layers, network: Network
) -> None:
    async with station(layers, network) as s:
        await s.ready()
        await s.do("plug-in", evse=1)
        await s.tap()
        await begun(s.csms)
        assert "has a transaction" in await s.run("sh", "-c", "chargepoint factory-reset --yes --reason x 2>&1", code=1)
        await s.do("unplug", evse=1)
        await over(s.csms)
        assert "nothing secret" in await s.run("chargepoint", "support-bundle", "/root/bundle.tar.gz")
        assert "steps gave the same effects" in await s.run("chargepoint", "replay", "/root/bundle.tar.gz")
        assert "TransactionBegan" in await s.run("chargepoint", "log", "--evse", "1")
        await s.run("systemctl", "stop", "chargepoint")
        kept = await s.run("find", "/var/lib/chargepoint", "-printf", "%p %u %s %T@\n")
        said = await s.run("chargepoint", "support-bundle", "/root/left.tar.gz")
        assert "no agent is running" in said and "nothing secret" in said
        assert await s.run("find", "/var/lib/chargepoint", "-printf", "%p %u %s %T@\n") == kept
        assert "TransactionBegan" in await s.run("tar", "-xzOf", "/root/left.tar.gz", "left/log.txt")
        assert "steps gave the same effects" in await s.run("chargepoint", "replay", "/root/left.tar.gz")
        mark = s.csms.mark()
        await s.run("systemctl", "start", "chargepoint")
        await s.ready(mark)
        before = await s.main_pid()
        mark = s.csms.mark()
        told = await s.run("chargepoint", "factory-reset", "--yes", "--reason", "back to stock")
        assert "it is back" in told
        await s.ready(mark)
        assert await s.main_pid() != before
        (entry,) = s.machine.journal("EVENT=FactoryReset")
        assert "back to stock" in entry["MESSAGE"]
        assert '"transactions": []' in await s.run("chargepoint", "transactions", "--json")
