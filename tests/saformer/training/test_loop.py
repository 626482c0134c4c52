import math
from dataclasses import replace
from importlib import resources

import pytest
import torch
from torch import Tensor

from saformer.analysis import profile
from saformer.checkpoints import load, save
from saformer.data import Dataset, open_dataset
from saformer.errors import InputError
from saformer.training import Epoch, Progress, Recipe, TrainingResult, evaluate, load_recipe, train
from saformer.training.batches import Batches
from saformer.training.optimiser import build_optimiser, learning_rate

SHIPPED = ("saformer", "spikformer", "sdt")


def _first(split: str, images: int) -> Dataset:
    data = open_dataset("digits", split=split)
    assert data.labels is not None
    return replace(data, images=data.images[:images], labels=data.labels[:images])


def _tiny(**overrides) -> Recipe:
    settings = {"model": "saformer-1-16", "epochs": 2, "batch_size": 32, "warmup_epochs": 1, "time_steps": 2}
    return load_recipe("digits", **{**settings, **overrides})


def _run(images: int = 96, **overrides) -> TrainingResult:
    return train(_tiny(**overrides), _first("train", images), _first("test", 64))


def _weights(result: TrainingResult) -> dict[str, Tensor]:
    return result.model.state_dict()


@pytest.fixture(scope="module")
def watched() -> tuple[TrainingResult, list[Progress], list[Epoch]]:
    """A run of a few seconds, and all that it reported."""
    steps: list[Progress] = []
    epochs: list[Epoch] = []
    recipe = _tiny(model="saformer-1-64", epochs=5, batch_size=16, shift=0, label_smoothing=0)
    train_set, test_set = _first("train", 320), _first("test", 100)
    result = train(recipe, train_set, test_set, on_step=steps.append, on_epoch=epochs.append)
    return result, steps, epochs


def test_layers_whose_silence_blows_gradients_up_are_named() -> None:
    # As in the public code of Meta-SpikeFormer, whose attention does not fire on images as small as these.
    settings = {"widths": (8, 16, 16, 16), "image_size": 8, "in_channels": 1}
    with pytest.raises(
        InputError, match=r"became inf in epoch 1, at step 1 .* block3\.0\.attn\.proj_conv\.0\.body\.1\.bn"
    ):
        _run(32, model="metaspikeformer-15m", time_steps=1, settings=settings)


def test_the_loss_falls_and_the_accuracy_rises(watched) -> None:
    result, _, _ = watched
    first, last = result.history[0], result.history[-1]
    assert last.loss < 0.8 * first.loss
    assert last.accuracy > first.accuracy + 0.2
    assert result.accuracy > 0.25  # guessing gives 0.1


def test_every_step_and_epoch_is_reported(watched) -> None:
    result, steps, epochs = watched
    assert [p.step for p in steps] == list(range(1, 101))
    assert {(p.steps, p.epochs) for p in steps} == {(100, 5)}
    assert [p.epoch for p in steps] == [epoch for epoch in range(1, 6) for _ in range(20)]
    assert tuple(epochs) == result.history
    assert [e.epoch for e in epochs] == list(range(1, 6))
    # The last report of an epoch and the epoch are of the same images.
    assert [(p.loss, p.accuracy, p.learning_rate) for p in steps[19::20]] == [
        (e.loss, e.accuracy, e.learning_rate) for e in epochs
    ]
    assert result.accuracy == epochs[-1].test_accuracy


def test_the_result_is_ready_for_use_and_for_a_checkpoint(watched, tmp_path) -> None:
    result, _, _ = watched
    assert not result.model.training
    path = tmp_path / "m.safetensors"
    save(result.model, path, training=result.details())
    model = load(path)
    assert evaluate(model, _first("test", 100), batch_size=16).top1 == result.accuracy
    training = model.origin.details["training"]
    assert (training["model"], training["epochs"], training["seed"]) == ("saformer-1-64", 5, 0)
    assert (training["dataset"], training["accuracy"]) == ("digits", result.accuracy)
    assert training["seconds"] > 0


