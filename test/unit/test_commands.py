"""Each command in the documents is run, or checked in the way that CHECKS says; none is left over.

Most commands of a robot cannot be run here: they would install packages, start services, or need
the `ros2` command line, which no wheel has. They are held against what they name: the launch
file's arguments, the executables, the tables of topics, services and parameters.
"""

from __future__ import annotations

import ast
import configparser
import functools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from commands import (
    DOCUMENTS,
    FENCE,
    FOREIGN,
    NOT_COMMANDS,
    REPOSITORY,
    Command,
    blocks,
    commands,
    inline_commands,
)

from rtc_signaling.errors import ConfigurationError
from rtc_signaling.parameter import parameters
from rtc_signaling.sender_config import SenderConfig
from rtc_signaling.server_config import ServerConfig
from rtc_signaling.test_camera_config import TestCameraConfig

NODES = {
    'signaling_server': ServerConfig,
    'camera_sender': SenderConfig,
    'test_camera': TestCameraConfig,
}
DISTRIBUTIONS = ('jazzy', 'kilted', 'lyrical')
HELP_S = 60.0
# What building takes; package.xml has what running takes.
BUILD_PACKAGES = {'git', 'make', 'python3-colcon-common-extensions', 'python3-venv'}


def read(*parts: str) -> str:
    return REPOSITORY.joinpath(*parts).read_text(encoding='utf-8')


@functools.cache
def help_of(*program: str, environment: tuple[str, ...] = ()) -> str:
    """Run `program --help`, and return what it prints."""
    done = subprocess.run(
        ['env', *environment, sys.executable, *program, '--help'],
        check=False, cwd=REPOSITORY, capture_output=True, text=True, timeout=HELP_S,
    )  # fmt: skip
    assert done.returncode == 0, f'{program}: {done.stderr}'
    return done.stdout


def check_options(words: tuple[str, ...], text: str) -> None:
    """Check that each option is one of those that the help tells of."""
    known = set(re.findall(r'--?[\w.-]+', text))
    unknown = [word for word in words if word.startswith('-') and word.split('=')[0] not in known]
    assert not unknown, f'{unknown} is none of {sorted(known)}'


def check_make(command: Command) -> None:
    """A target and variables of the Makefile; `make demo` is run by test/browser/test_demo.py."""
    makefile = read('Makefile')
    words = list(command.words[1:])
    if words[0] == '-C':
        assert words[1].endswith('/src/rtc_signaling')
        words = words[2:]
    for word in words:
        name, is_variable, value = word.partition('=')
        if is_variable:
            assert re.search(rf'^{name} \?=', makefile, re.MULTILINE), name
            if name == 'DEMO_ARGS':
                check_options(tuple(value.split()), help_of('tools/demo.py'))
            if name == 'PYTEST_ARGS' and value != '--cov':
                check_pytest(Command(command.document, value, ('pytest', *value.split())))
        else:
            assert re.search(rf'^{name}:', makefile, re.MULTILINE), f'no target {name}'


def check_pytest(command: Command) -> None:
    """Paths that are there, and options that some conftest.py declares."""
    declared = ''.join(
        path.read_text('utf-8') for path in (REPOSITORY / 'test').rglob('conftest.py')
    )
    for word in command.words[1:]:
        if word.startswith('--'):
            assert re.search(rf"addoption\(\s*'{word}'", declared), f'no option {word}'
        elif word.startswith('test/'):
            assert (REPOSITORY / word).exists(), f'no {word}'


def check_python(command: Command) -> None:
    """A program of ours: its --help is run, and knows the options."""
    words = command.words[1:]
    if words[0] == '-m' and words[1] == 'colcon':
        # Run by test/unit/test_packaging.py as colcon runs it, by setup.py.
        assert words[2] in ('build', 'test', 'test-result')
        assert 'rtc_signaling' in words or '--packages-select' not in words
        return
    program, options = (words[:2], words[2:]) if words[0] == '-m' else (words[:1], words[1:])
    if program == ('tools/params.py',):
        assert not options  # it takes --check alone, with which test_config.py runs it
        return
    check_options(options, help_of(*program, environment=command.environment))


@functools.cache
def launch_arguments(name: str) -> dict[str, list[str]]:
    """Return a launch file's arguments and their choices, with those of the file it includes."""
    (path,) = (REPOSITORY / 'launch').rglob(name)
    tree = ast.parse(path.read_text('utf-8'))
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'DeclareLaunchArgument':
            choices = next((k.value for k in node.keywords if k.arg == 'choices'), None)
            if isinstance(choices, ast.Call):  # list(DRIVERS)
                choices = choices.args[0]
            if isinstance(choices, ast.Name):
                choices = constants[choices.id]
            if isinstance(choices, ast.Dict):
                choices = ast.List(elts=choices.keys)
            found[ast.literal_eval(node.args[0])] = ast.literal_eval(choices) if choices else []
    if 'IncludeLaunchDescription' in ast.unparse(tree):
        found |= launch_arguments('robot.launch.py')
    return found


