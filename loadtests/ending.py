"""How a benchmark ends: at SIGTERM in order as at Ctrl-C, and where it is refused in a sentence."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from authz_service.embedded import EmbeddedError
from authz_service.serving import NotServedError
from loadtests.books import DiskTooSmallError
from loadtests.machine import NotDurableError

INTERRUPTED: Final = 130
REFUSALS: Final = (EmbeddedError, NotServedError, DiskTooSmallError, NotDurableError)
_FOREIGN: Final = (PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError)
"""Of a directory that somebody else made, or in which there is something else."""


@contextmanager
def ends_in_order() -> Iterator[None]:
    """What was started inside is stopped however it ends; exit code 143 at SIGTERM, 130 at Ctrl-C, 1 when refused."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    except REFUSALS as refused:
        sys.exit(str(refused))
    except _FOREIGN as error:
        sys.exit(f"Cannot use {os.fsdecode(error.filename or 'a file')}: {error.strerror}.")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _terminated(number: int, _: object) -> None:
    # Once: the second one must not end the stopping. Not ignored, since what is still started would inherit that.
    signal.signal(signal.SIGTERM, lambda *_: None)
    sys.exit(128 + number)
