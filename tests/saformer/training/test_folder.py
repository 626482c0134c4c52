import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from saformer import load
from saformer.data import open_dataset
from saformer.errors import InputError, Stopped
from saformer.training import Epoch, Recipe, RunFolder, TrainingResult, load_recipe, read_metrics, train

IMAGES = 50  # 3 batches of 20, 20 and 10 images


class _Pulled(Exception):
    """The plug."""


@pytest.fixture
def run(digits, small, tmp_path) -> Callable[..., TrainingResult]:
    """A small run in a folder: 6 steps, pulled out of the socket after step `until` if that is given."""

    def run(
        name: str = "run", until: int | None = None, recipe: Recipe | None = None, steps: int = 1, **options
    ) -> TrainingResult:
        def pull(progress) -> None:
            if progress.step == until:
                raise _Pulled

        folder = RunFolder(tmp_path / name, steps=steps, minutes=0, **options)
        return train(recipe or small(), digits("train", IMAGES), digits("test", 30), folder=folder, on_step=pull)

    return run


def _same(first: TrainingResult, second: TrainingResult) -> bool:
    mine, others = first.model.state_dict(), second.model.state_dict()
    return all(torch.equal(t, others[k]) for k, t in mine.items() if not k.endswith("num_batches_tracked"))


def _told(history: tuple[Epoch, ...]) -> list[tuple]:
    # The layers as a list: in the order of the network after a restart, too.
    return [(e.epoch, e.loss, e.accuracy, e.test_loss, e.test_accuracy, [*e.firing_rates.items()]) for e in history]


@pytest.mark.parametrize(
    "overrides",
    [{}, {"ema": 0.9, "accumulate": 3, "clip_gradient": 0.1, "mixup": 0.5, "autocast": "bf16"}],
    ids=["plain", "everything"],
)
def test_a_run_that_is_cut_off_after_any_step_ends_with_the_same_weights(run, small, overrides: dict) -> None:
    recipe = small(**overrides)
    undisturbed = run("whole", recipe=recipe)
    for step in (1, 2, 3, 4, 6):
        # A checkpoint after every other step: what came after it is done again.
        with pytest.raises(_Pulled):
            run(f"cut{step}", until=step, recipe=recipe, steps=2)
        resumed = run(f"cut{step}", recipe=recipe, steps=2)
        assert _same(resumed, undisturbed)
        assert _told(resumed.history) == _told(undisturbed.history)


def test_a_finished_run_is_not_trained_further(run, tmp_path) -> None:
    first = run()
    before = (tmp_path / "run" / "best.safetensors").read_bytes()
    second = run(until=1)  # there is no step to pull the plug at
    assert _same(first, second)
    assert (tmp_path / "run" / "best.safetensors").read_bytes() == before


def test_the_folder_holds_recipe_table_last_checkpoints_and_best_network(run, small, tmp_path) -> None:
    result = run(keep=3)
    folder = tmp_path / "run"
    assert {entry.name for entry in folder.iterdir()} == {
        "recipe.toml",
        "metrics.csv",
        "best.safetensors",
        *(f"last-{step:08d}.safetensors" for step in (4, 5, 6)),
    }
    assert load_recipe(file=folder / "recipe.toml") == small()
    assert _told(read_metrics(folder / "metrics.csv")) == _told(result.history)
    best = load(folder / "best.safetensors")
    training = best.origin.details["training"]
    assert training["accuracy"] == max(epoch.test_accuracy for epoch in result.history)
    assert Recipe.from_stored(training) == small()
    assert len(training["data_sha256"]) == 64


