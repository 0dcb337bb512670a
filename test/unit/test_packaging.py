"""The package as it is installed: by pip into an environment, and by colcon into a workspace."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import venv
import xml.etree.ElementTree as ET
from importlib import metadata
from pathlib import Path

import pytest

import rtc_signaling

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = 'rtc_signaling'
EXECUTABLES = ['camera_sender', 'doctor', 'signaling_server', 'test_camera']
INSTALLED = ['by_pip', 'by_setup', 'by_colcon']
# What is made in the working tree and is no part of a checkout.
MADE = shutil.ignore_patterns(
    '.*', '__pycache__', '*.egg-info', 'build', 'install', 'log', 'mutants'
)


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run to the end and return the output; a failure shows what the command wrote."""
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f'{command}\n{done.stdout}\n{done.stderr}'
    return done.stdout


def files(root: Path) -> set[str]:
    return {
        str(path.relative_to(root))
        for path in root.rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }


def ros2_executables(prefix: Path) -> list[str]:
    """List what `ros2 pkg executables` lists: executable files anywhere in lib/<package>."""
    found = [
        path.name
        for path in prefix.joinpath('lib', PACKAGE).rglob('*')
        if path.is_file() and os.access(path, os.X_OK)
    ]
    return sorted(found)


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the sources, since setuptools writes beside those that it builds."""
    copy = tmp_path_factory.mktemp('source') / PACKAGE
    shutil.copytree(REPOSITORY, copy, ignore=MADE)
    return copy


@pytest.fixture(scope='module')
def by_pip(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install a wheel into an environment of its own and return that."""
    if importlib.util.find_spec('pip') is None:
        pytest.skip('this Python has no pip')
    if int(metadata.version('setuptools').split('.')[0]) < 71:
        pytest.skip('the setuptools of this Python makes no wheels by itself')
    prefix = tmp_path_factory.mktemp('by pip')
    venv.create(prefix, symlinks=True)
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check']
    offline = ['--no-deps', '--no-index']
    run(*pip, 'wheel', *offline, '--no-build-isolation', '-w', prefix / 'wheel', '.', cwd=source)
    (wheel,) = prefix.glob('wheel/*.whl')
    # With PYTHONPATH, pip might find the package in a sourced workspace and call it installed.
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    python = prefix / 'bin' / 'python'
    run(*pip, '--python', python, 'install', *offline, wheel, env=environment)
    return prefix


@pytest.fixture(scope='module')
def by_setup(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install with the command of setup.py that colcon calls and return the prefix."""
    prefix = tmp_path_factory.mktemp('by_setup')
    record = prefix / 'files.txt'
    run(
        sys.executable,
        'setup.py',
        '-q',
        'install',
        '--prefix',
        prefix,
        '--record',
        record,
        '--single-version-externally-managed',
        cwd=source,
    )
    return prefix


@pytest.fixture(scope='module')
def by_colcon(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a workspace with colcon and return the prefix of the package in it."""
    for module in ('colcon_core', 'colcon_ros', 'ament_package'):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f'{module} cannot be imported: source a ROS 2 that has colcon')
    workspace = tmp_path_factory.mktemp('by_colcon')
    run(sys.executable, '-m', 'colcon', 'build', '--base-paths', source, cwd=workspace)
    return workspace / 'install' / PACKAGE


@pytest.fixture(scope='module')
def by_make() -> Path:
    """Return the environment of `make`, which refers to the sources instead of copying them."""
    prefix = Path(sys.prefix)
    if not prefix.joinpath('.made-for').exists():
        pytest.skip('this Python is in no environment that tools/setup_env.sh made')
    return prefix


@pytest.fixture(params=[*INSTALLED, 'by_make'])
def prefix(request: pytest.FixtureRequest) -> Path:
    """Every test with this one runs against each kind of installation."""
    return Path(request.getfixturevalue(request.param))


def test_ros2_lists_the_executables(prefix: Path) -> None:
    assert ros2_executables(prefix) == EXECUTABLES


def test_share_holds_what_ros_reads(prefix: Path) -> None:
    share = prefix / 'share' / PACKAGE
    for name in ('launch', 'config'):
        assert files(share / name)
        assert files(share / name) == files(REPOSITORY / name)
    assert (share / 'package.xml').read_text() == (REPOSITORY / 'package.xml').read_text()


def test_the_ament_index_finds_the_package(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = pytest.importorskip('ament_index_python.packages')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(prefix))
    assert packages.get_package_prefix(PACKAGE) == str(prefix)
    assert packages.get_package_share_directory(PACKAGE) == str(prefix / 'share' / PACKAGE)


@pytest.mark.parametrize('kind', INSTALLED)
def test_the_code_is_installed_with_the_page_and_the_clips(
    request: pytest.FixtureRequest, kind: str
) -> None:
    prefix: Path = request.getfixturevalue(kind)
    (installed,) = prefix.glob(f'lib/python3*/site-packages/{PACKAGE}')
    wanted = files(REPOSITORY / PACKAGE)
    assert {'web/index.html', 'clips/walking.mp4', 'py.typed', 'nodes/entry.py'} <= wanted
    assert files(installed) == wanted


def test_pip_puts_the_executables_into_bin(by_pip: Path) -> None:
    for name in EXECUTABLES:
        first_line = (by_pip / 'bin' / name).read_text().splitlines()[0]
        # A path with a space, as this one, cannot stand in a first line.
        assert first_line in (f'#!{by_pip}/bin/python', '#!/bin/sh')


