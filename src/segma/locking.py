"""One holder at a time for a file that several processes may want to write.

The lock belongs to the operating system, not to the presence of a file: it ends with the process that holds
it, so a lock is never stale. The empty lock file itself stays (removing it would let two holders in).
"""

from __future__ import annotations

import errno
import logging
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

_log = logging.getLogger(__name__)

_NO_LOCKS_HERE = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


@contextmanager
def file_lock(path: Path, *, wait: Callable[[], None]) -> Generator[None]:
    """Hold the lock at `path`; `wait` is called again and again while another process or thread holds it.

    `wait` decides how long to sleep, and may raise to give up. On a file system that knows no locks a
    warning is logged and the work goes on without one. Raises OSError when the lock file cannot be opened.

    What the holder is called (its process id, say) may be written to the file from its second byte on: the
    first is what is locked on systems where a lock keeps readers out.
    """
    with path.open("ab") as handle:
        while not _try_lock(handle.fileno(), path):
            wait()
        try:
            yield
        finally:
            _unlock(handle.fileno())


if sys.platform == "win32":
    import msvcrt
    import os

    def _try_lock(descriptor: int, path: Path) -> bool:
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            return _may_go_on(error, path)
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
        except OSError as error:
            _log.debug("there was no lock to release: %s", error)
else:
    import fcntl

    def _try_lock(descriptor: int, path: Path) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return _may_go_on(error, path)
        return True

    def _unlock(descriptor: int) -> None:
        # Closing would do, but not if a forked child still holds the same open file.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        except OSError as error:
            _log.debug("there was no lock to release: %s", error)


def _may_go_on(error: OSError, path: Path) -> bool:
    """False when someone else holds the lock, True when this place has no locks at all."""
    if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
        return False
    if error.errno in _NO_LOCKS_HERE:
        _log.warning("%s: this file system has no locks; do not let two processes write it at once.", path)
        return True
    raise error
