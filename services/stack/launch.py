"""Become another program: arrange how this process dies and whom it runs as, then exec.

Run by its path in an isolated interpreter (`python -I -S launch.py OPTIONS -- PROGRAM…`), so it must not import
anything of ours. It replaces itself, which keeps the child's pid that of the program; the same work in
`preexec_fn` would run Python between fork and exec of a parent that may have threads.
"""

import argparse
import ctypes
import os
import signal
import sys
import time
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
AUTOGROUP = "/proc/self/autogroup"
AGAIN_AFTER, TRIES = 0.1, 10
"""From all who are not root together, the kernel takes one such change in a tenth of a second."""


class CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class CapabilitySets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def main(arguments: Sequence[str]) -> None:
    """Set what was asked for and exec the program; the order of the steps matters."""
    options = _parser().parse_args(arguments)
    if options.nice:
        step_back(options.nice)
    if options.uid is not None:
        run_as(options.uid, options.gid)
    if options.death_signal is not None:  # after the change of user, which clears it
        die_with_parent(options.death_signal, options.parent)
    os.execv(options.program[0], options.program)


def step_back(nice: int) -> None:
    """Take so many steps behind other programs.

    Where autogroups are on (sched(7)), nice values count only within a session, and between sessions the session's own
    does. A session that is not this process's is everybody's in it, and left alone.
    """
    os.nice(nice)
    if os.getsid(0) != os.getpid():
        return
    for _ in range(TRIES):
        try:
            with open(AUTOGROUP, "w") as file:  # noqa: PTH123  (pathlib is slow to import, before each process)
                file.write(str(nice))
        except BlockingIOError:
            time.sleep(AGAIN_AFTER)
        except OSError:  # there are none
            return
        else:
            return


def run_as(uid: int, gid: int) -> None:
    """Leave root for `uid`, keeping the right to walk through folders that only root may enter.

    Postgres refuses to run as root, but its binaries and its data may lie below a folder like `/root`. One ambient
    capability carries it there. Without SECBIT_NO_SETUID_FIXUP access(2) would ignore that capability.
    Where the kernel grants none of this, the program runs without it: that is enough for folders open to all.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    walks = libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if walks:
        _keep_walking(libc)


def _keep_walking(libc: ctypes.CDLL) -> None:
    header = CapabilityHeader(CAPABILITY_VERSION_3, 0)
    sets = (CapabilitySets * 2)()
    libc.capget(ctypes.byref(header), ctypes.byref(sets))
    for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        if sets[0].permitted & 1 << capability:
            sets[0].inheritable |= 1 << capability
            libc.capset(ctypes.byref(header), ctypes.byref(sets))
            libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)
            return


def die_with_parent(number: int, parent: int) -> None:
    """Ask the kernel for signal `number` when the parent ends, so a killed supervisor leaves nothing behind."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="launch")
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--death-signal", type=int)
    parser.add_argument("--parent", type=int)
    parser.add_argument("program", nargs="+")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
