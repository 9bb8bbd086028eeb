import pytest
import torch

from benchmarks.text_cache import build, compare, make_batch, stepper, summary


@pytest.mark.parametrize("frozen", [2, 1])
def test_both_ways_are_timed(frozen: int) -> None:
    found = compare(width=32, layers=2, frozen=frozen, rows=3, turns=2)
    low, high = found["range"]
    assert found["frozen_layers"] == frozen and 0 < low <= found["times_as_fast"] <= high


def test_a_step_trains_what_is_not_frozen() -> None:
    model = build(width=32, layers=2, frozen=1)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    stepper(model, make_batch(3))()
    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    layers = [f"text.tower.model.encoder.layer.{number}.output.dense.weight" for number in range(2)]
    assert [name in moved for name in layers] == [False, True]


def test_ratios_are_of_pairs() -> None:
    found = summary([2.0, 3.0, 10.0], [1.0, 1.0, 2.0])
    assert (found["times_as_fast"], found["range"]) == (3.0, [2.0, 5.0])
