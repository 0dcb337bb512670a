"""Take the picture of the viewer page for the README: the real page with the demo's real clip.

PYTHONPATH=test python test/browser/screenshot.py docs/images/viewer.jpg
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from processes import running_demo
from viewer import Viewer, running_chromium

DOMAIN_ID = 66
WINDOW = {'width': 1280, 'height': 760}
# So many pictures into the video its bit rate has settled, and the figures are those of a while.
PICTURES = 150


def take(path: Path) -> None:
    """Write the screenshot."""
    with (
        tempfile.TemporaryDirectory() as directory,
        running_demo(Path(directory), DOMAIN_ID) as demo,
        running_chromium() as chromium,
    ):
        viewer = Viewer(chromium, demo.wait_for_url(), viewport=WINDOW)
        viewer.wait_for_state('live', 10.0)
        viewer.watch(PICTURES, 30.0)
        # A photograph: as PNG it has six times the size.
        viewer.page.screenshot(path=path, type='jpeg', quality=90)
        viewer.close()


if __name__ == '__main__':
    take(Path(sys.argv[1]))
