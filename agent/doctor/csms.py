"""The way to each central system, step by step: name, TCP, TLS, WebSocket; only while no agent runs.

The handshake is the agent's own, with its identity and password, and the connection is closed at once: no OCPP message
is sent. Where a step fails, the later ones are skipped. The server's clock is compared on the way.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from calendar import timegm
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from agent.config_csms import CsmsConfig
from agent.doctor.report import Check, fail, note, ok, skip, warn
from agent.edge import reasons
from agent.edge.connection import USER_AGENT
from agent.edge.dial import LinkSettings, Target, target
from agent.edge.tls import client_context, explain
from agent.errors import LinkError

STEP_S = 10.0
CLOCK_WARN_S, CLOCK_FAIL_S = 10.0, 120.0
EXPIRES_SOON_S = 30 * 86400.0
STEPS = ("dns", "tcp", "tls", "websocket")


async def check(csms: CsmsConfig, installed: Path | None = None) -> AsyncIterator[Check]:
    """All central systems of the configuration, in their order. `installed`: roots that came from afar, if there are
    any; they vouch for the first one, as for the agent's link."""
    roots = str(installed) if installed is not None and os.access(installed, os.R_OK) else None
    for place, one in enumerate((csms, *csms.fallback)):
        name = f"csms{place + 1}" if place else "csms"
        async for result in _one(name, one, None if place else roots):
            yield result


async def _one(name: str, csms: CsmsConfig, roots: str | None) -> AsyncIterator[Check]:
    settings = _settings(csms)
    try:
        where = target(settings)
        context = client_context(csms.ca_file, roots, settings.client) if where.secure else None
    except LinkError as error:
        yield fail(f"{name}.tls", str(error))
        return
    for place, step in enumerate(STEPS):
        if step == "tls" and context is None:
            yield note(f"{name}.tls", "is not used: url begins with ws://, so anybody on the way can read along")
            continue
        found = await _step(step, name, where, settings, context)
        for result in found:
            yield result
        if found[0].state == "fail":
            for later in STEPS[place + 1 :]:
                yield skip(f"{name}.{later}", f"{step} failed")
            return


def _settings(csms: CsmsConfig) -> LinkSettings:
    both = csms.client_certificate_file and csms.client_key_file
    client = (csms.client_certificate_file or "", csms.client_key_file or "") if both else None
    return LinkSettings(
        url=csms.url,
        identity=csms.identity,
        subprotocols=csms.subprotocols,
        accept_without_subprotocol=csms.accept_without_subprotocol,
        user=csms.user,
        password=csms.password if csms.security in (1, 2) else None,
        ca_file=csms.ca_file,
        client=client if csms.security == 3 else None,
    )


async def _step(
    step: str, name: str, where: Target, settings: LinkSettings, context: ssl.SSLContext | None
) -> list[Check]:
    """One step; the first of its checks says whether it worked."""
    reached: list[Any] = []
    try:
        async with asyncio.timeout(STEP_S):
            if step == "dns":
                return [await _dns(name, where)]
            if step == "tcp":
                return [await _tcp(name, where)]
            if step == "tls":
                return await _tls(name, where, context)
            return await _websocket(name, where, settings, context, reached)
    except TimeoutError:
        return [fail(f"{name}.{step}", f"{where.shown}: no answer in {STEP_S:g} s", _REMEDY[step])]
    except ssl.SSLError as error:
        return [fail(f"{name}.{step}", f"{where.shown}: {explain(error)}", _REMEDY[step])]
    except Exception as error:  # noqa: BLE001  whatever a dial may raise is told in words
        why = reasons.explain(error, host=where.host, reached=bool(reached), open_timeout_s=STEP_S, late=None)
        return [fail(f"{name}.{step}", why.text, _REMEDY[step])]


