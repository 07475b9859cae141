"""Files over FTP, FTPS and SFTP against real servers."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agent.edge.location import parse
from agent.edge.transfer import fetch, send
from agent.edge.transfer_job import Job, Target
from agent.edge.transfer_sftp import MAX_HOSTS, _known
from agent.errors import TransferError
from tests.edge.file_servers import LOGIN, Pki, ftp_files, raw_server, sftp_files, transfer_ended

DATA = os.urandom(300_000)
LIMIT = 1 << 20
USER = f"{LOGIN[0]}:{LOGIN[1].replace(' ', '%20')}"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    (folder / "logs").mkdir(parents=True)
    (folder / "fw bin").write_bytes(DATA)
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "got.bin"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "out.tar.gz"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def ftp(home: Path) -> Iterator[str]:
    with ftp_files(home) as port:
        yield f"ftp://{USER}@127.0.0.1:{port}"


async def refusal(location: str, target: Path, limit_bytes: int = LIMIT, **options: Any) -> TransferError:
    with pytest.raises(TransferError) as caught:
        await fetch(location, target, limit_bytes=limit_bytes, **options)
    return caught.value


def half(location: str, target: Path, **mark: str | int) -> None:
    """As a first try leaves it that got a part and was cut."""
    with suppress(TransferError), Target(Job(), target, parse(location), LIMIT) as part:
        part.begin(0, len(DATA), **mark)
        part.write(DATA[:100_000])
        part.done()  # raises, as there is more to come


# --- FTP ----------------------------------------------------------------------------------------------------


async def test_a_file_is_fetched_by_ftp(ftp: str, target: Path) -> None:
    await fetch(f"{ftp}/fw%20bin", target, limit_bytes=LIMIT)
    assert target.read_bytes() == DATA


async def test_a_broken_off_fetch_by_ftp_goes_on_where_it_stopped(ftp: str, home: Path, target: Path) -> None:
    await fetch(f"{ftp}/fw%20bin", target, limit_bytes=LIMIT)
    from ftplib import FTP

    with FTP() as asked:
        asked.connect("127.0.0.1", parse(ftp).port)
        asked.login(*LOGIN)
        date = asked.sendcmd("MDTM fw bin")[4:]
    half(f"{ftp}/fw%20bin", target, date=date)
    (home / "fw bin").write_bytes(b"\0" * 100_000 + DATA[100_000:])  # same size; what we have is not asked for again
    os.utime(home / "fw bin", (0, _epoch(date)))
    await fetch(f"{ftp}/fw%20bin", target, limit_bytes=LIMIT)
    assert target.read_bytes() == DATA


def _epoch(date: str) -> float:
    import calendar
    import time

    return calendar.timegm(time.strptime(date, "%Y%m%d%H%M%S"))


async def test_a_file_that_changed_meanwhile_is_fetched_anew_by_ftp(ftp: str, target: Path) -> None:
    half(f"{ftp}/fw%20bin", target, date="20010101000000")
    with target.open("r+b") as file:
        file.write(b"old")
    await fetch(f"{ftp}/fw%20bin", target, limit_bytes=LIMIT)
    assert target.read_bytes() == DATA


async def test_a_wrong_login_is_refused_for_good_and_not_shown(ftp: str, target: Path) -> None:
    error = await refusal(ftp.replace("s3cret", "wr0ng") + "/fw%20bin", target)
    assert ("the login is wrong" in str(error), "wr0ng" in str(error), error.permanent) == (True, False, True)


async def test_a_missing_file_is_refused_for_good(ftp: str, target: Path) -> None:
    error = await refusal(f"{ftp}/none", target)
    assert ("FTP 550" in str(error), error.permanent, target.exists()) == (True, True, False)


async def test_a_file_too_large_is_not_fetched_by_ftp(ftp: str, target: Path) -> None:
    assert (await refusal(f"{ftp}/fw%20bin", target, limit_bytes=1000)).permanent


async def test_a_file_is_stored_in_a_directory_by_ftp(ftp: str, home: Path, source: Path) -> None:
    await send(source, f"{ftp}/logs", "log.tar.gz")
    assert (home / "logs" / "log.tar.gz").read_bytes() == DATA


async def test_a_file_is_stored_where_the_login_begins(ftp: str, home: Path, source: Path) -> None:
    await send(source, ftp, "log.tar.gz")
    assert (home / "log.tar.gz").read_bytes() == DATA


async def test_a_location_that_is_no_directory_names_the_file(ftp: str, home: Path, source: Path) -> None:
    await send(source, f"{ftp}/logs/mine.tgz", "log.tar.gz")
    assert (home / "logs" / "mine.tgz").read_bytes() == DATA


async def test_a_directory_that_is_not_there_is_refused(ftp: str, source: Path) -> None:
    with pytest.raises(TransferError, match="FTP 550"):
        await send(source, f"{ftp}/nowhere/", "log.tar.gz")


async def test_an_ftp_server_that_says_nothing_is_left(target: Path) -> None:
    released = threading.Event()
    with raw_server(lambda _sock: released.wait(30)) as port:
        error = await refusal(f"ftp://127.0.0.1:{port}/x", target, stall_s=0.2)
        released.set()
    assert ("in time" in str(error), error.permanent) == (True, False)


async def test_a_reply_without_end_is_left(target: Path) -> None:
    def talk(sock: Any) -> None:
        while True:
            sock.sendall(b"220-hello\r\n")

    with raw_server(talk) as port:
        assert await refusal(f"ftp://127.0.0.1:{port}/x", target)


async def test_a_data_connection_goes_to_the_server_itself_whatever_it_says(target: Path) -> None:
    """Else a server could have the charger knock at any door of the site's network."""
    called = threading.Event()

    def talk(sock: Any) -> None:
        sock.sendall(b"220 hello\r\n")
        for line in sock.makefile("rb"):
            word = line[:4].strip().decode()
            answers = {"PASV": f"227 Entering (127,0,0,2,{port >> 8},{port & 255})", "TYPE": "200 ok", "PASS": "230 ok"}
            sock.sendall(f"{answers.get(word, '331 more' if word == 'USER' else '500 what')}\r\n".encode())

    with raw_server(lambda _sock: called.set()) as port, raw_server(talk) as control:
        await refusal(f"ftp://127.0.0.1:{control}/x", target, stall_s=2.0)
        assert called.wait(10)


