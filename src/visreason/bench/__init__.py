"""Benchmarks as data, and the figures of models on them: scored as their authors do, or by a judge, never mixed."""

import importlib

from visreason.bench.kind import Bench
from visreason.errors import UsageError
from visreason.names import imported, unknown

BENCHES = {
    "counting": "visreason.bench.counting",
    "dynamath": "visreason.bench.dynamath",
    "flat": "visreason.bench.flat",
    "geometry3k": "visreason.bench.geometry3k",
    "logicvista": "visreason.bench.logicvista",
    "mathverse": "visreason.bench.mathverse",
    "mathvision": "visreason.bench.mathvision",
    "mathvista": "visreason.bench.mathvista",
    "mmmu": "visreason.bench.mmmu",
    "mmmu_pro": "visreason.bench.mmmu_pro",
    "olympiadbench": "visreason.bench.olympiadbench",
    "r1_onevision_bench": "visreason.bench.r1_onevision_bench",
    "rewardbench": "visreason.bench.rewardbench",
    "vl_rewardbench": "visreason.bench.vl_rewardbench",
    "wemath": "visreason.bench.wemath",
}
"""Every benchmark by name, and the file that holds it as `BENCH`."""


def bench(name: str) -> Bench:
    """The benchmark of that name, or the object at `module:object`. Raises UsageError with the nearest name."""
    if name in BENCHES:
        return importlib.import_module(BENCHES[name]).BENCH
    if ":" not in name:
        raise unknown("benchmark", name, [*BENCHES, "opencompass", "module:object"])
    found = imported("benchmark", name)
    if not isinstance(found, Bench):
        raise UsageError(f"expected a visreason.bench.kind.Bench at {name!r}, found {type(found).__name__}")
    return found
