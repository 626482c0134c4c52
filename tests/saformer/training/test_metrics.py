from pathlib import Path

import pytest

from saformer.errors import InputError
from saformer.training import Epoch, read_metrics
from saformer.training.metrics import extreme_layers, extremes_text, metrics_text

HISTORY = (
    Epoch(1, 2, 2.5, 0.1, 2.25, 0.125, 1e-3, 1.5, {"stem_lif": 0.1, "block.0.lif": 0.0}),
    Epoch(2, 2, 1 / 3, 0.7, 0.1, 0.75, 1e-5, 1.25, {"stem_lif": 1 / 7, "block.0.lif": 0.97}),
)


def test_the_table_is_read_back_to_the_last_bit(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(metrics_text(HISTORY))
    assert read_metrics(path) == HISTORY
    header = path.read_text().splitlines()[0].split(",")
    assert header[-2:] == ["firing_rate.stem_lif", "firing_rate.block.0.lif"]
    assert {"epoch", "loss", "accuracy", "test_accuracy", "learning_rate", "seconds"} < set(header)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epoch,epochs\n1,2\n", "line 2: the column 'loss' is missing"),
        (metrics_text(HISTORY).replace("2.5", "much"), "line 2: could not convert string to float: 'much'"),
        (metrics_text(HISTORY)[:-60], "line 3: "),
    ],
)
def test_a_table_that_is_none_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_metrics(path)
    assert f"{path}, {said}" in str(caught.value) and "\n" not in str(caught.value)


def test_silent_and_saturated_layers_are_named_and_no_others() -> None:
    rates = {"a": 0.0, "b": 0.0009, "c": 0.001, "d": 0.95, "e": 0.951, "f": 0.3}
    assert extreme_layers(rates) == {"a", "b", "e"}
    assert extremes_text(rates) == "silent (firing rate below 0.1%): a, b; saturated (firing rate above 95%): e"
    assert extremes_text({"f": 0.3}) == ""