def test_every_checkpoint_is_a_network_that_can_be_loaded(run, tmp_path, small) -> None:
    result = run(recipe=small(ema=0.5))
    last = load(tmp_path / "run" / "last-00000006.safetensors")
    expected = result.model.state_dict()
    found = {k: v for k, v in last.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert found and all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


def test_another_recipe_in_the_same_folder_is_told_what_differs(run, small, tmp_path) -> None:
    run(until=None)
    before = {entry: entry.read_bytes() for entry in (tmp_path / "run").iterdir()}
    with pytest.raises(
        InputError, match=r"holds another run, with epochs 2 \(now 3\), flip false \(now true\): "
    ) as caught:
        run(recipe=small(epochs=3, flip=True))
    assert "--out" in str(caught.value)
    assert {entry: entry.read_bytes() for entry in (tmp_path / "run").iterdir()} == before


def test_a_recipe_by_which_nothing_was_trained_yet_gives_way(run, small, tmp_path) -> None:
    first = RunFolder(tmp_path / "run")
    first.begin(small(epochs=300))
    first.release()
    run(until=None)
    assert load_recipe(file=tmp_path / "run" / "recipe.toml") == small()


def test_other_images_than_the_run_began_with_are_refused(digits, small, tmp_path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(Stopped):
        train(small(), digits("train", 50), digits("test", 30), folder=RunFolder(folder), stop=lambda: True)
    with pytest.raises(InputError, match="data is not what the run began with: check --data-dir"):
        train(small(), digits("train", 51), digits("test", 30), folder=RunFolder(folder))


def test_a_folder_of_other_files_is_left_alone(run, tmp_path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="holds files, but no run"):
        run()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="there is a file in its place; name another"):
        run("file")


def test_two_runs_in_one_folder_are_refused(run, small, tmp_path) -> None:
    first = RunFolder(tmp_path / "run")
    first.check(small())
    with pytest.raises(InputError, match="another process is training in"):
        run()
    first.release()
    run()


def test_a_wish_to_stop_leaves_a_checkpoint_of_that_step(digits, small, tmp_path) -> None:
    seen: list[int] = []
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Stopped, match=r"stopped after step 3 of 6; the same command goes on from there"):
        train(
            small(),
            digits("train", IMAGES),
            digits("test", 30),
            folder=folder,
            on_step=lambda p: seen.append(p.step),
            stop=lambda: len(seen) == 2,
        )
    assert [path.name for path in folder.checkpoints()] == ["last-00000003.safetensors"]


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """A disk that takes no more checkpoints while it is full."""
    full = False
    fsync = os.fsync

    def limited(descriptor: int) -> None:
        if full and os.fstat(descriptor).st_size > 10_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", limited)

    def become(now: bool) -> None:
        nonlocal full
        full = now

    return become


def test_a_full_disk_is_reported_and_the_run_goes_on(digits, small, tmp_path, full_disk) -> None:
    warnings: list[str] = []
    folder = RunFolder(tmp_path / "run", steps=1, keep=9, warn=warnings.append)
    result = train(
        small(),
        digits("train", IMAGES),
        digits("test", 30),
        folder=folder,
        on_step=lambda p: full_disk(2 <= p.step <= 4),
    )
    assert len(result.history) == 2
    # The state after step 3 is written twice: within the epoch and, with its test, after it; then the best network.
    assert len(warnings) == 5 and all("the disk is full; the run goes on" in text for text in warnings)
    assert "it can continue from last-00000001.safetensors" in warnings[0]
    assert [int(path.stem[5:]) for path in folder.checkpoints()] == [1, 5, 6]
    assert (tmp_path / "run" / "best.safetensors").exists()
    assert not list((tmp_path / "run").glob(".*.safetensors"))


def test_a_disk_that_is_full_at_the_end_ends_the_run_in_one_line_that_says_where_it_stands(
    digits, small, tmp_path, full_disk
) -> None:
    def last(progress) -> None:
        full_disk(progress.step == 6)

    folder = RunFolder(tmp_path / "run", steps=2)
    with pytest.raises(InputError) as caught:
        train(small(), digits("train", IMAGES), digits("test", 30), folder=folder, on_step=last)
    assert "the disk is full; make room and give the same command again: it can continue from last-00000004" in str(
        caught.value
    )
    full_disk(False)
    undisturbed = train(small(), digits("train", IMAGES), digits("test", 30))
    assert _same(train(small(), digits("train", IMAGES), digits("test", 30), folder=folder), undisturbed)


def test_a_damaged_recipe_is_named(run, tmp_path) -> None:
    with pytest.raises(_Pulled):
        run(until=4)
    (tmp_path / "run" / "recipe.toml").write_text("model = [")
    with pytest.raises(InputError, match=r"recipe\.toml is not a TOML file: .*; mend it to continue .* --out$"):
        run()


def test_a_damaged_checkpoint_is_named(run, tmp_path) -> None:
    with pytest.raises(_Pulled):
        run(until=4)
    newest = tmp_path / "run" / "last-00000003.safetensors"
    raw = newest.read_bytes()
    newest.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(
        InputError, match=r"last-00000003\.safetensors: .*; or remove it, and the run goes on from the one before$"
    ):
        run()
    newest.write_bytes(raw.replace(b"position", b"quotient"))
    with pytest.raises(InputError, match="is damaged: remove it, and the run goes on from the one before"):
        run()
    newest.unlink()
    assert len(run().history) == 2


