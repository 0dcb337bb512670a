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
