"""The training loop: one step after another, each decided by the recipe and the position in the run alone."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from saformer.data.dataset import Dataset
from saformer.distributed import total, world_size
from saformer.errors import InputError, Stopped, brief
from saformer.models import Model
from saformer.training.batches import Batches, labels_of
from saformer.training.evaluation import evaluate
from saformer.training.faults import gradient_fault
from saformer.training.folder import RunFolder
from saformer.training.metrics import Epoch, Progress, extreme_layers, extremes_text
from saformer.training.optimiser import learning_rate
from saformer.training.parallel import share_gradients
from saformer.training.recipe import Recipe
from saformer.training.state import Position, RunState, data_sha256, first_model

_TYPES = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}
# A loss scaled by so little, from 65536, and still not finite: the numbers are, not their range.
_LEAST_SCALE = 2.0**-14


@dataclass(frozen=True)
class TrainingResult:
    """A trained model and how it came to be.

    Args:
        model: in evaluation mode, with the weights (or their running mean) after the last epoch.
        recipe: what was followed.
        history: one entry per epoch.
        accuracy: on the test set after the last epoch; no epoch is picked by it.
        training: what a checkpoint keeps about the run, ready for JSON.
    """

    model: Model
    recipe: Recipe
    history: tuple[Epoch, ...]
    accuracy: float
    training: dict[str, Any]

    def details(self) -> dict[str, Any]:
        """What a checkpoint keeps about the run, ready for JSON."""
        return dict(self.training)


class _Learner:
    """Takes steps: from a batch of images to other weights."""

    def __init__(self, state: RunState, batches: Batches) -> None:
        self.state, self.batches, self.recipe = state, batches, state.recipe
        self.steps = self.recipe.epochs * batches.per_epoch
        self.type = _TYPES[self.recipe.autocast]
        called = share_gradients(state.model, state.device)
        self.called: Any = torch.compile(called) if self.recipe.compile else called

    def step(self, chosen: Tensor, coming: Iterator[tuple[Tensor, Tensor]], stop: bool) -> bool:
        """Learn from the images `chosen`; whether any process wants to stop, as this one does where `stop` is true.

        Args:
            chosen: indices of the batch, the share of other processes included.
            coming: gives the inputs and targets of each part of this process's share (see `Batches.ahead`).
            stop: whether this process wants to stop.

        Raises:
            InputError: the loss or the gradient is not finite.
        """
        state, recipe, position = self.state, self.recipe, self.state.position
        rate = learning_rate(recipe, position.step, self.steps)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        with _compiler_errors():
            loss, right = self._gradients(len(chosen), coming)
        labels = len(chosen) * self.batches.labels_each
        state.scaler.unscale_(state.optimiser)
        gradients = [p.grad for p in state.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        found = torch.stack([loss, right, loss.new_tensor(float(stop))])
        loss_sum, correct, stops = total(found).tolist()
        # The loss alone would not tell: a membrane that is not a number fires no spike, and the silent network
        # behind it has a perfectly finite loss.
        self._check("loss", loss_sum / labels, chosen)
        if not state.scaler.is_enabled() or state.scaler.get_scale() < _LEAST_SCALE:
            self._check("gradient", norm.item(), chosen, lambda: gradient_fault(state.model, self._inputs(chosen)))
        if recipe.clip_gradient:
            torch.nn.utils.clip_grads_with_norm_(state.model.parameters(), recipe.clip_gradient, norm)
        state.scaler.step(state.optimiser)
        state.scaler.update()
        if state.mean is not None:
            state.mean.update_parameters(state.model)
        position.step += 1
        position.batch += 1
        position.images += labels
        position.right += int(correct)
        position.loss += loss_sum
        return stops > 0

    def _gradients(self, count: int, coming: Iterator[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Put the gradient of the mean loss in place; its sum and right answers in this share of the images."""
        state = self.state
        loss, right = torch.zeros(2, device=state.device)
        state.optimiser.zero_grad()
        parts, labels = len(self.batches.shares(count)), count * self.batches.labels_each
        for part, (inputs, targets) in enumerate(islice(coming, parts), start=1):
            if self.recipe.channels_last and inputs.ndim == 4:
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            # Gradients travel once per step, with the last part.
            with nullcontext() if part == parts or world_size() == 1 else self.called.no_sync():
                with torch.autocast(state.device.type, self.type, enabled=self.type is not None):
                    scores = self.called(inputs).flatten(0, -2)  # a row for each label
                targets = targets.flatten(0, -2)
                losses = F.cross_entropy(scores.float(), targets, reduction="sum")
                # The mean over processes, which DistributedDataParallel takes, times their number is the sum.
                state.scaler.scale(losses * (world_size() / labels)).backward()
            loss += losses.detach()
            right += (scores.argmax(1) == targets.argmax(1)).sum()
        return loss, right

    def _inputs(self, chosen: Tensor) -> Tensor:
        """This process's first share of a batch, as the network takes it."""
        start, stop = self.batches.shares(len(chosen))[0]
        return self.batches.inputs(chosen, self.state.position.step, start, stop)[0]

    def _check(self, name: str, value: float, chosen: Tensor, why: Callable[[], str] = lambda: "") -> None:
        if not math.isfinite(value):
            position = self.state.position
            images = ", ".join(map(str, sorted(chosen.tolist())))
            unit, lower = self.batches.unit, f"try a learning rate below {self.recipe.learning_rate:g}"
            advice = lower if unit == "sequences" else f"check that the images are finite, or {lower}"
            raise InputError(
                f"the {name} became {value} in epoch {position.epoch}, at step {position.step + 1} of {self.steps}: "
                f"{(why() if math.isinf(value) else '') or advice}; it was learning from the training {unit} {images}"
            )