def check_launch(command: Command) -> None:
    """The file's own arguments and choices; test/launch launches them for real."""
    package, name, *arguments = command.words[2:]
    assert package == 'rtc_signaling'
    known = launch_arguments(name)
    for argument in arguments:
        if argument == '--show-args':
            continue
        key, is_argument, value = argument.partition(':=')
        assert is_argument, argument
        assert key in known, f'{name} has no argument {key}'
        assert not known[key] or value in known[key], f'{key}: {value} is none of {known[key]}'


def check_run(command: Command) -> None:
    """An executable of ours; test/integration/test_doctor_program.py runs the doctor."""
    package, program, *options = command.words[2:]
    assert package == 'rtc_signaling'
    executables = ast.literal_eval(re.search(r'^EXECUTABLES = (.*)$', read('setup.py'), re.M)[1])
    assert program in executables
    ours = options[: options.index('--ros-args')] if '--ros-args' in options else options
    check_options(tuple(ours), help_of('-m', 'rtc_signaling.doctor') if ours else '')


def table_of_ros() -> dict[str, str]:
    """Return topics and services of docs/ros.md with their types; test_documents.py holds it."""
    rows = re.findall(
        r'^\| `([\w/]+)` \| ((?:\w+_msgs|std_srvs)/\w+) \|', read('docs', 'ros.md'), re.M
    )
    assert len(rows) > 15
    return {name.strip('/'): kind for name, kind in rows}


def check_topic(command: Command) -> None:
    """A topic of docs/ros.md, which test/ros hears from another process."""
    verb, *words = command.words[2:]
    names = [word for word in words if word.startswith('/')]
    assert verb == 'echo'
    assert set(words) - set(names) <= {'--once'}
    assert [name for name in names if name.strip('/') not in table_of_ros()] == []


def check_service(command: Command) -> None:
    """A service of docs/ros.md with its type and members, which test/ros calls."""
    name, kind, *request = command.words[3:]
    assert command.words[2] == 'call'
    assert table_of_ros()[name.strip('/')] == kind.replace('/srv/', '/')
    members = {'std_srvs/srv/Trigger': {}, 'std_srvs/srv/SetBool': {'data': bool}}[kind]
    values = yaml.safe_load(request[0]) if request else {}
    assert {key: type(value) for key, value in values.items()} == members


def check_param(command: Command) -> None:
    """A parameter of the table, a value in its range, and live if it is to be set."""
    verb, *words = command.words[2:]
    assert verb in ('set', 'get', 'describe', 'list')
    if not words:
        return  # named, not to be typed
    node, name, *value = words
    specs = {spec.name: spec for spec in parameters(NODES[node.strip('/')]).values()}
    assert name in specs
    if verb == 'set':
        specs[name].check(yaml.safe_load(value[0]))
        assert specs[name].live, f'{name} is read-only'


def check_prefix(command: Command) -> None:
    assert command.words[2:] == ('prefix', '--share', 'rtc_signaling')


def check_source(command: Command) -> None:
    """The three distributions, the environment that the Makefile makes, the workspace."""
    ros = [f'/opt/ros/{name}/setup.bash' for name in (*DISTRIBUTIONS, '$ROS_DISTRO')]
    environment = (
        r'(?:.*/src/rtc_signaling/)?\.venv-(?:\$ROS_DISTRO|jazzy|kilted|lyrical)/bin/activate'
    )
    path = command.words[1]
    assert path in ros or path.endswith('install/setup.bash') or re.fullmatch(environment, path)
    assert '.venv$(if' in read('Makefile')


def check_apt(command: Command) -> None:
    """Packages that package.xml names in its own words, and what making the environment needs."""
    needed = set(re.findall(r'depend>([\w-]+)<', read('package.xml')))
    for package in command.words[2:]:
        assert re.fullmatch(r'[a-z0-9$][\w$+.-]+', package)
        name = package.removeprefix('ros-$ROS_DISTRO-')
        assert name.replace('-', '_') in needed or name in needed | BUILD_PACKAGES


def check_unit(command: Command) -> None:
    """The unit of docs/robot.md, by its name."""
    assert 'rtc_signaling' in command.words
    assert '/etc/systemd/system/rtc_signaling.service' in read('docs', 'robot.md')


def check_export(command: Command) -> None:
    """A profile that is installed, under the variable's name of Fast DDS."""
    name, _, value = command.text.removeprefix('export ').partition('=')
    assert name == 'FASTDDS_DEFAULT_PROFILES_FILE'
    assert (REPOSITORY / 'config' / Path(value).name).exists()
    (inner,) = re.findall(r'\$\((.*)\)', value)
    (prefix,) = commands(command.document, inner)
    check(prefix)


def check_curl(command: Command) -> None:
    """An address of the server; test/integration/test_documented_commands.py runs each."""
    assert command.document == 'docs/operating.md'


