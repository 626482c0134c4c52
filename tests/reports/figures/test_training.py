from itertools import pairwise
from pathlib import Path

import pytest

from saformer.errors import InputError
from saformer.reports.figures.saving import save_figure
from saformer.reports.figures.training import training_figure
from saformer.training import Epoch

LAYERS = ("patch_embed.proj_lif", "block.0.attn.q_lif", "head_lif")


def _history(epochs: int = 6) -> list[Epoch]:
    return [
        Epoch(
            epoch=epoch,
            epochs=epochs,
            loss=2.3 / epoch,
            accuracy=1 - 0.9 / epoch,
            test_loss=2.4 / epoch,
            test_accuracy=1 - 0.95 / epoch,
            learning_rate=1e-3 / epoch,
            seconds=2.0,
            firing_rates=dict(zip(LAYERS, (0.1 / epoch, 0.0 if epoch == 1 else 0.2, 0.99), strict=True)),
        )
        for epoch in range(1, epochs + 1)
    ]


def test_the_curves_are_the_numbers_with_units_and_names() -> None:
    history = _history()
    loss, accuracy, rate, layers, bar = training_figure(history).axes
    epochs = [1, 2, 3, 4, 5, 6]
    plotted = {(axes.get_ylabel(), line.get_label()): line for axes in (loss, accuracy, rate) for line in axes.lines}
    expected = {
        ("Loss (nats)", "training"): [e.loss for e in history],
        ("Loss (nats)", "test"): [e.test_loss for e in history],
        ("Accuracy (%)", "training"): [100 * e.accuracy for e in history],
        ("Accuracy (%)", "test"): [100 * e.test_accuracy for e in history],
        ("Learning rate ($10^{-3}$)", "learning rate"): [e.learning_rate for e in history],
    }
    assert plotted.keys() == expected.keys()
    for key, values in expected.items():
        assert list(plotted[key].get_xdata()) == epochs and list(plotted[key].get_ydata()) == pytest.approx(values)
    assert {axes.get_xlabel() for axes in (loss, accuracy, rate, layers)} == {"Epoch"}
    assert bar.get_ylabel() == "Firing rate (%)"
    # Training and test differ in more than colour.
    assert len({line.get_linestyle() for line in loss.lines}) == 2


def test_the_map_has_a_row_for_each_layer_and_marks_the_extremes() -> None:
    history = _history()
    layers = training_figure(history).axes[3]
    assert [label.get_text() for label in layers.get_yticklabels()] == list(LAYERS)
    shown = layers.images[0].get_array()
    for row, layer in enumerate(LAYERS):
        assert list(shown[row]) == pytest.approx([100 * e.firing_rates[layer] for e in history])
    (crosses,) = layers.lines
    marked = set(zip(crosses.get_xdata(), crosses.get_ydata(), strict=True))
    assert marked == {(1, 1), *((epoch, 2) for epoch in range(1, 7))}


@pytest.mark.parametrize("epochs", [1, 2, 400])
def test_any_number_of_epochs_is_drawn_and_the_names_do_not_touch(epochs: int, tmp_path: Path) -> None:
    figure = training_figure(_history(epochs))
    save_figure(figure, tmp_path / "c.png")
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[3].get_yticklabels()]
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(boxes))


def test_a_network_without_neurons_has_curves_alone() -> None:
    history = [Epoch(**{**vars(epoch), "firing_rates": {}}) for epoch in _history(2)]
    assert len(training_figure(history).axes) == 3


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(InputError, match="no epoch is done yet"):
        training_figure([])