# --- FTPS ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", ["explicit", "implicit"])
async def test_a_file_goes_both_ways_by_ftps(home: Path, target: Path, source: Path, pki: Pki, tls: str) -> None:
    with ftp_files(home, tls=tls, pem=pki.good) as port:
        url = f"ftps://{USER}@127.0.0.1:{port}"
        await fetch(f"{url}/fw%20bin", target, limit_bytes=LIMIT, ca_file=pki.ca_file)
        await send(source, f"{url}/logs/", "log.tar.gz", ca_file=pki.ca_file)
    assert target.read_bytes() == DATA
    assert (home / "logs" / "log.tar.gz").read_bytes() == DATA


@pytest.mark.parametrize("tls", ["explicit", "implicit"])
async def test_an_ftps_server_of_another_ca_is_refused(home: Path, target: Path, pki: Pki, tls: str) -> None:
    with ftp_files(home, tls=tls, pem=pki.good) as port:
        error = await refusal(f"ftps://{USER}@127.0.0.1:{port}/fw%20bin", target)
    assert "trust store" in str(error)


@pytest.mark.parametrize("tls", ["explicit", "implicit"])
async def test_an_ftps_certificate_for_another_host_is_refused(home: Path, target: Path, pki: Pki, tls: str) -> None:
    with ftp_files(home, tls=tls, pem=pki.stranger) as port:
        error = await refusal(f"ftps://{USER}@127.0.0.1:{port}/fw%20bin", target, ca_file=pki.ca_file)
    assert "belongs to another" in str(error)


async def test_ftps_never_goes_on_without_tls(home: Path, target: Path, pki: Pki) -> None:
    with ftp_files(home) as port:
        await refusal(f"ftps://{USER}@127.0.0.1:{port}/fw%20bin", target, ca_file=pki.ca_file)
    assert not target.exists() or target.stat().st_size == 0


# --- SFTP ---------------------------------------------------------------------------------------------------


