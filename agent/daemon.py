"""The composition root: read the configuration, build every part, run, stop. The only file that knows them all.

Order of a start: store (what was), station (told what was), link (it takes longest, so it goes first, and its first
dial gets a head start of `HEAD_START_S` at most), hardware. A
process that ends is a reboot: whatever must outlive it is in the store. It ends by SIGTERM (power is withheld first,
within the service manager's patience), by a reset that the CSMS ordered (exit codes in `agent.errors`), or by a bug:
then a task has failed, its traceback is shown, and the restart recovers as from a power cut.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from agent import __version__, updates
from agent.blocks.sampling import Sampling
from agent.clock import Clock
from agent.config import Config, load
from agent.core.effects import Restart
from agent.core.events import (
    Event,
    Stopping,
    StorageFailed,
    StorageRecovered,
)
from agent.core.faults import STORAGE
from agent.core.vendor import VendorAnswered, VendorData
from agent.custody import Custody
from agent.edge.hardware import Hardware, until_next
from agent.edge.link import Connected, Disconnected, Ignored, Link, LinkEvent, Oversized, Received
from agent.edge.reasons import WhyKind
from agent.edge.service import Service, Watchdog, catch_signals, leave, passed_sockets, reboot, show_crashes
from agent.errands import Errands
from agent.errors import AgentError, ConfigError, Exit, StoreError
from agent.log import LEVELS, Log, hook_libraries
from agent.network import Network
from agent.recording import Recorder
from agent.report import Report
from agent.runtime import Runtime
from agent.setup import Built, build
from agent.store.recorder import FOLDER as RECORDER
from agent.support import Support
from agent.technician import Technician
from agent.workbench import Workbench

if TYPE_CHECKING:
    from agent.vendors import Vendors

SETTLE_S = 2.5  # how long an orderly stop waits for the controllers to withhold power
HEART_S = 20.0
HEAD_START_S = 0.1
RECOVER_S = 30.0
_AFTER_A_RESTART = ("station", "buses", "evses", "readers", "storage", "firmware")


class Daemon:
    """One run of the agent. `run` gives the exit code."""

    def __init__(self, config: Config, log: Log) -> None:
        self.config = config
        self.log = log
        self.clock = Clock()
        self.service = Service()
        self.built: Built = build(config, self.clock, log)
        self._stop = asyncio.Event()
        self._dialled = asyncio.Event()
        self._restart: Restart | None = None
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._short: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._vendors: Vendors | None = None
        station, begun_in = self.built.station, self.built.begun_in
        self.network = Network(config, station, self._feed, log.hide, self.clock.mono, begun_in)
        self.custody = Custody(config, self._feed)
        self.link = Link(self.network.settings, self._on_link, rng=self.built.rng, mono=self.clock.mono)
        self.watchdog = Watchdog({"loop": HEART_S}, self.service, mono=self.clock.mono, on_late=self._on_late)
        parts, sampling = self.built.parts, self.built.station.block(Sampling)
        self.hardware = Hardware(
            parts.evses,
            parts.readers,
            self._feed,
            self.watchdog.beat,
            lambda evse: sampling.wants_all(evse, self.clock.mono()),
        )
        for name, longest_s in self.hardware.beats().items():
            self.watchdog.register(name, longest_s)
        self.errands = Errands(self._feed, self._broken)
        self.recorder = self._recorder()
        self.support = Support(self)
        self.technician = Technician(self)
        self.workbench = Workbench(self)
        self.runtime = Runtime(
            station=self.built.station,
            conversation=self.built.conversation,
            store=self.built.store,
            clock=self.clock,
            link=self.link,
            hardware=self.hardware,
            log=log,
            work=self.built.work,
            leave=self.leave,
            errand=self.errands.begin,
            trace=self.support.frame,
            decide=self.recorder.decide if self.recorder is not None else None,
            answer=self.technician.answered,
        )
        self.runtime.version_seen = self.built.remember_version
        self.errands.serve(VendorData, self._vendor)
        self.custody.serve(self.errands, self.network)
        updates.serve(config, self.errands, self.clock, log, lambda: self.network.trust)
        self._serve_signing()
        self.report = Report(self)

    def _serve_signing(self) -> None:
        """Few stations have meters that sign."""
        if any(evse.signs for evse in self.built.station.facts.evses.values()):
            from agent.edge.meter_signing import MeterSigning, signers

            keys = {evse.id: evse.meter.public_key for evse in self.config.evses}
            meters = {parts.id: parts.meter for parts in self.built.parts.evses}
            for kind, handler in MeterSigning(signers(meters, keys), self.config.csms.identity).handlers().items():
                self.errands.serve(kind, handler)

    def _recorder(self) -> Recorder | None:
        """It costs memory and flash: a board may do without."""
        storage, log = self.config.storage, self.log
        if not storage.recorder_mib:
            return None
        folder = Path(storage.dir) / RECORDER
        budget_bytes = storage.recorder_mib << 20

        def redacted(text: str) -> str:
            from agent.edge.redaction import Redactor

            return Redactor(log.secrets).frame(text)

        def tell(trouble: str) -> None:
            if trouble:
                log.trouble("recorder", "RecorderRests", f"the flight recorder writes nothing for a while: {trouble}")
            else:
                log.recovered("recorder", "RecorderWrites", "the flight recorder writes again")

        built = self.built
        return Recorder(
            built.station, built.assembly, folder, budget_bytes, lambda: log.secrets, redacted, tell, time.sleep
        )

    # --- the life of the process --------------------------------------------------------------------------------

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        catch_signals(loop, self._on_signal, self._on_reload)
        for evse, gap in self.built.parts.gaps.items():
            self.log.warning("NoGuard", gap, EVSE=evse)
        self.runtime.time.settled = self.built.restored.power_lost  # nothing was written in this power-up yet
        await self._feed(self.built.restored)
        await self.custody.begin(self.built.opened)
        if self.built.store.fault is not None:
            await self._feed(StorageFailed(str(self.built.store.fault)))
            self._start("store", self._recover_store())
        await self.runtime.durable.look_at_dead_letters()
        self._start("link", self.link.run())
        self._start("sender", self.runtime.sender())
        self._start("watchdog", self.watchdog.run())
        self._start("heart", self._heart())
        await self._head_start()
        for name, work in self.hardware.tasks().items():
            self._start(name, work)
        self._start("runtime", self._watch_runtime())
        await self._open_control()
        self.service.ready(self.report.line())
        gc.freeze()  # what was built at start lives as long as the process: it need not be looked at again
        await self._stop.wait()
        return await self._end()

    async def _head_start(self) -> None:
        """Until the first dial has come to something: what opens ports and loads drivers would stand in its way."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HEAD_START_S):
                await self._dialled.wait()

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks[task] = name
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        name = self._tasks.pop(task)
        if not self._stop.is_set():
            error = None if task.cancelled() else task.exception()
            self._broken(error or RuntimeError(f"the task {name} has ended"), f"the task {name}")

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """What comes to an end by itself, unlike what is started."""
        task = asyncio.ensure_future(work)
        self._short.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._short.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken(error, "a reload")

    def _broken(self, error: BaseException, what: str = "an errand") -> None:
        self._failure = error
        self.log.error("Bug", f"{what} failed; the process ends and is started again")
        self._stop.set()

    async def _watch_runtime(self) -> None:
        await self.runtime.failed.wait()
        assert self.runtime.failure is not None
        raise self.runtime.failure

    async def _heart(self) -> None:
        """The control loop's own beat: it takes the runtime's lock, so a step that hangs is a heart that stands."""
        while True:
            await self.runtime.idle()
            self.watchdog.beat("loop")
            if self.service.listened:
                self.service.status(self.report.line())
            await self.network.look(self.link, self.built.conversation.answered_mono)
            await asyncio.sleep(until_next(1.0, asyncio.get_running_loop().time()))

    async def _recover_store(self) -> None:
        """The file could not be used at start: memory stands in until it can."""
        while not await self.built.work(self.built.store.recover):  # noqa: ASYNC110  nobody tells when a disk is well
            await asyncio.sleep(RECOVER_S)
        self.log.info("StorageRecovered", "what was held in memory is stored")
        await self._feed(StorageRecovered())
        await asyncio.Event().wait()  # a task that ends counts as failed

    async def _open_control(self) -> None:
        from agent.edge.control import Control

        path = self.config.service.socket
        passed = passed_sockets()
        self.control = Control(path, self.technician.answer, self.log, passed=passed.pop(path, None))
        for other in passed:
            self.log.warning("SocketUnused", f"{other} was passed to the agent, but service.socket is {path}")
        try:
            await self.control.start()
        except AgentError as error:
            self.log.warning("NoControlSocket", str(error))

    async def _end(self) -> int:
        """Withhold power, let the last answer go, close; bounded by SETTLE_S and the close times."""
        self.service.stopping()
        if self._failure is None:
            await self._feed(Stopping(self._restart.why if self._restart else "asked to"))
            if not await self.hardware.settle(SETTLE_S):
                self.log.warning("NotSettled", "a controller did not confirm that power is withheld; its watchdog will")
        self.link.stop()
        await self.control.close()
        await self.errands.close()
        await self._cancel_all()
        if self.recorder is not None:
            self.recorder.close()
        await self.built.close()
        if self._failure is not None:
            sys.excepthook(type(self._failure), self._failure, self._failure.__traceback__)
            return Exit.FAILURE
        if self._restart is None:
            return Exit.OK
        return await self._reset(self._restart)

    async def _cancel_all(self) -> None:
        tasks = list(self._tasks)
        link = [task for task, name in self._tasks.items() if name == "link"]
        if link:
            await asyncio.wait(link, timeout=2.0)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)

    async def _reset(self, restart: Restart) -> int:
        command = self.config.service.reboot_command
        if not restart.hard or not command:
            return Exit.HARD_RESET if restart.hard else Exit.SOFT_RESET
        tries = 1 + int(self.built.station.facts.variables.number("OCPPCommCtrlr.ResetRetries"))
        for _ in range(tries):
            if not (why := await reboot(command)):
                break
            self.log.error("RebootFailed", "the configured reboot_command did not work", why=why)
        return Exit.HARD_RESET

    async def _vendor(self, errand: VendorData) -> VendorAnswered:
        if self._vendors is None:
            from agent.vendors import Vendors  # most stations never need it

            self._vendors = Vendors()
        return await self._vendors.handle(errand)

    # --- what reaches us ----------------------------------------------------------------------------------------

    async def _feed(self, event: Event) -> None:
        await self.runtime.feed(event)

    def leave(self, restart: Restart) -> None:
        self._restart = restart
        self._stop.set()

    def _on_signal(self, name: str) -> None:
        self.log.info("Signal", f"{name}: withholding power and ending")
        self._stop.set()

    def _on_late(self, late: tuple[str, ...]) -> None:
        if late:
            self.log.error("NoSignOfLife", f"no sign of life from: {', '.join(late)}")

    def _on_reload(self) -> None:
        """SIGHUP: link settings, log level and presets of variables are taken up; all else needs a restart."""
        self.service.reloading()
        try:
            fresh = load(self.config.path)
            self.built.set_variables(fresh)
        except ConfigError as error:
            self.log.warning("ReloadRefused", f"the configuration stays as it was: {error}")
        else:
            self._take_up(fresh)
            self._begin(self._take_up_links(fresh))
        self.service.ready(self.report.line())

    def _take_up(self, fresh: Config) -> None:
        old, self.config = self.config, fresh
        self.log.level = LEVELS[fresh.service.log_level]
        self.runtime.settings_changed()
        if any(getattr(old, part) != getattr(fresh, part) for part in _AFTER_A_RESTART):
            text = "station, hardware, storage and firmware settings count after a restart only"
            self.log.warning("RestartNeeded", text)
        self.log.info("Reloaded", "the configuration was read again")

    async def _take_up_links(self, fresh: Config) -> None:
        changed = self.network.csms != fresh.csms
        if not await self.network.configured(fresh) and changed:
            self.link.redial("the configuration was changed")

    def _on_link(self, event: LinkEvent) -> Awaitable[None]:
        return self.runtime.received(event.text) if isinstance(event, Received) else self._on_news(event)

    async def _on_news(self, event: LinkEvent) -> None:
        """Of the link: anything but a frame."""
        if isinstance(event, Connected):
            self.log.recovered("link", "LinkRecovered", "the CSMS is reached again")
            self.report.link_up()
            self.support.frame("=", f"connected in {event.subprotocol}")
            self.network.connected(event)
            await self.runtime.connected(event.subprotocol)
            self._dialled.set()
        elif isinstance(event, Disconnected):
            when = f"; dialling again in {event.redial_in_s:.0f} s" if event.redial_in_s is not None else ""
            text = f"no link to the CSMS: {event.why.text}{when}"
            if event.why.kind in (WhyKind.STOPPED, WhyKind.REDIAL):  # by ourselves: what comes of it is told then
                self.log.info("LinkDown", text)
            else:
                self.log.trouble("link", "LinkDown", text)
            self.report.link_lost(event)
            self.support.frame("=", event.why.text)
            if event.was_up:
                await self.runtime.disconnected(event.why.text)
            await self.network.disconnected(event)
            self._dialled.set()
        elif isinstance(event, Oversized):
            await self.runtime.received_oversized(event.head)
        else:
            assert isinstance(event, Ignored)
            self.log.warning("FrameIgnored", "a frame that is no text was ignored")


def run(path: str) -> int:
    """`chargepoint run`: the exit code; ConfigError is the caller's to show."""
    config = load(path)
    log = Log(level=LEVELS[config.service.log_level])
    for secret in (config.csms.password,):
        if secret:
            log.hide(secret.decode("latin-1") if isinstance(secret, bytes) else secret)
    hook_libraries(log)
    show_crashes()
    for warning in config.warnings:
        log.warning("Configuration", warning)
    log.info("Starting", f"chargepoint-agent {__version__}, {len(config.evses)} EVSE, {config.path}")
    return asyncio.run(_main(config, log))


async def _main(config: Config, log: Log) -> NoReturn:
    """The process ends in here: asyncio's own end would wait for a thread in which a name is looked up."""
    try:
        code = await Daemon(config, log).run()
    except StoreError as error:
        log.error("StorageFailed", str(error), fault=STORAGE)
        code = Exit.FAILURE
    log.info("Ended", f"exit code {int(code)}")
    leave(code)
