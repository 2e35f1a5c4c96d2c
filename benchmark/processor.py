"""What a process sets before it computes on CPU."""

from __future__ import annotations

import ctypes
import sys

import torch

from credbench import environment

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_KEPT = 2**25


def settle() -> None:
    """Set the threads, how tiny numbers are taken, and that freed memory is kept for reuse.

    All of it changes speed alone, but for numbers below 1e-38, which count as zero, and for
    convolutions on CUDA, which are those of float32.
    """
    torch.set_num_threads(environment.threads())
    # Adam's moments of weights that have had no gradient for some 800 steps sink below the
    # smallest normal number, where a processor takes several times as long.
    torch.set_flush_denormal(True)
    # What is recorded as float32 is: torch would let convolutions on CUDA drop 13 bits of it.
    torch.backends.cudnn.allow_tf32 = False
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Let freed arrays be reused; given back, each would be mapped and cleared at every step.

    At 32 layers of 256 that costs a tenth of the step. Only glibc is asked.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEPT)
        mallopt(_M_TRIM_THRESHOLD, 16 * _KEPT)
