"""What fuzzing has found stays found, and ten seconds more of it; `run.py` does it for longer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import run  # noqa: E402
import targets  # noqa: E402

SECONDS = 10.0


@pytest.mark.parametrize('path', sorted(run.CORPUS.glob('*-*')), ids=lambda path: path.name)
def test_findings(path):
    targets.TARGETS[path.name.split('-')[0]](targets.Data(path.read_bytes()))


@pytest.mark.parametrize('name', targets.TARGETS)
def test_what_is_right_is_taken(name):
    for data in targets.seeds()[name]:
        targets.TARGETS[name](targets.Data(data))


@pytest.mark.parametrize('name', targets.TARGETS)
def test_for_a_second(name, request):
    # Others each time; the seed is in the report of a failed test.
    seed = hash((name, request.config.invocation_params.dir, id(request)))
    count, data, text = run.at_random(name, SECONDS / len(targets.TARGETS), seed)
    assert data is None, f'seed {seed}: {data!r}\n{text}'
    assert count > 10, 'that is no fuzzing'
