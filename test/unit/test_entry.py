"""The console scripts say what to do where a library is missing."""

import importlib
import sys

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
