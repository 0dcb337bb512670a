"""The console scripts: what they say where a library is missing, and how they end."""

import importlib
import subprocess
import sys

import pytest

from rtc_signaling.nodes import entry


def test_a_missing_library_is_one_line_that_says_what_to_do(monkeypatch, capsys):
    def import_module(name):
        raise ModuleNotFoundError(name='aiortc')

    monkeypatch.setattr(importlib, 'import_module', import_module)
    monkeypatch.setattr(entry, 'StopSignals', lambda: None)

    assert entry.camera_sender() == 1

    told = capsys.readouterr().err
    assert told.startswith(f"camera_sender: {sys.executable} has no module 'aiortc'.")
    assert told.count('\n') == 1
    assert 'make env' in told


# A node that has ended; the signal comes when Python's own handlers are gone.
ENDING = """
import os, signal, sys, types
from rtc_signaling.nodes import entry

sys.modules['rtc_signaling.ros.runner'] = types.SimpleNamespace(run=lambda *_: 0)
sys.modules['rtc_signaling.nodes.camera_sender'] = types.SimpleNamespace(make=None)

class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.{number})

last = Last()
sys.exit(entry.camera_sender())
"""


@pytest.mark.parametrize('number', ['SIGINT', 'SIGTERM'])
def test_a_signal_at_the_very_end_changes_nothing(number):
    code = ENDING.format(number=number)
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b'')
