"""Keeps programs running until a stop signal, then ends them in order."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from asyncio.subprocess import Process
from collections.abc import Coroutine
from typing import Any

from poe2gpt.guard import Guard, kill_group
from poe2gpt.programs import BACKING, STOP, Program, start
from poe2gpt.restarts import Restarts
from poe2gpt.terminal import CommandError, say
from runtime.signals import StopSignals

_MARGIN = 2.0
"""Seconds beyond the drain timeout, within which a program should have ended by itself."""
_FLUSH = 10.0
"""Seconds that Redis has to write its data to disk."""


class Child:
    """One program, started again whenever it dies."""

    def __init__(self, program: Program, guard: Guard) -> None:
        self.program = program
        self.deaths = 0
        self._guard = guard
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self.ended = asyncio.create_task(self._live(), name=program.name)

    def __repr__(self) -> str:
        return f"Child({self.program.name}, {self.deaths} deaths)"

    def stop(self) -> None:
        """Ask the process to end, and do not start it again."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(STOP)

    def reload(self) -> None:
        """Have the process read its settings again, if it can."""
        running = self._process is not None and self._process.returncode is None
        if running and self.program.source is not None:
            assert self._process is not None  # noqa: S101
            self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """Kill the process, and do not start it again."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            kill_group(self._process.pid)

    async def _live(self) -> None:
        restarts = Restarts()
        while not self._stopping.is_set():
            began = time.monotonic()
            status = await self._live_once()
            if self._stopping.is_set():
                return
            self.deaths += 1
            delay = restarts.after(time.monotonic() - began)
            if delay is None:
                raise CommandError(
                    f"{self.program.name} keeps dying soon after it starts; giving up"
                )
            say(f"{self.program.name} {_ending(status)}; starting it again in {delay:g} s")
            await _event(self._stopping, delay)

    async def _live_once(self) -> int:
        process = await start(self.program)
        self._process = process
        self._guard.add(self.program.stage, process.pid)
        if self._stopping.is_set():
            process.send_signal(STOP)  # stop() was called while the process was starting
        status = await process.wait()
        # Granian's own children would live on and hold the port.
        kill_group(process.pid)
        self._guard.gone(process.pid)
        return status


class Supervisor:
    """All the programs that one command runs."""

    def __init__(self, drain_timeout: float) -> None:
        self._drain_timeout = drain_timeout
        self._guard = Guard()
        self._children: list[Child] = []
        self._died = asyncio.Event()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._signals = StopSignals()
        self._has_terminal = os.isatty(2)

    def start(self, program: Program) -> Child:
        """Start a program and keep it running."""
        child = Child(program, self._guard)
        child.ended.add_done_callback(lambda _: self._died.set())
        self._children.append(child)
        return child

    async def run(self, startup: Coroutine[Any, Any, None]) -> int:
        """Run `startup`, wait for a signal, end all children, and return the exit status.

        Raises what `startup` raises, and CommandError if a child cannot be kept alive, once all
        children have ended.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled, number)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up)
        starting = asyncio.create_task(startup)
        waits = [asyncio.create_task(event.wait()) for event in (self._stop, self._died)]
        try:
            await asyncio.wait([starting, *waits], return_when=asyncio.FIRST_COMPLETED)
            if starting.done() and not starting.exception():
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (starting, *waits):
                task.cancel()
            results = await asyncio.gather(starting, return_exceptions=True)
            endings = await self._end_all()
        for result in (*results, *endings):
            if isinstance(result, Exception):
                raise result
        return 130 if self._hurry.is_set() else 0

    def _hung_up(self) -> None:
        if self._has_terminal and not os.isatty(2):
            # Nobody asked for anything: the terminal was closed.
            self._signalled(signal.SIGHUP)
            return
        for child in self._children:
            child.reload()

    def _signalled(self, number: int) -> None:
        if self._signals.is_impatient(number, time.monotonic()):
            self._hurry.set()
        elif not self._stop.is_set():
            self._stop.set()
            say("stopping once the running answers are complete; press Ctrl-C again to stop now")

    async def _end_all(self) -> list[BaseException | None]:
        deadline = time.monotonic() + self._drain_timeout + _MARGIN
        for stage in sorted({child.program.stage for child in self._children}):
            children = [child for child in self._children if child.program.stage == stage]
            if stage == BACKING:
                # Redis gets time to write its data even after a second Ctrl-C.
                await _end(children, _FLUSH, asyncio.Event())
            else:
                await _end(children, max(deadline - time.monotonic(), 0), self._hurry)
        await asyncio.to_thread(self._guard.dismiss)
        ended = (child.ended for child in self._children)
        return await asyncio.gather(*ended, return_exceptions=True)


async def _end(children: list[Child], timeout: float, hurry: asyncio.Event) -> None:
    for child in children:
        child.stop()
    hurried = asyncio.create_task(hurry.wait())
    all_ended = asyncio.create_task(asyncio.wait([child.ended for child in children]))
    waits: list[asyncio.Task[Any]] = [hurried, all_ended]
    await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    for child in children:
        child.kill()
    await all_ended


async def _event(event: asyncio.Event, timeout: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout)
    except TimeoutError:
        return


def _ending(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"
