"""A viewer that is Chromium with the viewer page; it prints what `watcher.py` does of pictures.

Networks that lose much are measured with it: aiortc's receiver goes over what it lost only when
it has 128 packets behind that, seconds of a small picture.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from streams.browser import CODECS

from faults import REPOSITORY
from faults.programs.watcher import Plan, tell

sys.path.insert(0, str(REPOSITORY / 'test/browser'))

from viewer import Viewer, running_chromium

PAGE = REPOSITORY / 'benchmarks/streams/page.js'
LOOK_MS = 100
LIVE_S = 30.0
# The strip of a picture holds the wall clock in ms, so many bits of it.
WRAP = 0x10000


def tell_picture(frame: dict[str, Any]) -> None:
    """Print one picture that was presented."""
    age_s = None
    if frame['index'] is not None:
        age_ms = (int(frame['presented_ms']) - frame['index']) % WRAP
        age_s = (age_ms - WRAP if age_ms > 0xF000 else age_ms) / 1000
    tell(t=round(frame['presented_ms'] / 1000, 4), age=age_s, size=frame['size'])


def main(plan: Plan) -> None:
    script = PAGE.read_text().replace('__CODECS__', json.dumps(CODECS))
    url = plan.url.replace('ws', 'http', 1) + f'#token={plan.token}'
    with running_chromium() as chromium, contextlib.suppress(KeyboardInterrupt):
        viewer = Viewer(chromium, url, script=script)
        viewer.wait_for_state('live', LIVE_S)
        tell(step='connected')
        while True:
            viewer.page.wait_for_timeout(LOOK_MS)
            for frame in viewer.page.evaluate('window.benchmark.take()'):
                tell_picture(frame)


if __name__ == '__main__':
    main(Plan(**json.loads(sys.argv[1])))
