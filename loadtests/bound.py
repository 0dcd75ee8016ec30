"""`python -IS bound.py PID COMMAND …`: the command, which is told to end when its starter PID ends in whatever way.

As `authz_service.serving.end_with`, for programs that are not ours. It imports nothing but the library, since its start
is part of a sender's time; preexec_fn would run Python in a fork, which 3.12 and later warn of.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    starter, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(starter):
        sys.exit("the process that started this one has ended")
    try:
        os.execvp(command[0], command)  # noqa: S606 - to start a program is what this is for
    except OSError as error:
        sys.exit(f"{command[0]} cannot be started: {error.strerror}")
