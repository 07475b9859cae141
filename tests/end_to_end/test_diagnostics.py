"""Logs asked for by a CSMS over a real socket, sent to a real file server, with nothing secret in them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.cli.status import screen
from tests.edge.file_servers import LOGIN as FTP_LOGIN
from tests.edge.file_servers import Files, Handler, ftp_files, http_files
from tests.end_to_end.agent_helpers import CARD, Charger, charger, eventually, until

PASSWORD = "pLanted-0-passw0rd"
NEW_KEY = "pLanted1authkey4567"
VENDOR_SECRET = "pLanted-2-vendor"
LOGIN = "pLanted-3-login"
LOGIN_FTP = ":".join(FTP_LOGIN).replace(" ", "%20")
QUERY = "pLanted-4-signature"
BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])


@pytest.fixture
def files() -> Iterator[Files]:
    with http_files() as server:
        yield server


def stall(handler: Handler) -> None:
    handler.server.released.wait(30)


def where(files: Files) -> str:
    return files.url.replace("://", f"://box:{LOGIN}@") + f"/logs/?sig={QUERY}"


async def get_log(c: Charger, files: Files, kind: str = "Diagnostics", number: int = 7, **more: Any) -> dict[str, Any]:
    asked = {"logType": f"{kind}Log", "requestId": number, "log": {"remoteLocation": where(files)}}
    return await c.csms.call("GetLog", asked | more)


def statuses(c: Charger, action: str) -> list[str]:
    return [payload["status"] for payload in c.csms.calls(action)]


def parts(data: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return {m.name.partition("/")[2]: tar.extractfile(m).read().decode() for m in tar}  # type: ignore[union-attr]


@BOTH
async def test_a_bundle_arrives_under_the_name_that_was_answered(files: Files, version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        answer = await get_log(c, files)
        await c.csms.hear("LogStatusNotification", status="Uploaded", requestId=7)
        assert answer["status"] == "Accepted"
        assert set(parts(files.files[f"/logs/{answer['filename']}?sig={QUERY}"])) == {
            *("about.txt", "status.json", "settings.json", "configuration.json"),
            *("frames.txt", "log.txt", "security.txt", "board.txt", "recorder.jsonl"),
        }
        assert statuses(c, "LogStatusNotification") == ["Uploading", "Uploaded"]
        await until(lambda: not list((c.folder / "memory" / "outgoing").iterdir()), "the file is removed")


async def test_get_diagnostics_of_1_6_is_done_and_told_in_its_own_words(files: Files) -> None:
    async with charger("1.6") as c:
        await c.ready()
        answer = await c.csms.call("GetDiagnostics", {"location": where(files)})
        await c.csms.hear("DiagnosticsStatusNotification", status="Uploaded")
        assert "status.json" in parts(files.files[f"/logs/{answer['fileName']}?sig={QUERY}"])
        assert statuses(c, "DiagnosticsStatusNotification") == ["Uploading", "Uploaded"]
        assert c.csms.calls("LogStatusNotification") == []


async def test_the_security_log_is_sent_as_text(files: Files) -> None:
    async with charger("1.6") as c:
        await c.ready()
        answer = await get_log(c, files, "Security")
        await c.csms.hear("LogStatusNotification", status="Uploaded")
        text = files.files[f"/logs/{answer['filename']}?sig={QUERY}"].decode()
        assert "StartupOfTheDevice" in text


async def test_no_planted_secret_and_no_whole_card_is_in_the_bundle(files: Files) -> None:
    lines = f'password = "{PASSWORD}"'
    async with charger("1.6", csms_lines=lines, variables={"AuthCtrlr.MasterPassGroupId": "GROUPCARD01"}) as c:
        await c.ready()
        await c.csms.call("ChangeConfiguration", {"key": "AuthorizationKey", "value": NEW_KEY})
        await c.csms.hear("BootNotification")
        data = json.dumps({"apiKey": VENDOR_SECRET, "note": "hello"})
        await eventually(lambda: _transferred(c, data), "the charger talks again")
        await c.tap()
        await c.csms.hear("Authorize")
        answer = await get_log(c, files)
        await c.csms.hear("LogStatusNotification", status="Uploaded")
        found = parts(files.files[f"/logs/{answer['filename']}?sig={QUERY}"])
        whole = "\n".join(found.values()).lower()
        planted = (PASSWORD, NEW_KEY, VENDOR_SECRET, LOGIN, QUERY, CARD, "GROUPCARD01", NEW_KEY.encode().hex())
        assert [secret for secret in planted if secret.lower() in whole] == []
        assert "ChangeConfiguration" in found["frames.txt"]  # there was something to be taken out
        assert "hello" in found["frames.txt"]


async def _transferred(c: Charger, data: str) -> bool:
    try:
        return bool(await c.csms.call("DataTransfer", {"vendorId": "example", "data": data}, 1.0))
    except (TimeoutError, AssertionError, OSError):
        return False


async def test_lesson_23_a_server_that_fails_at_first_gets_the_file_at_a_later_try(files: Files) -> None:
    tries: list[str] = []

    def fail_twice(handler: Handler) -> None:
        data = handler.body()
        tries.append(handler.path)
        if len(tries) < 3:
            handler.say(503)
        else:
            handler.server.files[handler.path] = data
            handler.say(201)

    files.hooks["PUT"] = fail_twice
    async with charger("1.6") as c:
        await c.ready()
        await get_log(c, files, retries=3, retryInterval=1)
        await c.csms.hear("LogStatusNotification", status="Uploaded")
        assert (len(tries), len(set(tries))) == (3, 1)
        assert statuses(c, "LogStatusNotification") == ["Uploading", "Uploaded"]


async def test_a_server_that_never_takes_it_is_told_as_a_failure(files: Files) -> None:
    def refuse(handler: Handler) -> None:
        handler.body()
        handler.say(403)

    files.hooks["PUT"] = refuse
    async with charger("1.6") as c:
        await c.ready()
        await c.csms.call("GetDiagnostics", {"location": where(files), "retries": 1, "retryInterval": 1})
        await c.csms.hear("DiagnosticsStatusNotification", status="UploadFailed")
        assert LOGIN not in c.log


async def test_a_location_that_is_none_is_told_at_once(files: Files) -> None:
    async with charger("1.6") as c:
        await c.ready()
        await get_log(c, files, log={"remoteLocation": "file:///etc/passwd"}, retries=5, retryInterval=100)
        await c.csms.hear("LogStatusNotification", status="BadMessage")


async def test_after_a_crash_the_same_file_is_sent(files: Files) -> None:
    files.hooks["PUT"] = stall
    async with charger("1.6") as c:
        await c.ready()
        answer = await get_log(c, files, retries=2, retryInterval=1)
        await until(lambda: len(files.requests) == 1, "the upload has begun")
        assert c.process is not None
        c.process.kill()
        await c.process.wait()
        del files.hooks["PUT"]
        await c.start()
        await c.csms.hear("LogStatusNotification", status="Uploaded", requestId=7)
        assert parts(files.files[f"/logs/{answer['filename']}?sig={QUERY}"])
        assert statuses(c, "LogStatusNotification") == ["Uploading", "Uploaded"]


async def test_a_newer_log_takes_the_place_of_the_one_under_way(files: Files) -> None:
    files.hooks["PUT"] = stall
    async with charger("2.0.1") as c:
        await c.ready()
        await get_log(c, files, number=1)
        await until(lambda: len(files.requests) == 1, "the upload has begun")
        assert "sending" in (await c.status())["upload"]
        del files.hooks["PUT"]
        assert (await get_log(c, files, number=2))["status"] == "AcceptedCanceled"
        await c.csms.hear("LogStatusNotification", status="AcceptedCanceled", requestId=1)
        await c.csms.hear("LogStatusNotification", status="Uploaded", requestId=2)
        assert (await c.status())["upload"] is None


async def test_diagnostics_go_by_ftp_into_a_directory(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    with ftp_files(tmp_path) as port:
        async with charger("1.6") as c:
            await c.ready()
            location = f"ftp://{LOGIN_FTP}@127.0.0.1:{port}/logs"
            answer = await c.csms.call("GetDiagnostics", {"location": location})
            await c.csms.hear("DiagnosticsStatusNotification", status="Uploaded")
    assert parts((tmp_path / "logs" / answer["fileName"]).read_bytes())


async def test_only_what_lies_between_two_moments_is_in_the_log(files: Files) -> None:
    async with charger("1.6") as c:
        await c.ready()
        past = {"startTime": "2020-01-01T00:00:00Z", "stopTime": "2020-01-02T00:00:00Z"}
        answer = await c.csms.call("GetDiagnostics", {"location": where(files)} | past)
        await c.csms.hear("DiagnosticsStatusNotification", status="Uploaded")
        found = parts(files.files[f"/logs/{answer['fileName']}?sig={QUERY}"])
        assert (found["frames.txt"], found["log.txt"].strip(), found["security.txt"].strip()) == ("", "", "")


def test_the_screen_tells_of_an_upload() -> None:
    assert "Upload    CP-1.tar.gz: sending" in screen({"upload": "CP-1.tar.gz: sending"}).splitlines()


async def test_the_protocols_are_told_as_built() -> None:
    async with charger("1.6") as c:
        await c.ready()
        answer = await c.csms.call("GetConfiguration", {"key": ["SupportedFileTransferProtocols"]})
        assert answer["configurationKey"][0]["value"] == "HTTPS,HTTP,SFTP,FTPS,FTP"