_REMEDY = {
    "dns": "is the name right? is there a network, a name server? see /etc/resolv.conf",
    "tcp": "is the port right? does a firewall block it? does the server run?",
    "tls": "ca_file, the clock, the name in url",
    "websocket": "url, identity, user and password; does the CSMS know this charger?",
}


async def _dns(name: str, where: Target) -> Check:
    began = time.monotonic()
    found = await asyncio.get_running_loop().getaddrinfo(where.host, where.port, type=1)
    addresses = ", ".join(dict.fromkeys(str(one[4][0]) for one in found))
    return ok(f"{name}.dns", f"{where.host} is {addresses}, {(time.monotonic() - began) * 1000:.0f} ms")


async def _tcp(name: str, where: Target) -> Check:
    began = time.monotonic()
    _, writer = await asyncio.open_connection(where.host, where.port)
    writer.close()
    return ok(f"{name}.tcp", f"{where.shown} answers, {(time.monotonic() - began) * 1000:.0f} ms")


async def _tls(name: str, where: Target, context: ssl.SSLContext | None) -> list[Check]:
    _, writer = await asyncio.open_connection(where.host, where.port, ssl=context, server_hostname=where.host)
    secured = writer.get_extra_info("ssl_object")
    ends_s = ssl.cert_time_to_seconds(secured.getpeercert()["notAfter"])
    text = f"{secured.version()}, the certificate is good until {time.strftime('%Y-%m-%d', time.gmtime(ends_s))}"
    writer.close()
    soon = ends_s - time.time() < EXPIRES_SOON_S
    return [warn(f"{name}.tls", text, "whoever runs the CSMS must renew it")] if soon else [ok(f"{name}.tls", text)]


async def _websocket(
    name: str, where: Target, settings: LinkSettings, context: ssl.SSLContext | None, reached: list[Any]
) -> list[Check]:
    from websockets.asyncio.client import ClientConnection, connect

    def connection(*args: Any, **kwargs: Any) -> ClientConnection:
        reached.append(ClientConnection(*args, **kwargs))
        return reached[-1]  # type: ignore[no-any-return]

    secured: dict[str, Any] = {"ssl": context} if context else {}
    ws = await connect(
        where.url,
        create_connection=connection,  # type: ignore[arg-type]
        subprotocols=list(settings.subprotocols),  # type: ignore[arg-type]
        additional_headers={"Authorization": where.authorization} if where.authorization else None,
        user_agent_header=USER_AGENT,
        compression=None,
        proxy=None,
        open_timeout=None,
        close_timeout=1.0,
        **secured,
    )
    try:
        return [_spoken(f"{name}.websocket", ws.subprotocol, settings), *_clock(name, ws.response)]
    finally:
        await ws.close()


def _spoken(name: str, subprotocol: str | None, settings: LinkSettings) -> Check:
    offered = ", ".join(settings.subprotocols)
    if subprotocol is not None:
        return ok(name, f"the CSMS takes {settings.identity} and speaks {subprotocol}; nothing was sent")
    if settings.accept_without_subprotocol:
        return ok(name, f"the CSMS takes {settings.identity} and names no OCPP version, which is allowed here")
    return fail(name, f"the server chose none of our OCPP versions ({offered})", "versions in [csms]; the path of url")


def _clock(name: str, response: Any) -> list[Check]:
    """Our clock against the Date of the server's answer."""
    text = response.headers.get("Date") if response is not None else None
    try:
        server_s = timegm(time.strptime(text or "", "%a, %d %b %Y %H:%M:%S GMT"))
    except ValueError:
        return [skip(f"{name}.clock", "the server tells no date")]
    off_s = time.time() - server_s
    told = f"ours is {off_s:+.0f} s off the server's"
    if abs(off_s) > CLOCK_WARN_S:
        return [(fail if abs(off_s) > CLOCK_FAIL_S else warn)(f"{name}.clock", told, "NTP; the battery clock")]
    return [ok(f"{name}.clock", told)]
