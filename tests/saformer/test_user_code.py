"""Whatever code of the user's does to the process, it is afterwards as it was."""

import builtins
import contextlib
import io
import os
import random
import signal
import sys

import numpy as np
import pytest
import torch

from saformer.user_code import process_kept


def _drawn() -> list[float]:
    return [random.random(), float(np.random.rand()), float(torch.rand(()))]


def _draws() -> None:
    _drawn()


def _seeds() -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)


def _raises() -> None:
    _seeds()
    raise SystemExit


@pytest.mark.parametrize("act", [_draws, _seeds, _raises])
def test_what_is_drawn_later_is_the_same(act):
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    with process_kept():
        pass
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    expected = _drawn()
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
    try:
        with process_kept():
            act()
    except SystemExit:
        pass
    assert _drawn() == expected


def _lose(module: object, *names: str) -> None:
    for name in names:
        setattr(module, name, None)


@pytest.mark.parametrize(
    ("read", "act"),
    [
        (lambda: list(sys.argv), lambda: sys.argv.append("x")),
        (lambda: sys.stdout, lambda: setattr(sys, "stdout", io.StringIO())),
        (lambda: signal.getsignal(signal.SIGTERM), lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN)),
        (torch.are_deterministic_algorithms_enabled, lambda: torch.use_deterministic_algorithms(True)),
        (lambda: str(torch.zeros(1).device), lambda: torch.set_default_device("meta")),
        (torch.get_default_dtype, lambda: torch.set_default_dtype(torch.float64)),
        (os.getcwd, lambda: os.chdir("/")),
        (lambda: sys.modules.get("saformer.errors"), lambda: sys.modules.pop("saformer.errors")),
        (lambda: isinstance, lambda: setattr(builtins, "isinstance", None)),
        (lambda: [os.getcwd, os.dup2, os.replace], lambda: _lose(os, "getcwd", "dup2", "replace", "getpid", "close")),
        (lambda: contextlib.suppress, lambda: _lose(contextlib, "suppress")),
        (torch.get_num_threads, lambda: torch.set_num_threads(torch.get_num_threads() + 1)),
    ],
)
def test_a_setting_of_the_process_is_what_it_was(read, act):
    before = read()
    with process_kept():
        act()
    assert read() == before


def test_torch_is_not_imported_a_second_time():
    before, specification, finders = sys.modules.copy(), torch.nn.__spec__, list(sys.meta_path)
    with process_kept():
        for name in before:
            if name.partition(".")[0] == "torch":
                del sys.modules[name]
        import torch.nn.functional as again
    assert again is before["torch.nn.functional"]
    assert torch.nn.__spec__ is specification and sys.meta_path == finders
    assert all(sys.modules[name] is module for name, module in before.items())


def test_finders_may_be_gone(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", sys.meta_path)
    with process_kept():
        sys.meta_path = None


def test_a_closed_stream_is_opened_again(monkeypatch, tmp_path):
    with open(tmp_path / "err", "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        with process_kept():
            sys.stderr.close()
        assert not sys.stderr.closed


def test_a_closed_descriptor_is_there_again():
    before = os.fstat(2)
    with process_kept():
        os.close(2)
    assert os.path.samestat(before, os.fstat(2))


def test_a_forked_process_does_not_go_on_as_the_program():
    with process_kept():
        child = os.fork()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