@pytest.mark.parametrize("model", ["saformer-1-16", "spikformer-1-16", "sdt-1-16", "vit-1-16"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(model: str) -> None:
    torch.manual_seed(1)
    first = _run(model=model, flip=True)
    torch.manual_seed(2)  # what the caller has drawn before must not matter
    second = _run(model=model, flip=True)
    assert all(torch.equal(tensor, _weights(second)[name]) for name, tensor in _weights(first).items())
    assert [e.loss for e in first.history] == [e.loss for e in second.history]


def test_another_seed_gives_other_weights() -> None:
    first, second = _run(), _run(seed=1)
    assert not torch.equal(_weights(first)["head.weight"], _weights(second)["head.weight"])


def test_the_random_numbers_of_the_caller_are_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    _run()
    assert torch.equal(torch.rand(3), expected)


def test_images_that_are_no_numbers_stop_the_run_with_the_batch_that_held_them() -> None:
    # Spikes hide them: a membrane that is not a number does not fire, and the loss stays finite.
    data = _first("train", 96)
    images = data.images.clone()
    images[17, 0, 3, 3] = math.nan
    seen: list[Progress] = []
    with pytest.raises(InputError) as caught:
        recipe = _tiny(learning_rate=1e-3, shift=0)  # a shift would put the darkest pixel, NaN, at every edge
        train(recipe, replace(data, images=images), _first("test", 64), on_step=seen.append)
    said = str(caught.value)
    step = len(seen) + 1
    assert f"the gradient became nan in epoch 1, at step {step} of 6: " in said and "below 0.001" in said
    named = {int(number) for number in said.partition("training images ")[2].split(", ")}
    assert named == set(Batches(recipe, data, torch.device("cpu")).order(1)[step - 1].tolist())
    assert 17 in named and len(named) == 32


def test_a_loss_that_is_not_finite_is_named_with_its_step() -> None:
    recipe = _tiny(model="vit-1-16", time_steps=1, learning_rate=1e6, warmup_epochs=0)
    with pytest.raises(InputError, match=r"the loss became nan in epoch \d, at step \d of 6: [^\n]*$"):
        train(recipe, _first("train", 96), _first("test", 64))


def test_the_learning_rate_warms_up_and_falls_to_nothing() -> None:
    recipe = _tiny(epochs=10, warmup_epochs=2, learning_rate=1.0)
    rates = [learning_rate(recipe, step, 50) for step in range(50)]
    assert rates[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert rates[10:] == pytest.approx([(1 + math.cos(math.pi * step / 40)) / 2 for step in range(40)])
    assert 0 < rates[-1] < 0.002


def test_the_learning_rate_ends_where_it_was_told_to() -> None:
    recipe = _tiny(epochs=10, warmup_epochs=0, learning_rate=1.0, min_learning_rate=0.2)
    rates = [learning_rate(recipe, step, 50) for step in range(50)]
    assert rates == pytest.approx([0.2 + 0.4 * (1 + math.cos(math.pi * step / 50)) for step in range(50)])


def test_a_run_shorter_than_its_warm_up_ends_inside_it() -> None:
    recipe = _tiny(epochs=1, warmup_epochs=4, learning_rate=1.0)
    assert [learning_rate(recipe, step, 5) for step in range(5)] == pytest.approx([step / 20 for step in range(1, 6)])


def test_weights_decay_and_biases_and_batchnorm_do_not() -> None:
    result = _run(epochs=1)
    decayed, kept = build_optimiser(result.model, _tiny(weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    names = {id(parameter): name for name, parameter in result.model.named_parameters()}
    assert len(names) == len(decayed["params"]) + len(kept["params"])
    assert all("bn" in names[id(p)] or names[id(p)].endswith("bias") for p in kept["params"])
    assert not any("bn" in names[id(p)] or names[id(p)].endswith("bias") for p in decayed["params"])


def test_the_evaluation_leaves_the_model_as_it_was() -> None:
    model = _run(epochs=1).model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    evaluate(model, _first("test", 64))
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_images_without_labels_are_refused() -> None:
    data = _first("train", 64)
    with pytest.raises(InputError, match="digits has no labelled images"):
        train(_tiny(), replace(data, labels=None), data)
    with pytest.raises(InputError, match="digits has no labelled images"):
        train(_tiny(), data, replace(data, labels=None))


def test_images_of_another_data_set_are_refused() -> None:
    data = _first("train", 64)
    with pytest.raises(InputError, match="takes B x 3 x 32 x 32 images"):
        train(replace(_tiny(), dataset="cifar10"), data, data)


@pytest.fixture(scope="module", params=SHIPPED)
def shipped(request):
    """A checkpoint of the package: its path and model, and its accuracy and profile on the held-out fifth."""
    with resources.as_file(resources.files("saformer.checkpoints") / "digits" / f"{request.param}.safetensors") as path:
        model = load(path)
        batches = open_dataset("digits", split="test").batches(90)
        accuracy = evaluate(model, open_dataset("digits")).top1
        return path, model, accuracy, profile(model, batches, check_flops=False)


def test_shipped_checkpoints_are_small_and_reach_97_percent_on_the_held_out_fifth(shipped) -> None:
    path, _, accuracy, measured = shipped
    assert path.stat().st_size < 1_000_000
    assert accuracy >= 0.97
    assert measured.hits.top1 / measured.hits.labelled == pytest.approx(accuracy, abs=1 / 360)


def test_shipped_checkpoints_say_how_they_were_trained_and_with_the_shipped_recipe(shipped) -> None:
    path, model, accuracy, _ = shipped
    training = dict(model.origin.details["training"])
    recipe = load_recipe("digits", model=f"{path.stem}-2-64", seed=0)  # no option but --model
    assert Recipe.from_stored(training) == recipe
    assert model.config == recipe.model_config()
    # Another processor may round a spike across the threshold; one image of 360 is room for that.
    assert training["accuracy"] == pytest.approx(accuracy, abs=1.5 / 360)


def test_no_layer_of_the_shipped_checkpoints_is_silent_or_saturated(shipped) -> None:
    *_, measured = shipped
    rates = {neurons.name: neurons.spikes / neurons.elements for neurons in measured.neurons}
    assert rates
    assert {name: rate for name, rate in rates.items() if not 0.005 < rate < 0.9} == {}


def test_a_compiler_that_fails_is_told_in_one_line(monkeypatch) -> None:
    from torch._dynamo.exc import BackendCompilerFailed

    def failing(model):
        def call(inputs):
            raise BackendCompilerFailed(failing, RuntimeError("no\ncompiler"), None)

        return call

    monkeypatch.setattr(torch, "compile", failing)
    with pytest.raises(InputError, match=r"torch.compile failed: [^\n]*: leave out --compile"):
        _run(compile=True)
