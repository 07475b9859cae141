"""Updates, put together: whose roots count."""

from __future__ import annotations

from pathlib import Path

from agent import updates
from agent.clock import Clock
from agent.core.firmware import CheckSigner, DropFirmware, SignerChecked
from agent.core.requests import Ref, UpdateRequested
from agent.edge.trust import Trust
from agent.errands import Errands, Handler
from agent.log import Log
from tests.core.test_config import loaded
from tests.edge.firmware_signers import maker, signer

LOG = Log(lambda *_: True)


class Served(Errands):
    def __init__(self) -> None:
        super().__init__(None, None)  # type: ignore[arg-type]
        self.handlers: dict[type, Handler] = {}

    def serve(self, kind: type, handler: Handler) -> None:
        self.handlers[kind] = handler


async def checked(folder: Path, trust: Trust | None, *more: str) -> SignerChecked:
    text = f'[firmware]\ninstaller = "command"\ncommand = ["/bin/true"]\nactivation = "none"\n{"".join(more)}'
    served = Served()
    config = loaded(folder, "[variables]", f"{text}\n[variables]")
    updates.serve(config, served, Clock(), LOG, lambda: trust)
    order = UpdateRequested(Ref("r", "x"), "https://x", certificate=signer().pem, signature="")
    found = await served.handlers[CheckSigner](CheckSigner(order))
    assert isinstance(found, SignerChecked)
    return found


async def test_a_root_that_the_csms_has_installed_vouches_for_firmware(tmp_path: Path) -> None:
    trust = Trust(tmp_path / "certificates")
    assert (await checked(tmp_path, trust)).verdict == "invalid"
    trust.add_root("CSMSRoot", maker().pem)
    assert (await checked(tmp_path, trust)).verdict == "invalid"
    trust.add_root("ManufacturerRoot", maker().pem)
    assert (await checked(tmp_path, trust)).verdict == ""


async def test_a_root_of_the_configuration_vouches_for_firmware(tmp_path: Path) -> None:
    (tmp_path / "roots.pem").write_text(maker().pem)
    assert (await checked(tmp_path, None)).verdict == "invalid"
    assert (await checked(tmp_path, None, 'roots_file = "roots.pem"')).verdict == ""


def test_without_an_installer_nothing_is_served(tmp_path: Path) -> None:
    served = Served()
    updates.serve(loaded(tmp_path), served, Clock(), LOG, lambda: None)
    assert DropFirmware not in served.handlers
    assert served.handlers == {}
