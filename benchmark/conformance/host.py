"""Whether a step reads a value back to the host, which no captured step can do.

The step is taken with tensors that have shapes and no values: whatever asks for a value fails.
"""

from __future__ import annotations

from credbench.conformance.probe import Probe, probes
from credbench.conformance.result import Result, raised
from credbench.conformance.subject import Subject
from credbench.tracing import where

_READS = ("item()", "copy out of meta", "convert meta", "nonzero", "repeat_interleave")
_OPERATORS = ("aten::equal", "aten::_unique", "aten::unique", "aten::bincount", "aten::histc")
"""What torch says where a value, or a shape that depends on values, is asked for."""


def no_host_reads(subject: Subject) -> Result:
    """Check every phase; a learner that says it cannot be captured may read what it likes."""
    if not subject.trial.algorithm.capabilities.capturable:
        return Result(skipped="declared with capturable=False")
    results = [_look(probe) for probe in probes(subject)]
    said = [each for found in results for each in found.complaints]
    skipped = next((found.skipped for found in results if found.skipped), "")
    return Result(list(dict.fromkeys(said)), skipped=skipped)


def _look(probe: Probe) -> Result:
    probe.learn()  # what it makes once, it makes of values
    bare = probe.changed(lambda each: each.to("meta"))
    try:
        bare.learn()
    except Exception as error:
        text = str(error)
        if "is not on the expected device" in text:
            return Result([_ELSEWHERE.format(where(error))])
        if any(each in text for each in (*_READS, *_OPERATORS)):
            return Result([_READ.format(where(error))])
        return Result(skipped=f"torch cannot tell without values: {raised(error)}")
    return Result()


_READ = (
    "updates reads a value back to the host at {}; keep it a tensor (torch.where, clamp, a "
    "multiplication by a condition) or declare Capabilities(capturable=False)"
)
_ELSEWHERE = (
    "updates makes a tensor on the CPU, whatever device the batch is on, at {}; give it "
    "device=step.x.device"
)
