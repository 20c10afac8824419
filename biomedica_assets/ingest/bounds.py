"""What keeps the memory of a process with many fetching threads flat, whatever the articles hold.

Many threads wait for the network at the same time; few may hold a parsed tree or a decoded picture. What does not
belong here: the budget of bytes fetched ahead (`pmc.prefetch`).
"""

from __future__ import annotations

import contextlib
import ctypes
import threading

AT_WORK = threading.BoundedSemaphore(2)
"""Held while parsing or decoding: one thread has the interpreter, another may be in a C library meanwhile."""

_M_ARENA_MAX = -8  # malloc.h


def share_arenas() -> None:
    """Let all threads share two arenas of glibc's malloc; nothing elsewhere. Call it first of all:
    once a process has had more than eight arenas it comes too late.

    By default each thread gets its own, up to 8 per core, and what one article leaves unused there is of no use to
    the others: 32 threads then keep some 400 MB that nobody holds.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)
