"""The faults of a run: the same from the same seed, and of every kind."""

from itertools import pairwise

import pytest

from tests.chaos.plan import AIMED, OF_THE_STACK, SERVICES, SESSION, TARGETS, Kind, drawn


def test_a_seed_draws_the_same_faults_again() -> None:
    """And another seed draws others."""
    assert drawn(7, 600) == drawn(7, 600)
    assert drawn(7, 600) != drawn(8, 600)
    assert drawn(7, 600)[: len(drawn(7, 60))] == drawn(7, 60)


@pytest.mark.parametrize("seed", range(20))
def test_every_kind_of_fault_and_every_process_has_its_turn(seed: int) -> None:
    """Within a few minutes, a few seconds apart, and never before its time."""
    faults = drawn(seed, 300)
    assert {fault.kind for fault in faults} == set(Kind)
    assert {fault.target for fault in faults if fault.kind in AIMED} == set(TARGETS)
    assert all(fault.seconds > SESSION for fault in faults if fault.kind is Kind.FREEZE)
    assert all(len(fault.scale) == len(SERVICES) for fault in faults if fault.kind in OF_THE_STACK)
    assert all(1.5 < later.at - sooner.at < 4.5 for sooner, later in pairwise(faults))


@pytest.mark.parametrize("seed", range(20))
def test_a_minute_has_a_fault_of_the_whole_stack(seed: int) -> None:
    """So that every run of the suite has one."""
    assert any(fault.kind in OF_THE_STACK for fault in drawn(seed, 60))
