"""The plan of a run: which stages may have changed, in which order they start, and what each needs.

Stages and needs come from DVC's own graph, which it derives from the `deps` and `outs` in dvc.yaml.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

PIPELINE = "dvc.yaml"
Needs = Mapping[str, Collection[str]]  # name of a stage -> names of the stages whose outputs it reads


@dataclass(frozen=True)
class Plan:
    """The stages to run."""

    needs: dict[str, tuple[str, ...]]  # stage -> those of its needs that are to run too; in the order of their starts
    unchanged: tuple[str, ...]  # stages with nothing to do


def read_plan() -> Plan:
    """Ask DVC for the stages that `dvc repro` would look at, and leave out those with nothing to do.

    Raises
    ------
    dvc.exceptions.DvcException
        If DVC cannot read the pipeline.
    """
    from dvc.repo import Repo  # its import takes a while

    with Repo(_wait_for_lock=True) as repo:  # as `dvc --wait-for-lock` opens it
        stages, graph = repo.index.stages, repo.index.graph
        needs = {
            stage.addressing: () if stage.frozen else tuple(other.addressing for other in graph.successors(stage))
            for stage in stages
        }
        targets = [stage.addressing for stage in stages if stage.path_in_repo == PIPELINE]
        changed = repo.status(check_updates=False)  # no look at the sources of imported data
    return make_plan(needs, targets, changed)


def make_plan(needs: Needs, targets: Collection[str], changed: Collection[str]) -> Plan:
    """Plan the targets and all that they need; only changed stages, and stages that need one of them, run.

    Parameters
    ----------
    needs : all stages, in the order of dvc.yaml
    targets, changed : names of stages
    """
    first_to_last = tuple(TopologicalSorter(needs).static_order())
    wanted, stale = set(targets), set()
    for name in reversed(first_to_last):
        wanted.update(needs[name] if name in wanted else ())
    for name in first_to_last:
        if name in wanted and (name in changed or not stale.isdisjoint(needs[name])):
            stale.add(name)
    return Plan(
        {name: tuple(filter(stale.__contains__, needs[name])) for name in by_longest_chain(needs) if name in stale},
        tuple(name for name in needs if name in wanted - stale),
    )


def by_longest_chain(needs: Needs) -> list[str]:
    """Sort stages by the number of stages in the longest chain that depends on them, the longest first.

    This is list scheduling by critical path. Among equals the last in dvc.yaml comes first: it lists the sizes of the
    learning curve last, and these in increasing order, so the longest trainings start before the short ones. Stages
    are counted, not their seconds in an earlier run: a simulation of the shipped pipeline ended no sooner with those.
    """
    after = dict.fromkeys(needs, 0)
    for name in reversed(tuple(TopologicalSorter(needs).static_order())):
        for other in needs[name]:
            after[other] = max(after[other], after[name] + 1)
    return sorted(reversed(needs), key=lambda name: -after[name])
