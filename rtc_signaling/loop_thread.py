"""The one place where threads and asyncio meet.

A ROS node spins on the main thread; its network half is an asyncio service on a loop in one
background thread. `LoopThread` owns that thread: it reports "started, here is the service" or the
service's error to the caller of `start()`, tells any thread when the service has died,
and stops it in order and by a deadline.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, wait
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

from rtc_signaling.errors import BusyError, NotRunningError, RtcSignalingError

logger = logging.getLogger(__name__)

ServiceT = TypeVar('ServiceT')
ResultT = TypeVar('ResultT')
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def fast_loop() -> LoopFactory | None:
    """Return what makes uvloop's loops where it is installed; None stands for asyncio's own."""
    try:
        uvloop = importlib.import_module('uvloop')
    except ImportError:
        return None
    factory: LoopFactory = uvloop.new_event_loop
    return factory


class LoopThread(Generic[ServiceT]):
    """Run one asyncio service in a background thread.

    Args:
        name: The thread's name, for logs and debuggers.
        open_service: Called in the thread, inside the running loop; returns the async context
            manager that is the service. Entering it starts the service and leaving it must
            release everything. It may end the thread early by raising.
        loop_factory: Makes the event loop; None for asyncio's own.
    """

    def __init__(
        self,
        name: str,
        open_service: Callable[[], AbstractAsyncContextManager[ServiceT]],
        loop_factory: LoopFactory | None = None,
    ) -> None:
        self._open_service = open_service
        self._loop_factory = loop_factory
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._started: Future[ServiceT] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._error: BaseException | None = None

    def start(self, timeout_s: float = 10.0) -> ServiceT:
        """Start the thread and wait until the service runs; call it once.

        Returns:
            The service. Touch it only in the loop, or by what it documents as thread-safe.

        Raises:
            TimeoutError: It did not start in time.
            Exception: Whatever the service raised while starting.
        """
        self._thread.start()
        return self._started.result(timeout_s)

    @property
    def error(self) -> BaseException | None:
        """The error that ended the service after its start, if one did; any thread may ask."""
        return self._error

    def check(self) -> None:
        """Raise if the service has ended by itself; any thread may call.

        Raises:
            RtcSignalingError: The error that ended the service, or NotRunningError in the place
                of one that is no RtcSignalingError.
        """
        if isinstance(self._error, RtcSignalingError):
            raise self._error
        if self._error is not None or not self._thread.is_alive():
            raise NotRunningError(f'{self._thread.name} has died: {self._error!r}')

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run `callback` in the loop; any thread may call, and nothing waits.

        Raises:
            NotRunningError: The loop is not running.
        """
        loop = self._loop
        if loop is None:
            raise NotRunningError(f'{self._thread.name} is not running')
        try:
            loop.call_soon_threadsafe(callback)
        except RuntimeError as error:  # asyncio's word for "the loop was closed meanwhile"
            raise NotRunningError(f'{self._thread.name} has stopped') from error

    def call(self, function: Callable[[], ResultT], timeout_s: float = 2.0) -> ResultT:
        """Run `function` in the loop and return what it returns; any other thread may call.

        Raises:
            NotRunningError: The loop is not running.
            BusyError: The loop had no time for it; it may still run later.
            Exception: Whatever it raised.
        """
        loop = self._loop
        if loop is None:
            raise NotRunningError(f'{self._thread.name} is not running')

        async def run() -> ResultT:
            return function()

        running = run()
        try:
            future = asyncio.run_coroutine_threadsafe(running, loop)
        except RuntimeError as error:  # as in `call_soon`
            running.close()
            raise NotRunningError(f'{self._thread.name} has stopped') from error
        if not wait([future], timeout_s).done:
            raise BusyError(f'the {self._thread.name} thread hangs: no answer in {timeout_s:g} s')
        try:
            return future.result()
        except CancelledError as error:  # the loop ended before it came to it
            raise NotRunningError(f'{self._thread.name} has stopped') from error

    def stop(self, timeout_s: float = 3.0) -> bool:
        """Stop the service and join the thread; any other thread may call, and call again.

        Returns:
            Whether it ended within `timeout_s`. If not, the thread is a daemon and does not keep
            the process alive; the name of what hangs is in the log.
        """
        if not self._thread.is_alive():
            return True
        try:
            self.call_soon(self._stop.set)
        except NotRunningError:
            logger.debug('%s was ending already', self._thread.name)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            logger.error('%s did not stop within %.1f s', self._thread.name, timeout_s)
        return not self._thread.is_alive()

    def _main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._loop_factory) as runner:
                runner.run(self._serve())
        except BaseException as error:  # handed to start() or error, never lost
            if not self._started.done():
                self._started.set_exception(error)
                return
            self._error = error
            if not isinstance(error, RtcSignalingError):
                logger.critical('%s died: %r', self._thread.name, error, exc_info=error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            async with self._open_service() as service:
                self._started.set_result(service)
                await self._stop.wait()
        finally:
            self._loop = None
