"""The thread in which an asyncio service runs."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from rtc_signaling.errors import BusyError, ConfigurationError, NotRunningError
from rtc_signaling.loop_thread import LoopThread

DEADLINE_S = 10.0


@pytest.fixture(autouse=True)
def _debug(monkeypatch):
    monkeypatch.setenv('PYTHONASYNCIODEBUG', '1')


class Service:
    """Note what happens to it, and die when told to."""

    def __init__(self, *, fail=None, refuse_to_stop=None):
        self.events = []
        self.thread = None
        self._fail = fail
        self._refuse_to_stop = refuse_to_stop
        self._die = asyncio.Event()
        self._error = None

    @contextlib.asynccontextmanager
    async def run(self):
        self.thread = threading.current_thread()
        if self._fail is not None:
            raise self._fail
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._watch())
            self.events.append('opened')
            try:
                yield self
            finally:
                if self._refuse_to_stop is not None:
                    self._refuse_to_stop.wait(DEADLINE_S)
                task.cancel()
                self.events.append('closed')

    async def _watch(self):
        await self._die.wait()
        raise self._error

    def die(self, error):
        self._error = error
        self._die.set()


@contextlib.contextmanager
def running(service):
    thread = LoopThread('worker', service.run)
    assert thread.start() is service
    try:
        yield thread
    finally:
        assert thread.stop()


def wait_for_death(thread):
    """Wait without a fixed time: stop() of a thread that has died joins it."""
    thread._thread.join(DEADLINE_S)
    assert not thread._thread.is_alive()


def test_a_service_runs_in_a_thread_of_its_own_and_is_closed_in_order():
    service = Service()
    with running(service) as thread:
        assert service.thread is not threading.current_thread()
        assert service.thread.name == 'worker'
        assert service.events == ['opened']
        thread.check()
        assert thread.error is None
    assert service.events == ['opened', 'closed']
    assert not service.thread.is_alive()
    assert thread.stop()


def test_what_is_called_soon_runs_in_the_loop():
    service = Service()
    called = threading.Event()
    threads = []

    def note():
        threads.append(threading.current_thread())
        asyncio.get_running_loop()
        called.set()

    with running(service) as thread:
        thread.call_soon(note)
        assert called.wait(DEADLINE_S)
    assert threads == [service.thread]


def test_what_is_called_runs_in_the_loop_and_its_outcome_comes_back():
    service = Service()
    with running(service) as thread:
        assert thread.call(threading.current_thread) is service.thread
        with pytest.raises(ZeroDivisionError):
            thread.call(lambda: 1 // 0)
        # A function's own error is no sign of a loop that hangs.
        with pytest.raises(TimeoutError, match='its own'):
            thread.call(time_out)


def time_out():
    raise TimeoutError('its own')


def test_a_loop_that_hangs_is_named_and_does_it_later():
    release = threading.Event()
    done = threading.Event()
    with running(Service()) as thread:
        thread.call_soon(lambda: release.wait(DEADLINE_S))
        with pytest.raises(BusyError) as caught:
            thread.call(done.set, timeout_s=0.05)
        assert str(caught.value) == 'the worker thread hangs: no answer in 0.05 s'
        assert not done.is_set()
        release.set()
        assert done.wait(DEADLINE_S)
        thread.call(lambda: None)


@pytest.mark.parametrize(
    'error', [ConfigurationError('port', 1, 'is in use'), OSError('no'), SystemExit(3)]
)
def test_an_error_at_the_start_comes_out_of_start(error, caplog):
    thread = LoopThread('worker', Service(fail=error).run)
    with pytest.raises(type(error)) as caught:
        thread.start()
    assert caught.value is error
    wait_for_death(thread)
    assert thread.stop()
    # It is the caller's now, and nobody else's.
    assert thread.error is None
    assert not caplog.records


def test_a_start_that_takes_too_long_is_told():
    release = threading.Event()

    @contextlib.asynccontextmanager
    async def slow():
        await asyncio.to_thread(release.wait, DEADLINE_S)
        yield

    thread = LoopThread('worker', slow)
    with pytest.raises(TimeoutError):
        thread.start(timeout_s=0.05)
    release.set()
    assert thread.stop()


def test_an_error_of_the_packages_own_is_raised_by_check(caplog):
    service = Service()
    thread = LoopThread('worker', _unwrapped(service))
    thread.start()
    error = ConfigurationError('x', 1, 'no')
    thread.call_soon(lambda: service.die(error))
    wait_for_death(thread)
    assert thread.error is error
    with pytest.raises(ConfigurationError) as caught:
        thread.check()
    assert caught.value is error
    # Whoever checks logs it.
    assert not caplog.records
    assert thread.stop()


def test_any_other_error_is_logged_and_makes_check_raise(caplog):
    service = Service()
    thread = LoopThread('worker', _unwrapped(service))
    thread.start()
    thread.call_soon(lambda: service.die(ZeroDivisionError('bug')))
    wait_for_death(thread)
    with pytest.raises(NotRunningError, match=r"worker has died: ZeroDivisionError\('bug'\)"):
        thread.check()
    [record] = caplog.records
    assert record.levelname == 'CRITICAL'
    assert record.exc_info[0] is ZeroDivisionError
    assert service.events == ['opened', 'closed']


def _unwrapped(service):
    """Open a service so that its error comes out as it is, not as a group."""

    @contextlib.asynccontextmanager
    async def run():
        errors = []
        try:
            async with service.run() as opened:
                yield opened
        except* (ConfigurationError, ZeroDivisionError) as group:
            errors += group.exceptions
        # Not in the clause above: the first Pythons 3.11 put it into a group again.
        for error in errors:
            raise error

    return run


def test_after_the_stop_it_runs_no_more():
    with running(Service()) as thread:
        pass
    for call in (thread.call_soon, thread.call):
        with pytest.raises(NotRunningError, match='worker is not running'):
            call(print)
    with pytest.raises(NotRunningError, match='worker has died'):
        thread.check()


def test_before_the_start_it_does_not_run_yet():
    thread = LoopThread('worker', Service().run)
    with pytest.raises(NotRunningError):
        thread.call_soon(print)
    assert thread.stop()


def test_a_loop_that_is_closed_meanwhile_is_not_running():
    with running(Service()) as thread:
        loop = thread._loop
    # The moment between the loop's end and that of its thread.
    thread._loop = loop
    for call in (thread.call_soon, thread.call):
        with pytest.raises(NotRunningError, match='worker has stopped'):
            call(print)


def test_a_service_that_does_not_stop_is_left_behind_by_name(caplog):
    release = threading.Event()
    service = Service(refuse_to_stop=release)
    thread = LoopThread('worker', service.run)
    thread.start()
    assert service.thread.daemon
    assert not thread.stop(timeout_s=0.05)
    assert caplog.messages == ['worker did not stop within 0.1 s']
    release.set()
    assert thread.stop()


def test_stopping_what_is_ending_already_waits_for_its_end():
    release = threading.Event()
    busy = threading.Event()

    @contextlib.asynccontextmanager
    async def with_work_in_a_thread():
        work = asyncio.create_task(
            asyncio.to_thread(lambda: (busy.set(), release.wait(DEADLINE_S)))
        )
        yield
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    thread = LoopThread('worker', with_work_in_a_thread)
    thread.start()
    assert busy.wait(DEADLINE_S)
    # The loop ends, but asyncio then waits for the work.
    assert not thread.stop(timeout_s=0.2)
    assert not thread.stop(timeout_s=0.01)
    release.set()
    assert thread.stop()


def test_stopping_twice_at_once_is_harmless():
    service = Service()
    with running(service) as thread:
        others = [threading.Thread(target=thread.stop) for _ in range(4)]
        for other in others:
            other.start()
        for other in others:
            other.join(DEADLINE_S)
    assert service.events == ['opened', 'closed']