async def test_a_file_goes_both_ways_by_sftp(home: Path, target: Path, source: Path) -> None:
    async with sftp_files(home) as port:
        url = f"sftp://{USER}@127.0.0.1:{port}"
        await fetch(f"{url}/fw%20bin", target, limit_bytes=LIMIT)
        await send(source, f"{url}/logs", "log.tar.gz")
        await send(source, f"{url}/logs/mine.tgz", "log.tar.gz")
    assert target.read_bytes() == DATA
    assert (home / "logs" / "log.tar.gz").read_bytes() == DATA
    assert (home / "logs" / "mine.tgz").read_bytes() == DATA


async def test_a_broken_off_fetch_by_sftp_goes_on_where_it_stopped(home: Path, target: Path) -> None:
    (home / "fw bin").write_bytes(b"\0" * 100_000 + DATA[100_000:])
    date = str(int((home / "fw bin").stat().st_mtime))
    async with sftp_files(home) as port:
        url = f"sftp://{USER}@127.0.0.1:{port}/fw%20bin"
        half(url, target, date=date)
        await fetch(url, target, limit_bytes=LIMIT)
    assert target.read_bytes() == DATA


async def test_a_wrong_login_is_refused_by_sftp_and_not_shown(home: Path, target: Path) -> None:
    async with sftp_files(home) as port:
        error = await refusal(f"sftp://box:wr0ng@127.0.0.1:{port}/fw%20bin", target)
    assert ("the login is wrong" in str(error), "wr0ng" in str(error), error.permanent) == (True, False, True)


async def test_a_missing_file_is_refused_by_sftp(home: Path, target: Path) -> None:
    async with sftp_files(home) as port:
        error = await refusal(f"sftp://{USER}@127.0.0.1:{port}/none", target)
    assert ("no such file" in str(error), error.permanent) == (True, True)


async def test_an_sftp_server_whose_key_has_changed_is_refused(home: Path, target: Path, tmp_path: Path) -> None:
    hosts = tmp_path / "known_hosts"
    async with sftp_files(home) as port:
        url = f"sftp://{USER}@127.0.0.1:{port}/fw%20bin"
        await fetch(url, target, limit_bytes=LIMIT, known_hosts=hosts)
    first = hosts.read_text()
    hosts.write_text(first.replace("AAAA", "AAAB"))
    async with sftp_files(home) as other:
        hosts.write_text(hosts.read_text().replace(f":{port} ", f":{other} "))
        error = await refusal(url.replace(f":{port}/", f":{other}/"), target, known_hosts=hosts)
    assert ("another one than before" in str(error), error.permanent) == (True, True)


def test_servers_without_end_displace_no_key_that_the_operator_has_written(tmp_path: Path) -> None:
    hosts = tmp_path / "known_hosts"
    hosts.write_text("# ours\nfiles.example:22 ssh-ed25519 AAAA")
    for number in range(2 * MAX_HOSTS):
        assert _known(hosts, f"host-{number}:22", "ssh-ed25519 BBBB")
    assert not _known(hosts, "files.example:22", "ssh-ed25519 CCCC")
    assert not _known(hosts, "host-0:22", "ssh-ed25519 CCCC")
    lines = hosts.read_text().splitlines()
    assert (len(lines), lines[0]) == (MAX_HOSTS + 1, "# ours")


async def test_an_sftp_server_that_says_nothing_is_left_and_cancelled(target: Path) -> None:
    reached, released = threading.Event(), threading.Event()

    def talk(_sock: Any) -> None:
        reached.set()
        released.wait(30)

    with raw_server(talk) as port:
        task = asyncio.ensure_future(fetch(f"sftp://{USER}@127.0.0.1:{port}/x", target, limit_bytes=LIMIT))
        await asyncio.to_thread(reached.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert transfer_ended()
        error = await refusal(f"sftp://{USER}@127.0.0.1:{port}/x", target, stall_s=0.3)
        released.set()
    assert not error.permanent


async def test_without_asyncssh_sftp_is_refused_in_words(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "asyncssh", None)
    assert str(await refusal("sftp://h/x", target)) == "SFTP is not installed on this charger"


def test_a_line_of_known_hosts_that_a_power_cut_has_damaged_costs_only_itself(tmp_path: Path) -> None:
    hosts = tmp_path / "known_hosts"
    hosts.write_bytes(b"\xff\xfe\x00\nfiles.example:22 ssh-ed25519 BBBB\n")
    assert _known(hosts, "files.example:22", "ssh-ed25519 BBBB")
    assert not _known(hosts, "files.example:22", "ssh-ed25519 CCCC")
