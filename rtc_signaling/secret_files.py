"""Files that hold secrets: read whole, with a warning when others can read them too."""

from __future__ import annotations

import logging
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from rtc_signaling.errors import ConfigurationError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SecretFile:
    """Hold what was read, and who could read it then.

    Attributes:
        mode: The file's permission bits.
    """

    path: Path
    text: str = field(repr=False)
    mode: int

    def warn_if_exposed(self) -> None:
        """Log a warning if others than the owner may read or write the file."""
        if self.mode & 0o077:
            logger.warning(
                '%s can be read by others (mode %03o): run chmod 600 on it', self.path, self.mode
            )


def read(parameter: str, path: Path) -> SecretFile:
    """Return what stands in `path`, text in UTF-8.

    Args:
        parameter: Which parameter names the file, for the error.
        path: The file.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        with path.open(encoding='utf-8') as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            return SecretFile(path, file.read(), mode)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(parameter, str(path), f'cannot be read: {error}') from error
