"""MEMORY: what the agent must not forget, in one SQLite file. Start reading at `store.py`."""

from agent.store.changes import Committed, Limits
from agent.store.faults import StoreFault
from agent.store.journal import Counts, DeadLetter, Row
from agent.store.store import Opened, Store

__all__ = ["Committed", "Counts", "DeadLetter", "Limits", "Opened", "Row", "Store", "StoreFault"]
