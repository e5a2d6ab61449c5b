"""How far a stream is for certain, whatever order its acknowledgements come in."""

from hypothesis import given
from hypothesis import strategies as st

from services.command.ledger import Ledger


@given(st.lists(st.sampled_from(["open", "acknowledged", "withdrawn"]), max_size=30), st.randoms())
def test_a_stream_has_reached_its_first_open_record(states: list[str], random: object) -> None:
    """Everything before the mark is settled, and the record at the mark is not."""
    ledger: Ledger[int] = Ledger()
    tickets = [ledger.hand_over(number) for number in range(len(states))]
    order = list(zip(tickets, states, strict=True))
    random.shuffle(order)  # type: ignore[attr-defined]
    for ticket, state in order:
        if state == "acknowledged":
            ledger.acknowledge(ticket, ticket % 3, 10 + ticket)
        elif state == "withdrawn":
            ledger.withdraw(ticket)
    expected = states.index("open") if "open" in states else len(states)
    assert ledger.reached(len(states)) == expected
    assert (ledger.open, ledger.acknowledged) == (states.count("open"), states.count("acknowledged"))


def test_offsets_are_those_behind_the_last_acknowledgement() -> None:
    """Of each partition the greatest; a record that was acknowledged once does not count again."""
    ledger: Ledger[None] = Ledger()
    first, second, third = (ledger.hand_over(None) for _ in range(3))
    ledger.acknowledge(second, 0, 8)
    ledger.acknowledge(first, 0, 7)
    ledger.acknowledge(third, 2, 1)
    ledger.acknowledge(third, 2, 9)
    assert (ledger.offsets, ledger.acknowledged) == ({0: 8, 2: 1}, 3)
