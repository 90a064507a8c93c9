"""Versions of the programs that make numbers: raise one with every change of numbers.

A cell holds the versions of the programs it needs. A sweep computes a stored cell
again where one was raised since, and nothing reads the old numbers.
"""

from collections.abc import Mapping
from typing import Any

VERSIONS = {
    "descent": 1,  # of students: initial weights, steps, when a run ends
    "sampling": 1,  # of global minima
    "leftovers": 1,  # of minima of any width, and their paths
    "matching": 1,  # of students, by any name
    "measures": 1,  # of students and of their paths
    "merging": 1,  # of students: the mean of many, and centres
    "sharpness": 1,  # of students, beside their cells
    "training": 2,  # of networks
    "alignment": 1,  # of networks
    "evaluation": 1,  # of networks and of their paths
}
NETWORKS = {"training", "alignment", "evaluation"}


def of(*programs: str) -> dict[str, int]:
    """The versions of programs.

    >>> of("descent").keys()
    dict_keys(['descent'])
    """
    return {name: VERSIONS[name] for name in programs}


def outdated(parameters: Mapping[str, Any]) -> str:
    """Which programs that made a cell were raised since, in words; empty for none.

    Cells from before there were versions count as made by the first of all that are
    for students, or for networks.

    >>> outdated({"k": 2, "versions": {"descent": 0}})
    'descent 0, now 1'
    """
    network = "architecture" in parameters
    first = {name: 1 for name in VERSIONS if (name in NETWORKS) == network}
    made = parameters.get("versions", first)
    return ", ".join(
        f"{name} {version}, now {VERSIONS.get(name, 'gone')}"
        for name, version in made.items()
        if version != VERSIONS.get(name)
    )