def test_images_that_do_not_fit_the_recipe_leave_no_recipe_behind(digits, small, tmp_path) -> None:
    with pytest.raises(InputError, match="shift must be from 0 to 7 pixels"):
        train(small(shift=9), digits("train", IMAGES), digits("test", 30), folder=RunFolder(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_files_that_only_look_like_checkpoints_are_left_alone(run, tmp_path) -> None:
    with pytest.raises(_Pulled):
        run(until=4)
    for name in ("last-best.safetensors", "last-00000003-copy.safetensors"):
        (tmp_path / "run" / name).write_text("mine")
    assert len(run().history) == 2
    assert (tmp_path / "run" / "last-00000003-copy.safetensors").read_text() == "mine"


def test_a_checkpoint_without_a_run_in_it_is_refused(run, tmp_path, small) -> None:
    with pytest.raises(_Pulled):
        run(until=2)
    folder = tmp_path / "run"
    (folder / "last-00000009.safetensors").write_bytes((folder / "last-00000001.safetensors").read_bytes()[:0] + b"x")
    with pytest.raises(InputError, match="last-00000009"):
        run()


def test_what_a_killed_process_was_writing_is_removed(run, tmp_path) -> None:
    run()
    leftover = tmp_path / "run" / ".last-00000007.saformer-0123456789abcdef.safetensors"
    leftover.write_bytes(b"half")
    run()
    assert not leftover.exists()


# Argument: a folder. One run in it is left alone; the other is killed after a random number of steps and a random part
# of the next, and begun again, until it ends. Prints how often it was killed.
_KILLED = """
import os, random, signal, sys, time
from dataclasses import replace
import torch
from saformer.data import open_dataset
from saformer.training import RunFolder, load_recipe, train

torch.set_num_threads(1)
def first(split, n):
    data = open_dataset("digits", split=split)
    return replace(data, images=data.images[:n], labels=data.labels[:n])
recipe = load_recipe("digits", model="saformer-1-16", epochs=3, batch_size=16, warmup_epochs=1, time_steps=2)
pair = first("train", 160), first("test", 32)

def begin(name):
    steps, done = os.pipe()
    if child := os.fork():
        os.close(done)
        return child, steps
    folder = RunFolder(os.path.join(sys.argv[1], name), steps=2, minutes=0)
    train(recipe, *pair, folder=folder, on_step=lambda _: os.write(done, b"."))
    os._exit(0)

def status(child, steps):
    os.close(steps)
    return os.waitpid(child, 0)[1]

child, steps = begin("whole")
while os.read(steps, 1):
    pass
if status(child, steps):
    sys.exit(1)
random.seed(0)
kills = 0
while True:
    child, steps = begin("killed")
    running = all(os.read(steps, 1) for _ in range(random.randint(0, 8)))
    if running:
        time.sleep(random.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
    ended = status(child, steps)
    if os.WIFEXITED(ended):
        sys.exit(print(kills) if os.WEXITSTATUS(ended) == 0 else 1)
    kills += 1
"""


def test_a_run_that_is_killed_at_random_moments_ends_with_the_same_weights(forked_in, tmp_path) -> None:
    (done,) = forked_in(tmp_path, "-c", _KILLED, tmp_path)
    assert done.code == 0, done.err
    assert int(done.out) >= 2
    whole, resumed = (load(tmp_path / name / "last-00000030.safetensors") for name in ("whole", "killed"))
    others = resumed.state_dict()
    assert all(torch.equal(tensor, others[name]) for name, tensor in whole.state_dict().items())
    whole, resumed = (load(tmp_path / name / "best.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(tensor, resumed.state_dict()[name]) for name, tensor in whole.state_dict().items())
    first, second = (_told(read_metrics(tmp_path / name / "metrics.csv")) for name in ("whole", "killed"))
    assert json.dumps(first) == json.dumps(second)


def test_a_run_on_text_goes_on_as_if_nothing_had_happened(tmp_path) -> None:
    (tmp_path / "text").write_text("to be or not to be, that is the question. " * 9)
    parts = [open_dataset("text", tmp_path / "text", split, time_steps=8) for split in ("train", "test")]
    recipe = load_recipe("text", model="spikegpt-1-16", time_steps=8, epochs=1)
    whole = train(recipe, *parts)
    asked = iter([False, True])
    with pytest.raises(Stopped, match="stopped after step 2 of 4"):
        train(recipe, *parts, folder=RunFolder(tmp_path / "run"), stop=lambda: next(asked))
    again = train(recipe, *parts, folder=RunFolder(tmp_path / "run"))
    assert replace(again.history[0], seconds=0.0) == replace(whole.history[0], seconds=0.0)
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), whole.model.parameters(), strict=True))
