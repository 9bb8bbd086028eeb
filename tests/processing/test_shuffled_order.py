import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.shuffled_order import ShuffledOrder


def rows_at(order: ShuffledOrder, sizes: list[int]) -> list[tuple[int, int]]:
    """Return the group, and the row within it, at each position."""
    found = []
    for position in range(sum(sizes)):
        lane, window, row = order.locate(position)
        for group in order.groups(lane, window):
            if row < sizes[group]:
                found.append((group, row))
                break
            row -= sizes[group]
    return found


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=20),
    st.integers(1, 7),
    st.integers(1, 4),
    st.integers(1, 30),
    st.integers(0, 3),
)
def test_no_row_is_lost_or_comes_twice(sizes: list[int], batch_size: int, lanes: int, buffer: int, epoch: int) -> None:
    order = ShuffledOrder(sizes, batch_size, lanes, buffer, 0, epoch)
    expected = [(group, row) for group, size in enumerate(sizes) for row in range(size)]
    assert sorted(rows_at(order, sizes)) == expected


def test_each_epoch_and_seed_has_an_order_and_any_copy_knows_it() -> None:
    sizes = [10] * 6
    orders = {(seed, epoch): ShuffledOrder(sizes, 4, 2, 20, seed, epoch) for seed in (0, 1) for epoch in (0, 1)}
    found = {key: tuple(rows_at(order, sizes)) for key, order in orders.items()}
    assert len(set(found.values())) == 4
    again = pickle.loads(pickle.dumps(orders[1, 1]))
    assert tuple(rows_at(again, sizes)) == found[1, 1]


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_a_worker_reads_its_own_groups_only(lanes: int) -> None:
    sizes, batch_size = [10] * 30, 5
    order = ShuffledOrder(sizes, batch_size, lanes, 20, 0, 0)
    found = rows_at(order, sizes)
    groups: list[set[int]] = [set() for _ in range(lanes)]
    for position, (group, _) in enumerate(found):
        groups[position // batch_size % lanes].add(group)
    assert all(not first & second for index, first in enumerate(groups) for second in groups[:index])
    # Rows of at least two groups are mixed.
    assert len({group for group, _ in found[:batch_size]}) > 1 or len({group for group, _ in found[:15]}) > 1