def check_openssl(command: Command) -> None:
    """What makes a certificate; test/integration/test_documented_commands.py runs and loads it."""
    assert command.words[1] == 'req'


# How each kind of command is checked. The first that fits counts.
CHECKS = (
    (r'make ', check_make),
    (r'(?:\.venv/bin/)?pytest', check_pytest),
    (r'(?:\.venv/bin/)?python3? ', check_python),
    (r'ros2 launch ', check_launch),
    (r'ros2 run ', check_run),
    (r'ros2 topic ', check_topic),
    (r'ros2 service ', check_service),
    (r'ros2 param ', check_param),
    (r'ros2 pkg prefix ', check_prefix),
    (r'source ', check_source),
    (r'apt install ', check_apt),
    (r'(?:systemctl enable|journalctl) ', check_unit),
    (r'export ', check_export),
    (r'curl ', check_curl),
    (r'openssl ', check_openssl),
)


def check(command: Command) -> None:
    """Check a command; AssertionError says what is wrong with it, or that nobody knows it."""
    if command.text in FOREIGN:
        return
    text = command.text
    for word in command.environment:
        text = text.removeprefix(word).lstrip()
    for pattern, checker in CHECKS:
        if re.match(pattern, text):
            checker(command)
            return
    raise AssertionError(f'{command.document}: nothing checks {command.text!r}')


def is_command(block) -> bool:
    return not any(
        block.document == document and block.lines[0].startswith(begin)
        for document, begin in NOT_COMMANDS
    )


def every_command():
    for path in DOCUMENTS:
        for block in blocks(path):
            if is_command(block):
                for line in block.lines:
                    yield from commands(block.document, line)
        yield from inline_commands(path)


@pytest.mark.parametrize(
    'command',
    [pytest.param(c, id=f'{c.document}: {c.text}') for c in dict.fromkeys(every_command())],
)
def test_a_command_is_checked(command):
    check(command)


def test_no_entry_of_the_tables_is_left_over():
    used = {command.text for command in every_command()}
    assert [text for text in FOREIGN if text not in used] == []
    begins = [(block.document, block.lines[0]) for path in DOCUMENTS for block in blocks(path)]
    assert [
        (document, begin)
        for document, begin in NOT_COMMANDS
        if not any(name == document and line.startswith(begin) for name, line in begins)
    ] == []


@pytest.mark.parametrize(
    'text',
    [
        'ros2 launch rtc_signaling robot.launch.py imagetopic:=/x',
        'ros2 launch rtc_signaling robot.launch.py respawn:=yes',
        'ros2 run rtc_signaling doctr',
        'ros2 topic echo /camera_sender/age',
        'ros2 service call /camera_sender/set_enabled std_srvs/srv/Trigger',
        'ros2 param set /signaling_server port 1',
        'ros2 param set /signaling_server max_connections 0',
        'ros2 param get /signaling_server max_connection',
        'make demonstration',
        'python benchmarks/frames.py --round 3',
        'pytest test/unit/test_nothing.py',
        'pytest --no-such-option',
        'sudo apt install libfoo',
        'rosrun anything',
    ],
)
def test_a_wrong_command_is_found(text):
    (command,) = commands('README.md', text)
    with pytest.raises((AssertionError, ConfigurationError)):
        check(command)


def test_the_table_of_the_launch_files_arguments_is_complete():
    table = re.findall(r'^\| (`\w+`(?:, `\w+`)*) \|', read('docs', 'launch.md'), re.MULTILINE)
    named = {name for cell in table for name in re.findall(r'`(\w+)`', cell)}
    assert named == set(launch_arguments('robot.launch.py'))


def test_the_systemd_unit_starts_what_the_documents_say():
    (unit,) = [
        body for language, body in FENCE.findall(read('docs', 'robot.md')) if language == 'ini'
    ]
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read_string(unit)
    (script,) = re.findall(r"/bin/bash -c '(.*)'", parser['Service']['ExecStart'])
    *before, last = commands('docs/robot.md', script)
    for command in before:
        check(command)
    (launch,) = commands('docs/robot.md', last.text.removeprefix('exec '))
    check(launch)
    assert parser['Service']['KillSignal'] == 'SIGINT'


def test_systemd_takes_the_unit(tmp_path):
    if shutil.which('systemd-analyze') is None:
        pytest.skip('systemd-analyze is not installed: the unit of docs/robot.md was not verified')
    (unit,) = [
        body for language, body in FENCE.findall(read('docs', 'robot.md')) if language == 'ini'
    ]
    file = tmp_path / 'rtc_signaling.service'
    file.write_text(unit, encoding='utf-8')
    done = subprocess.run(
        ['systemd-analyze', 'verify', '--man=no', file],
        check=False, capture_output=True, text=True, timeout=HELP_S,
    )  # fmt: skip
    assert [line for line in done.stderr.splitlines() if file.name in line] == []
    assert done.returncode == 0, done.stderr