@pytest.mark.parametrize('name', EXECUTABLES)
def test_what_ros2_runs_in_a_pip_installation_is_the_one_in_bin(by_pip: Path, name: str) -> None:
    in_bin = by_pip / 'bin' / name
    real = in_bin.read_text()
    try:
        in_bin.write_text('#!/bin/sh\nprintf "%s|" "$0" "$@"\n')
        said = run(by_pip / 'lib' / PACKAGE / name, '--ros-args', '-p', 'a:=b c').split('|')
    finally:
        in_bin.write_text(real)
    assert Path(said[0]).resolve() == in_bin.resolve()
    assert said[1:] == ['--ros-args', '-p', 'a:=b c', '']


def test_colcon_installs_the_executables_themselves(by_setup: Path) -> None:
    for name in EXECUTABLES:
        lines = (by_setup / 'lib' / PACKAGE / name).read_text().splitlines()
        assert lines[0].startswith('#!')
        assert 'python' in lines[0]


def test_executables_start_with_the_activated_environment(source: Path, tmp_path: Path) -> None:
    """Build with a Python outside any environment, as Debian's colcon does."""
    base = Path(sys.base_prefix, 'bin', 'python3')
    if not base.exists() or base.parents[1].joinpath('pyvenv.cfg').exists():
        pytest.skip(f'{base} is no Python outside of an environment')
    activated = tmp_path / 'env'
    venv.create(activated, symlinks=True)
    code = (
        'import setuptools, runpy; given = {}; setuptools.setup = lambda **k: given.update(k); '
        'runpy.run_path("setup.py"); print(given["options"]["build_scripts"]["executable"])'
    )
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    environment.pop('VIRTUAL_ENV', None)
    bare = run(base, '-c', code, cwd=source, env=environment)
    environment['VIRTUAL_ENV'] = str(activated)
    in_activated = run(base, '-c', code, cwd=source, env=environment)
    assert bare.strip() == '/usr/bin/env python3'
    assert in_activated.strip() == f'{activated}/bin/python3'


def test_ros2_command_agrees(by_colcon: Path) -> None:
    ros2 = shutil.which('ros2')
    if ros2 is None:
        pytest.skip('there is no ros2 command: source a ROS 2')
    paths = [str(by_colcon), os.environ.get('AMENT_PREFIX_PATH', '')]
    environment = dict(os.environ, AMENT_PREFIX_PATH=os.pathsep.join(paths))
    listed = run(ros2, 'pkg', 'executables', PACKAGE, env=environment)
    assert sorted(listed.splitlines()) == [f'{PACKAGE} {name}' for name in EXECUTABLES]
    assert run(ros2, 'pkg', 'prefix', PACKAGE, env=environment).strip() == str(by_colcon)


def manifest() -> ET.Element:
    return ET.parse(REPOSITORY / 'package.xml').getroot()


def setup_arguments() -> dict[str, object]:
    """Return those arguments of setup() that are written as literals."""
    tree = ast.parse((REPOSITORY / 'setup.py').read_text())
    (call,) = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == 'setup'
    ]
    arguments: dict[str, object] = {}
    for keyword in call.keywords:
        try:
            arguments[str(keyword.arg)] = ast.literal_eval(keyword.value)
        except ValueError:
            continue
    return arguments


def test_both_descriptions_agree() -> None:
    setup = setup_arguments()
    package = manifest()
    assert package.findtext('version') == setup['version']
    assert package.findtext('license') == setup['license']
    maintainer = package.find('maintainer')
    assert maintainer is not None
    assert maintainer.text == setup['maintainer']
    assert maintainer.get('email') == setup['maintainer_email']


def test_the_maintainer_has_an_address() -> None:
    """colcon takes a package with a malformed one for plain Python, without a word."""
    maintainer = manifest().find('maintainer')
    assert maintainer is not None
    assert re.fullmatch(r'[^@\s]+@[^@\s]+\.[a-z]+', maintainer.get('email', ''))


def test_ros_finds_the_manifest_valid() -> None:
    catkin_pkg = pytest.importorskip('catkin_pkg.package')
    package = catkin_pkg.parse_package(str(REPOSITORY / 'package.xml'))
    package.validate()
    assert package.get_build_type() == 'ament_python'


@pytest.mark.parametrize('name', EXECUTABLES)
def test_each_executable_has_its_function(name: str) -> None:
    assert callable(getattr(importlib.import_module(f'{PACKAGE}.nodes.entry'), name))


def pins(name: str) -> dict[str, str]:
    lines = (REPOSITORY / 'requirements' / f'{name}.txt').read_text().splitlines()
    found = {}
    for line in lines:
        if line and not line.startswith('#'):
            match = re.fullmatch(r'([a-z0-9-]+)(?:\[[a-z]+\])?==([0-9][0-9.]*)', line)
            assert match, f'{name}.txt: {line!r} is no pin of the form name==version'
            found[match[1]] = match[2]
    return found


def test_every_requirement_of_the_package_is_pinned() -> None:
    setup = setup_arguments()
    extras = setup['extras_require']
    required = setup['install_requires']
    assert isinstance(extras, dict)
    assert isinstance(required, list)
    pinned = {**pins('run'), **pins('ros'), **pins('test'), **pins('pytest')}
    for line in [*required, *extras['ros'], *extras['test']]:
        assert re.split(r'[\[>=<]', line)[0] in pinned


def test_nothing_on_top_of_ros_replaces_its_numpy() -> None:
    on_top = {**pins('build'), **pins('run'), **pins('test'), **pins('pytest-ros')}
    assert not {name for name in on_top if re.match('numpy|opencv|ros-', name)}


def test_the_imported_package_is_this_one() -> None:
    assert Path(rtc_signaling.__file__).resolve().parent == REPOSITORY / PACKAGE
