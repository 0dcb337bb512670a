"""Imports point downwards only: DESIGN section 2, read from the import statements."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / 'rtc_signaling'

# A name with a slash at its end is a folder. Modules of the design that are still to come stand
# here too, so that they come into the right layer.
CORE = {
    'core', 'admission', 'sessions', 'routing', 'post', 'presence', 'delivery', 'effects',
    'messages', 'sdp', 'ice', 'auth', 'limits', 'origins', 'metrics',
    'sender_metrics', 'exposition',
    'common_config', 'server_config', 'sender_config', 'test_camera_config', 'parameter',
    'errors', 'backoff', 'media.frames', 'media.timing', 'media.scene',
    'doctor.findings', 'doctor.diagnosis', 'doctor.target', 'doctor.readings',
    'doctor.wire_verdicts', 'doctor.media_verdicts', 'doctor.ros_verdicts',
    'cameras', 'media.allotment',
    'image_flow',
    'media.compressed', 'media.key_frames', 'media.key_frame_waits',
    'media.h264', 'media.h264_stream',
    'media.estimate', 'media.layers', 'media.pacing', 'media.link', 'media.scaling',
    'media.rate',
    'media.pixels', 'media.bayer', 'media.depth', 'media.file_header', 'media.clock_sync',
    'report', 'server_reports', 'sender_reports',
}  # fmt: skip
SHELLS = {
    'loop_thread', 'server', 'server.__main__', 'connection', 'gate', 'flood', 'tls', 'pages',
    'server.binding', 'server.census', 'server.figures', 'server.heartbeats', 'server.outgoing',
    'server.sockets', 'client', 'tokens',
    'keys', 'secret_files', 'credentials', 'media.peer', 'media.track', 'media.sender',
    'media.encoder', 'media.encoding', 'media.feed', 'media.mailbox', 'media.codecs',
    'media.passthrough', 'media.adaptation', 'media.viewer_stream', 'media.sender_figures',
    'media.video_file', 'media._aiortc', 'media.probe', 'media.timing_channel',
    'media.turn_probe', 'doctor.tokens', 'doctor.wire', 'doctor.wire_checks', 'doctor.tally',
    'doctor.event_loop', 'doctor.examination',
}  # fmt: skip
ADAPTERS = {
    'ros.parameters', 'ros.status', 'ros.diagnostics', 'ros.logging', 'ros.outbox', 'ros.runner',
    'ros.transport', 'ros.camera_probe',
    'ros.images',
    'ros.errors',
    'ros.bridge',
    'ros.deafness',
}  # fmt: skip
NODES = {
    'nodes.signaling_server', 'nodes.camera_sender', 'nodes.camera_unit', 'nodes.test_camera',
    'nodes.entry', 'nodes.background', 'nodes.doctor', 'doctor.__main__',
}  # fmt: skip

PROMETHEUS = {'exposition', 'doctor.readings'}
PURE = {'msgspec', 'numpy', 'cv2', 'jwt', 'cryptography'}
ROS = {
    'rclpy', 'rcl_interfaces', 'sensor_msgs', 'std_msgs', 'std_srvs', 'diagnostic_msgs',
    'builtin_interfaces', 'cv_bridge',
}  # fmt: skip
# Of the standard library, what does I/O, reads a clock, or runs things at the same time.
IMPURE = {
    'asyncio', 'threading', 'concurrent', 'multiprocessing', 'subprocess', 'socket', 'selectors',
    'ssl', 'http', 'urllib', 'time', 'datetime', 'random', 'secrets', 'os', 'pathlib', 'io',
    'shutil', 'tempfile', 'signal', 'logging', 'importlib',
}  # fmt: skip


def third_party(module):
    """Return which third-party packages a module may import."""
    if module in CORE:
        return PURE | ({'prometheus_client'} if module in PROMETHEUS else set())
    if module in SHELLS:
        media = {'aiortc', 'aioice', 'av'} if module.startswith('media.') else set()
        sockets = {'websockets'} if not module.startswith('media.') else set()
        return PURE | media | sockets
    return PURE | ROS


def layers_below(module):
    """Return which modules of the package a module may import."""
    if module in CORE:
        return CORE
    if module in SHELLS:
        return CORE | SHELLS
    if module in ADAPTERS:
        # They adapt ROS to the core; the shells know nothing of ROS, nor ROS of them.
        return CORE | ADAPTERS
    return CORE | SHELLS | ADAPTERS | NODES


def modules():
    """Return the package's modules by name; an `__init__` counts where it is not empty."""
    return {
        '.'.join(path.relative_to(PACKAGE).with_suffix('').parts).removesuffix('.__init__'): path
        for path in PACKAGE.rglob('*.py')
        if path.name != '__init__.py' or ast.parse(path.read_text(encoding='utf-8')).body[1:]
    }


def imports(path):
    """Return what a file imports at run time, wherever in the file that stands."""
    found = set()
    for node in _runtime(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: a relative import'
            # `from package import module` names a module as `import package.module` does.
            inner = {f'{node.module}.{alias.name}' for alias in node.names}
            known = {f'rtc_signaling.{name}' for name in modules()}
            found |= (inner & known) or {node.module}
    return found


def _runtime(tree):
    """Walk a tree, leaving out what stands under `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == 'TYPE_CHECKING':
            continue
        yield node
        yield from _runtime(node)


@pytest.fixture(params=sorted(modules()))
def module(request):
    return request.param


def test_every_module_has_its_layer(module):
    assert module in CORE | SHELLS | ADAPTERS | NODES


def test_a_module_imports_nothing_above_it(module):
    own = {n for n in imports(modules()[module]) if n.partition('.')[0] == 'rtc_signaling'}
    allowed = {f'rtc_signaling.{name}' for name in layers_below(module)}
    assert own - allowed - {'rtc_signaling'} == set()


def test_a_module_imports_no_library_of_another_layer(module):
    names = {name.partition('.')[0] for name in imports(modules()[module])}
    others = names - set(sys.stdlib_module_names) - {'rtc_signaling', '__future__'}
    assert others - third_party(module) == set()


@pytest.mark.parametrize('module', sorted(CORE & set(modules())))
def test_the_core_does_no_io_and_has_no_clock(module):
    # urllib.parse takes strings apart, no more.
    imported = imports(modules()[module]) - {'urllib.parse'}
    assert {name.partition('.')[0] for name in imported} & IMPURE == set()


def test_websockets_are_for_the_server_and_the_client_alone():
    users = {
        name for name, path in modules().items()
        if any(imported.partition('.')[0] == 'websockets' for imported in imports(path))
    }  # fmt: skip
    assert users <= {'server', 'connection', 'gate', 'pages', 'client', 'doctor.wire'}


def test_no_two_modules_import_each_other():
    graph = {
        name: {n.removeprefix('rtc_signaling.') for n in imports(path)} & set(modules())
        for name, path in modules().items()
    }
    done = set()
    while len(done) < len(graph):
        free = {name for name in graph.keys() - done if graph[name] <= done}
        assert free, f'a circle among {sorted(graph.keys() - done)}'
        done |= free


def test_this_test_sees_what_it_looks_for(tmp_path):
    file = tmp_path / 'module.py'
    file.write_text(
        'from typing import TYPE_CHECKING\nimport os.path as p\nfrom rtc_signaling import server\n'
        'if TYPE_CHECKING:\n    import rclpy\n'
        'def f():\n    from rtc_signaling.media.frames import to_i420\n',
        encoding='utf-8',
    )
    assert imports(file) == {
        'typing', 'os.path', 'rtc_signaling.server', 'rtc_signaling.media.frames',
    }  # fmt: skip
