"""A run of the program as a person sees it: live on standard error, interruptible, its report on standard output.

Refuses to know configs and reports.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import IO, Any, Optional

from ai_energy_benchmarks.program import environment, find

#: A driver or a disk that hangs is not waited for longer than this once the run was interrupted, in seconds.
_PATIENCE = 60.0

#: Signals that would end this process and leave the program running.
_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@dataclass(frozen=True)
class Ended:
    """What a run left: exit code, standard output, standard error, and whether this process was interrupted."""

    code: int
    out: str
    err: str
    interrupted: bool


def run(arguments: Sequence[str], decided: bool) -> Ended:
    """Runs the program to its end.

    An interrupt (Ctrl-C) is passed on once: the program ends what is in flight, saves what was measured and reports. A second
    one ends it at once.
    """
    with tempfile.TemporaryFile() as out, _standard_error() as (handle, pump):
        process = subprocess.Popen(
            [find(), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=handle,
            env=environment(decided),
            # A terminal's interrupt reaches its whole group; the program is to get one, and from here.
            start_new_session=True,
        )
        os.close(handle)
        try:
            with _passed_on(process):
                interrupted = _wait(process)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        pump.join()
        out.seek(0)
        return Ended(process.returncode, out.read().decode("utf-8", "replace"), pump.text(), interrupted)


def _wait(process: subprocess.Popen[bytes]) -> bool:
    """Waits for the end; `True` where an interrupt came."""
    try:
        process.wait()
        return False
    except KeyboardInterrupt:
        _send(process, signal.SIGINT)
    try:
        process.wait(_PATIENCE)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        process.kill()
        process.wait()
    return True


def _send(process: subprocess.Popen[bytes], number: int) -> None:
    if process.poll() is None:
        process.send_signal(number)


@contextmanager
def _passed_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Passes signals that would end this process on to the program, and takes them up again once it ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def pass_on(number: int, _frame: Optional[FrameType]) -> None:
        came.append(number)
        _send(process, signal.SIGTERM)

    ours = [number for number in _ENDING if signal.getsignal(number) == signal.SIG_DFL]
    for number in ours:
        signal.signal(number, pass_on)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
        if came:
            os.kill(os.getpid(), came[0])


class _Pump(threading.Thread):
    """Copies what the program writes to `sys.stderr` as it comes, and keeps the end of it."""

    #: An error is a few lines; a live line is drawn for hours.
    KEPT = 64 * 1024

    def __init__(self, source: int) -> None:
        super().__init__(daemon=True)
        self._source = source
        self._kept = b""
        self._to: IO[Any] = sys.stderr
        self.start()

    def run(self) -> None:
        while True:
            try:
                piece = os.read(self._source, 4096)
            except OSError:  # How a terminal's other side ends on Linux.
                piece = b""
            if not piece:
                break
            self._kept = (self._kept + piece)[-self.KEPT :]
            self._show(piece)
        os.close(self._source)

    def _show(self, piece: bytes) -> None:
        try:
            self._to.write(piece.decode("utf-8", "replace"))
            self._to.flush()
        except (OSError, ValueError):
            pass  # Nobody looks any more; the run goes on.

    def text(self) -> str:
        """What was written last."""
        return self._kept.decode("utf-8", "replace")


@contextmanager
def _standard_error() -> Iterator[tuple[int, _Pump]]:
    """A handle for the program's standard error: a terminal where ours is one, so that the live line moves; else a pipe."""
    ours, theirs = _terminal() or os.pipe()
    yield theirs, _Pump(ours)


def _terminal() -> Optional[tuple[int, int]]:
    if sys.platform == "win32" or not _is_terminal(sys.stderr):
        return None
    import fcntl
    import pty
    import termios

    try:
        ours, theirs = pty.openpty()
        size = fcntl.ioctl(sys.stderr.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
        # Line ends are the outer terminal's to translate.
        attributes = termios.tcgetattr(theirs)
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    except OSError:
        return None
    return ours, theirs


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty()) and stream.fileno() >= 0
    except (AttributeError, OSError, ValueError):
        return False