@contextmanager
def _compiler_errors() -> Iterator[None]:
    """Say in one line what a compiler may fail with, forwards or backwards, on the first batch of a shape."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        raise InputError(f"torch.compile failed: {brief(error)}: leave out --compile") from None


def train(
    recipe: Recipe,
    train_set: Dataset,
    test_set: Dataset,
    *,
    device: str | torch.device = "cpu",
    folder: RunFolder | None = None,
    on_step: Callable[[Progress], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> TrainingResult:
    """Train the recipe's model, from scratch or from where the run in the folder stands.

    On a CPU, the same recipe with the same number of threads gives the same weights to the last bit, however often the
    run was interrupted. With several processes (which must have joined, see `saformer.distributed`), each takes its
    share of every batch, and the steps are the same to rounding. The random numbers of the caller are left alone.

    Args:
        recipe: what to train, and how.
        train_set: images and labels to learn from.
        test_set: images and labels to test on after each epoch.
        device: where to train.
        folder: keeps the run on disk; without one, nothing is written.
        on_step: called after each step.
        on_epoch: called after each epoch and its test.
        on_warning: called with a line about layers of neurons that became silent or saturated.
        stop: asked after each step whether to stop.

    Raises:
        InputError: the model or the data do not fit, the folder holds another run or the last checkpoint cannot be
            written, or the loss or a gradient is not finite.
        Stopped: because `stop` said so; the folder then holds a checkpoint of that step.
    """
    try:
        return _train(recipe, train_set, test_set, torch.device(device), folder, on_step, on_epoch, on_warning, stop)
    finally:
        if folder is not None:
            folder.release()


def _train(
    recipe: Recipe,
    train_set: Dataset,
    test_set: Dataset,
    device: torch.device,
    folder: RunFolder | None,
    on_step: Callable[[Progress], None] | None,
    on_epoch: Callable[[Epoch], None] | None,
    on_warning: Callable[[str], None] | None,
    stop: Callable[[], bool],
) -> TrainingResult:
    labels_of(test_set)
    batches = Batches(recipe, train_set, device)
    state = RunState(recipe, data_sha256(train_set), device)
    if folder is not None:
        folder.begin(recipe)
        folder.restore(state)
    learner = _Learner(state, batches)
    named: set[str] = extreme_layers(state.history[-1].firing_rates) if state.history else set()
    while state.position.epoch <= recipe.epochs:
        start = time.perf_counter() - state.position.seconds
        state.model.train()
        order = batches.order(state.position.epoch)[state.position.batch :]
        with closing(batches.ahead(order, state.position.step)) as coming:
            for chosen in order:
                stopping = learner.step(chosen, coming, stop())
                state.position.seconds = time.perf_counter() - start
                if on_step is not None:
                    on_step(_progress(state.position, recipe, learner.steps))
                if stopping:
                    _stop(state, folder, learner.steps)
                if folder is not None and folder.due(state.position.step):
                    folder.save(state)
        epoch = _test(state, test_set, learner.steps, start)
        state.history.append(epoch)
        state.position = Position(epoch=epoch.epoch + 1, step=state.position.step)
        if folder is not None:
            folder.epoch_done(state)
        if on_epoch is not None:
            on_epoch(epoch)
        extreme = extreme_layers(epoch.firing_rates)
        if on_warning is not None and (new := {k: v for k, v in epoch.firing_rates.items() if k in extreme - named}):
            on_warning(f"after epoch {epoch.epoch}, {extremes_text(new)}")
        named = extreme
    model = first_model(recipe).to(device)
    model.load_state_dict(state.network.state_dict())
    return TrainingResult(model.eval(), recipe, tuple(state.history), state.history[-1].test_accuracy, state.details())


def _progress(position: Position, recipe: Recipe, steps: int) -> Progress:
    seen = position.images
    rate = learning_rate(recipe, position.step - 1, steps)
    return Progress(
        position.epoch, recipe.epochs, position.step, steps, position.loss / seen, position.right / seen, rate
    )


def _test(state: RunState, test_set: Dataset, steps: int, start: float) -> Epoch:
    progress = _progress(state.position, state.recipe, steps)
    # Parts of batches may be smaller than batches, for memory; so are those of the test.
    size = max(state.recipe.batch_size // state.recipe.accumulate, 1)
    found = evaluate(state.network, test_set, batch_size=size, device=state.device)
    return Epoch(
        epoch=progress.epoch,
        epochs=progress.epochs,
        loss=progress.loss,
        accuracy=progress.accuracy,
        test_loss=found.loss,
        test_accuracy=found.top1,
        learning_rate=progress.learning_rate,
        seconds=time.perf_counter() - start,
        firing_rates=found.firing_rates,
    )


def _stop(state: RunState, folder: RunFolder | None, steps: int) -> None:
    where = f"stopped after step {state.position.step} of {steps}"
    if folder is None:
        raise Stopped(f"{where}; nothing was written")
    folder.save(state, must=True)
    total(torch.zeros(1))  # nobody leaves before the checkpoint is written
    raise Stopped(f"{where}; the same command goes on from there (run: {folder.path})")
