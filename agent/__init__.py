"""chargepoint-agent: the daemon inside an EV charger. The map, in prose.

Layers, from the metal to the CSMS (README.md draws them, `tests/test_layers.py` holds them):

* `drivers`        feel: one device each, in neutral words (`drivers.api`); they know nothing of this package.
* `agent.edge`     carries: tasks, sockets, signals. `hardware` polls the drivers, `link` keeps the WebSocket.
* `agent.ocpp`     speaks: text and dicts in, dicts and text out, pure. One table set (dialect) a protocol version.
* `agent.blocks`   decide: one file a functional block of OCPP, synchronous, time as an argument.
* `agent.core`     the words: events (what can happen), effects (what can be done), the facts of an EVSE.
* `agent.store`    remembers: SQLite, one commit a step.
* `agent.runtime`  joins them: take an event, decide, commit, act, arm one timer. `agent.daemon` builds it all.

Start reading at `core/events.py` and `core/requests.py`, then `blocks/station.py`, `blocks/transactions.py` and
`runtime.py`.
"""

__version__ = "0.1.0"
