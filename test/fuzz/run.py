"""Fuzz for a while: `python test/fuzz/run.py --seconds 3600`.

With atheris (`pip install atheris`) inputs are steered by the branches that they reach, without it
they are mutations of right ones, chosen at random. A finding is written to test/fuzz/corpus, where
`test_fuzz.py` tries it again ever after.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))
sys.path.insert(0, str(HERE))
CORPUS = HERE / 'corpus'
TOKENS = (
    b'{', b'}', b'[', b']', b'"', b'\\u0000', b'\\ud800', b'null', b'1e999', b'-0', b'9' * 400,
    b'"msg_id":"1",', b'"client_id":"pilot",', b'"sender_id":"camera",', b'\r\n', b'\r', b'\0',
    b'a=', b'm=video 0 x 9\r\n', b'a=group:BUNDLE 0 0\r\n', b'\xff', b'\xc3', b'%00', b'://',
    b'[::',    b'{"type":"leave"}\0', b'{"type":"ping"}\0',
    b'{"type":"stats","fps":1}\0', b' ', b'.',
    b'{"type":"ice_candidate","candidate":null,"x":1}\0',
)  # fmt: skip


def mutate(random_: random.Random, inputs: list[bytes]) -> bytes:
    """Return one of the inputs with a few changes."""
    data = bytearray(random_.choice(inputs))
    for _ in range(random_.choice((1, 1, 2, 4, 16))):
        at = random_.randrange(len(data) + 1)
        end = min(len(data), at + random_.choice((1, 1, 2, 8, 64)))
        kind = random_.randrange(6)
        if kind == 0:
            data[at:at] = random_.choice(TOKENS)
        elif kind == 1:
            del data[at:end]
        elif kind == 2:
            data[at:at] = data[at:end] * random_.choice((1, 2, 50))
        elif kind == 3:
            data[at:end] = random_.randbytes(end - at)
        elif kind == 4:
            other = random_.choice(inputs)
            start = random_.randrange(len(other) + 1)
            data[at:at] = other[start : start + random_.choice((4, 64, 4096))]
        elif at < len(data):
            data[at] ^= 1 << random_.randrange(8)
    return bytes(data[:60_000])


def at_random(name: str, seconds: float, seed: int) -> tuple[int, bytes | None, str]:
    """Try mutations; return how many, and the first that fails with its traceback."""
    import targets  # noqa: PLC0415  # after the path is set, and after atheris where that is used

    target, inputs = targets.TARGETS[name], targets.seeds()[name]
    random_ = random.Random(seed)
    count, end_s = 0, time.monotonic() + seconds
    while time.monotonic() < end_s:
        data = mutate(random_, inputs)
        count += 1
        try:
            target(targets.Data(data))
        except Exception:  # noqa: BLE001  # this is what is looked for
            return count, data, traceback.format_exc()
    return count, None, ''


def by_coverage(name: str, seconds: float, directory: Path) -> None:
    """Let atheris try; it ends the process itself, with a file if something was found."""
    import atheris  # noqa: PLC0415

    with atheris.instrument_imports(include=['rtc_signaling', 'websockets', 'jwt']):
        import targets  # noqa: PLC0415
    corpus = directory / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(targets.seeds()[name]):
        (corpus / f'seed-{number}').write_bytes(data)
    target = targets.TARGETS[name]
    options = [
        f'-max_total_time={seconds:.0f}',
        '-max_len=16384',
        '-print_final_stats=1',
        f'-artifact_prefix={CORPUS / name}-',
        '-verbosity=0',
        '-timeout=10',
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *options], lambda data: target(targets.Data(data)))
    atheris.Fuzz()


def keep(name: str, data: bytes) -> Path:
    """Write a finding to the corpus."""
    path = CORPUS / f'{name}-{hashlib.sha256(data).hexdigest()[:12]}'
    path.write_bytes(data)
    return path


def main() -> int:
    """Fuzz every target in turn, an equal time each; return 1 if something was found."""
    import targets  # noqa: PLC0415

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=float, default=60.0, help='in all')
    parser.add_argument('--target', action='append', choices=sorted(targets.TARGETS))
    parser.add_argument('--engine', choices=('random', 'atheris'), default='random')
    parser.add_argument('--seed', type=int, default=int(time.time()))
    parser.add_argument('--work', type=Path, default=Path('/tmp/rtc_signaling_fuzz'))
    options = parser.parse_args()
    names = options.target or list(targets.TARGETS)
    each_s, found = options.seconds / len(names), False
    print(json.dumps({'seed': options.seed, 'engine': options.engine}))
    for name in names:
        start_s = time.monotonic()
        if options.engine == 'atheris':
            command = [sys.executable, __file__, '--child', name, str(each_s), str(options.work)]
            ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
            found |= ended.returncode != 0
            lines = ended.stderr.splitlines()
            count = next((int(x.split()[-1]) for x in lines if 'number_of_executed' in x), 0)
            print('\n'.join(lines[-40:]) if ended.returncode else '', end='')
        else:
            count, data, text = at_random(name, each_s, options.seed)
            if data is not None:
                found = True
                print(text, keep(name, data), sep='\n')
        print(f'{name}: {count} executions in {time.monotonic() - start_s:.0f} s', flush=True)
    return int(found)


if __name__ == '__main__':
    if sys.argv[1:2] == ['--child']:
        by_coverage(sys.argv[2], float(sys.argv[3]), Path(sys.argv[4]))
    sys.exit(main())
