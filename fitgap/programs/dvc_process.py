"""Processes that import DVC once and then run one DVC command after another.

A DVC command for a stage with little to do spends most of its time on the import. `python -m bench --only scheduling`
measures it: 50 stages without work took 9.6 s of processor time instead of 34.1 s (AMD EPYC, two cores).
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import psutil

END = "\0\n"  # what a process writes to a pipe after the output of each command
PATIENCE, LONGEST = 1.0, 20.0  # seconds until a command is terminated after an interruption, and until DVC is killed
Show = Callable[[str], None]  # called with each line of a command's output, without its line break


class DvcProcess:
    """A child process that runs DVC commands.

    Parameters
    ----------
    variables : environment variables to add
    is_piped : whether its output goes to `run`'s `show`, not to this process's standard output and error
    """

    def __init__(self, variables: Mapping[str, str], is_piped: bool):
        piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
        self._socket, theirs = socket.socketpair()
        self._commands = self._socket.makefile("rw", encoding="utf-8")
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno()), *(["piped"] if is_piped else [])],
                pass_fds=[theirs.fileno()],
                env={**os.environ, **variables},
                **(piped if is_piped else {}),
            )

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended; also waits for it if it has, so that DVC's locks count as released."""
        return self._process.poll() is None

    @property
    def memory(self) -> int:
        """Bytes of memory that the process and its descendants hold."""
        return sum(_memory(each) for each in (self._process.pid, *self._descendants()))

    def run(self, arguments: Sequence[str], show: Show) -> int:
        """Run `dvc ARGUMENTS` and return its exit status; minus the signal's number if a signal ended the process."""
        with contextlib.suppress(OSError):  # the process was killed: the answer is missing too
            print(json.dumps(arguments), file=self._commands, flush=True)
        self._show_output(show)
        with contextlib.suppress(OSError):
            if answer := self._commands.readline():
                return int(answer)
        return self._process.wait() or 1

    def _show_output(self, show: Show) -> None:
        for line in self._process.stdout or ():
            is_last, text = line.endswith(END), line.removesuffix(END).removesuffix("\n")
            if text or not is_last:
                show(text)
            if is_last:
                return

    def finish(self) -> None:
        """Let the process end after the current command."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def terminate_command(self) -> None:
        """Terminate what DVC has started; DVC then releases its locks."""
        for number in self._descendants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()

    def _descendants(self) -> list[int]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return [each.pid for each in psutil.Process(self._process.pid).children(recursive=True)]
        return []


def _memory(number: int) -> int:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(number).memory_info().rss
    return 0


class DvcProcesses:
    """Processes for DVC commands in parallel, each in a place; use it in a `with` statement.

    The process of a place starts with the first command. That of place 0 writes to the terminal itself; the output of
    the others is shown line by line, since two progress bars would overwrite each other.
    """

    def __init__(self, count: int, variables: Mapping[str, str]):
        self.count, self._variables = count, variables
        self._processes: dict[int, DvcProcess] = {}
        self._pool = ThreadPoolExecutor(count)

    def submit(self, place: int, arguments: Sequence[str], show: Show) -> Future[int]:
        """Run `dvc ARGUMENTS` in a free place; the result is that of `DvcProcess.run`."""
        if place not in self._processes or not self._processes[place].is_alive:  # it may have been killed
            self._processes[place] = DvcProcess(self._variables, is_piped=place > 0)
        return self._pool.submit(self._processes[place].run, arguments, show)

    def memory(self, place: int) -> int:
        """Return the bytes of memory that the process of a place and its descendants hold."""
        return self._processes[place].memory

    def __enter__(self) -> "DvcProcesses":
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes; after an interruption, terminate their commands first.

        DVC itself is killed only if that takes too long: killed while it writes, it would leave broken files. It
        considers a killed process's locks as held until the parent has reaped the process. If this parent died first,
        PID 1 would have to, which takes two seconds on some machines, and for ever in a container without an init
        process.
        """
        for process in self._processes.values():
            process.finish()
        begin = time.monotonic()
        while alive := [process for process in self._processes.values() if process.is_alive]:
            seconds = time.monotonic() - begin
            for process in alive if seconds > PATIENCE else ():
                process.terminate_command()
                if seconds > LONGEST:
                    process.kill()
            time.sleep(0.02 if seconds < PATIENCE else 0.5)
        self._pool.shutdown()


def serve(descriptor: str, output: str = "inherited") -> None:
    """Run the commands that arrive at a socket and answer with their exit statuses, until the socket is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they end DVC's command; DVC must not stop while it writes
        signal.signal(number, lambda *_: None)
    from dvc.cli import main

    with socket.socket(fileno=int(descriptor)) as connection, connection.makefile("rw", encoding="utf-8") as commands:
        for line in commands:
            arguments = json.loads(line)
            sys.argv = ["dvc", *arguments]  # DVC names the command in its lock files
            status = main(arguments)
            sys.stderr.flush()
            print(end=END if output == "piped" else "", flush=True)
            print(status, file=commands, flush=True)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        serve(*sys.argv[1:])
