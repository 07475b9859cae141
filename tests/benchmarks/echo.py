"""The `websockets` library alone: sends back what it gets. The floor of every round trip.

python -m tests.benchmarks.echo URL
"""

from __future__ import annotations

import asyncio
import sys

import websockets


async def main(url: str) -> None:
    async with websockets.connect(url, subprotocols=[websockets.Subprotocol("echo")], compression=None) as connection:
        async for text in connection:
            await connection.send(text)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
