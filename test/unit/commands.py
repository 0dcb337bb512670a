"""The commands that the documents tell a person to type, and what else stands in their blocks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [
        *REPOSITORY.glob('*.md'),
        *(REPOSITORY / 'docs').glob('*.md'),
        REPOSITORY / 'benchmarks' / 'README.md',
    ]
)
# Fenced blocks of these are no commands. A systemd unit has one, which is checked by itself.
LANGUAGES = {'conf', 'html', 'ini', 'json', 'mermaid', 'yaml'}
# Inline code that begins with one of these is a command too.
PROGRAMS = re.compile(
    r'(?:\w+=\S+ )?(?:sudo )?(?:make|ros2|curl|pytest|pip|python3?|source|systemctl|journalctl'
    r'|resolvectl|sysctl|fastdds|\.venv/bin/\w+|apt|export) '
)
FENCE = re.compile(r'^```(\w*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
INLINE = re.compile(r'`([^`]+)`')
COMMENT = re.compile(r'(?:^|\s)# .*$')

# What stands in blocks and is no command: how the block begins, and what it is.
NOT_COMMANDS = {
    ('README.md', 'OK   session'): 'what the doctor prints',
    ('docs/architecture.md', 'camera driver'): 'a drawing',
    ('docs/architecture.md', 'nodes/'): 'a list of layers',
    ('docs/architecture.md', 'socket ->'): 'a drawing',
    ('docs/architecture.md', 'ROS callback'): 'a drawing',
    ('docs/doctor.md', 'FAIL session'): 'what the doctor prints, explained',
    ('docs/doctor.md', 'OK   port'): 'what the doctor prints',
    ('docs/images-over-dds.md', 'message:'): 'what the status says',
    ('docs/images.md', 'images are'): 'a line of the log',
    ('docs/media.md', "executor's"): 'a drawing',
}

# Programs of others, which are not there, need a network, or would change this machine. They are
# checked for nothing but that they stand here, each as it is written.
FOREIGN = {
    'cd ~/ros2_ws': 'the shell',
    'mkdir -p ~/ros2_ws/src': 'the shell',
    'git clone URL ~/ros2_ws/src/rtc_signaling': "URL is the reader's",
    'sudo systemctl daemon-reload': 'systemd is not there in containers',
    'sudo ufw allow 8765/tcp': 'changes the firewall of this machine',
    'sudo ufw allow proto udp from 192.168.1.0/24 to any port 32768:60999': 'likewise',
    'ros2 topic hz': 'named, as what not to trust',
    'resolvectl status': 'systemd is not there in containers',
    'fastdds shm clean': 'a program of eProsima, in no wheel',
    'pip install': 'named as a way that was not taken',
    'pip index versions ros-rmw-cyclonedds-cpp': 'asks PyPI',
    'sudo sysctl -w net.core.rmem_max=2147483647': 'changes this machine; said to be untried',
    'ros2 run rmw_zenoh_cpp rmw_zenohd': 'in no wheel; said to be untried',
    'ros2 pkg executables usb_cam': 'for who has that driver',
    'apt install': 'named, not to be typed',
    'ros2 bag play': 'named, not to be typed',
    'ros2 bag record': 'named, not to be typed',
    '.venv/bin/pip install mutmut==3.8.1': 'from PyPI; pinned',
    '.venv/bin/mutmut run --max-children 1': 'takes 15 minutes',
    '.venv/bin/mutmut results': 'of the run before',
    'python3 -m venv ~/autobahn/make': 'from PyPI, for Python 2.7',
    "~/autobahn/make/bin/pip install 'virtualenv<20.22'": 'from PyPI, for Python 2.7',
    '~/autobahn/make/bin/virtualenv -p python2.7 ~/autobahn/suite': 'for Python 2.7',
    '~/autobahn/suite/bin/pip install autobahntestsuite==0.8.2': 'from PyPI, for Python 2.7',
}


@dataclass(frozen=True)
class Command:
    """One simple command: no pipes, no `&&`.

    Attributes:
        document: Where it stands, below the repository.
        text: As it is written, without a comment.
        words: As the shell gives them to the program; of environment and `sudo` nothing.
        environment: Variables that are set for it alone.
    """

    document: str
    text: str
    words: tuple[str, ...]
    environment: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """Lines that stand out from the text: commands, or what a program says, or a drawing."""

    document: str
    lines: tuple[str, ...]


def blocks(path: Path) -> Iterator[Block]:
    """Give the blocks of a document that are not in another language."""
    name = str(path.relative_to(REPOSITORY))
    text = path.read_text(encoding='utf-8')
    for language, body in FENCE.findall(text):
        if language not in LANGUAGES:
            yield Block(name, tuple(body.splitlines()))
    rest = FENCE.sub('', text)
    for body in re.findall(r'(?:\A|(?<=\n\n))(?:    .*\n)+', rest):
        lines = tuple(line[4:] for line in body.splitlines() if line.strip())
        if not lines[0].startswith(('{', ' ', '* ')):  # JSON, or the rest of an item
            yield Block(name, lines)


def inline_commands(path: Path) -> Iterator[Command]:
    """Give the commands that stand in the text itself."""
    name = str(path.relative_to(REPOSITORY))
    text = FENCE.sub('', path.read_text(encoding='utf-8'))
    text = re.sub(r'^    .*$', '', text, flags=re.MULTILINE)
    for code in INLINE.findall(text):
        if PROGRAMS.match(code):
            yield from commands(name, ' '.join(code.split()))


def commands(document: str, line: str) -> Iterator[Command]:
    """Give the simple commands of a line of a shell.

    Raises:
        ValueError: It has a quotation that does not end.
    """
    for part in re.split(r'\s(?:&&|\|\|?|;)\s', COMMENT.sub('', line).strip()):
        if not part:
            continue
        words = shlex.split(part)
        environment = []
        while words and (words[0] == 'sudo' or re.match(r'[A-Z_]+=', words[0])):
            environment.append(words.pop(0))
        yield Command(document, part, tuple(words), tuple(environment))
