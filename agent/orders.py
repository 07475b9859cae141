"""Orders to the hardware: what the runtime wants of it, and which effect means which. Part of the runtime."""

from __future__ import annotations

from typing import Protocol

from agent.core.effects import Effect, Share, Show, SwitchPhases, Unlock, WakeCar


class HardwarePort(Protocol):
    def offer(self, evse: int, current_a: float) -> None: ...
    def share(self, evse: int, phases: int) -> None: ...
    def unlock(self, evse: int) -> None: ...
    def switch_phases(self, evse: int, phases: int) -> None: ...
    def wake_car(self, evse: int) -> None: ...
    def show(self, evse: int, state: str) -> None: ...


def order(hardware: HardwarePort, effect: Effect) -> bool:
    """Pass it on, if it is an order that seldom comes (all but `Offer`); False for any other effect."""
    if isinstance(effect, Show):
        hardware.show(effect.evse, effect.state)
    elif isinstance(effect, Share):
        hardware.share(effect.evse, effect.phases)
    elif isinstance(effect, Unlock):
        hardware.unlock(effect.evse)
    elif isinstance(effect, SwitchPhases):
        hardware.switch_phases(effect.evse, effect.phases)
    elif isinstance(effect, WakeCar):
        hardware.wake_car(effect.evse)
    else:
        return False
    return True
