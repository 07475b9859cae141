"""What the link asks for one WebSocket connection, and of one that is open: to be watched by TCP, to close.

Everything here is bounded in time, and nothing of the WebSocket library is loaded for it.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from agent.edge.dial import LinkSettings, Target
    from agent.edge.tls import TrustStore

ENCODING_DER = 2  # ssl's own number
READ_BYTES = 1 << 15
FRAMES_WAITING = 8  # frames that may wait for the consumer before the server is slowed down
HARD_LIMIT = 4  # times `frame_limit`: a frame this long is not even taken in
USER_AGENT = "chargepoint-agent"


def arguments(where: Target, settings: LinkSettings, trust: TrustStore) -> dict[str, Any]:
    """What the library's `connect` is told."""
    roots = (settings.ca_file, settings.more_ca_file, settings.client)
    secure = {"ssl": trust.context(*roots, system=settings.system_roots)} if where.secure else {}
    return {
        "subprotocols": list(settings.subprotocols),
        "additional_headers": {"Authorization": where.authorization} if where.authorization else None,
        "user_agent_header": USER_AGENT,
        "compression": None,
        "proxy": None,
        "open_timeout": None,  # ours spans it
        "ping_interval": None,  # ours can be changed while the connection stands
        "close_timeout": settings.close_timeout_s,
        "max_size": settings.frame_limit * HARD_LIMIT,
        "max_queue": FRAMES_WAITING,
        **secure,
    }


def read_in_small_pieces(ws: ClientConnection) -> None:
    """asyncio takes 256 KiB of memory from the system for each read, and gives it back; our frames are small."""
    if hasattr(ws.transport, "max_size"):  # not said in asyncio's manual, and no loss where it is missing
        ws.transport.max_size = READ_BYTES


def watch_tcp(ws: ClientConnection, settings: LinkSettings) -> None:
    """Let the kernel give up a dead peer too: data unacknowledged for this long, or silence if pings are off."""
    sock = ws.transport.get_extra_info("socket")
    if sock is None or not hasattr(socket, "TCP_USER_TIMEOUT"):
        return
    limit_s = settings.ping_interval_s + settings.ping_timeout_s + settings.send_timeout_s
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(limit_s * 1000))


async def close(ws: ClientConnection, limit_s: float) -> None:
    """Politely if the server plays along, in any case within about `limit_s`."""
    try:
        async with asyncio.timeout(limit_s * 1.5):
            await ws.close(1001)
    except TimeoutError:
        return  # the transport is aborted below
    finally:
        ws.transport.abort()


def verified_chain(ws: ClientConnection) -> list[bytes] | None:
    """The server's chain (DER) as it was verified, up to the root that vouched for it; [] when this interpreter does
    not tell it, None without TLS."""
    tls = ws.transport.get_extra_info("ssl_object")
    if tls is None:
        return None
    if hasattr(tls, "get_verified_chain"):
        return [bytes(der) for der in tls.get_verified_chain()]
    inner = getattr(tls, "_sslobj", None)  # before Python 3.13 it is there, but not shown
    if inner is None or not hasattr(inner, "get_verified_chain"):
        return []
    return [bytes(certificate.public_bytes(ENCODING_DER)) for certificate in inner.get_verified_chain()]
