"""A model of the user's may do anything at all: one line, status 1, and the process as it was before."""

import gc
import os
import sys
import textwrap

import pytest
import torch

from saformer.errors import InputError
from saformer.plugins import faults_located

CODE = """
    import asyncio, os, sys
    import torch
    from torch import nn


    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("no words")


    class Odd(BaseException):
        pass


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(8, 2)

        def forward(self, x):
            self.act()
            return self.fc(x.mean((1, 2)))

        def act(self):
            pass


    def net(act, **methods):
        return type("Bad", (Net,), {"act": act, **methods})


    def raising(error):
        def act(self, *_, **__):
            raise error
        return act


    def changing(self):
        os.chdir("/")
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(True)
        torch.set_num_threads(2)
        raise KeyError("changed")


    def again(self):
        return self.act()


    def stopping_later(self):
        # The second call is that of another layout, which the message may advise.
        self.calls = getattr(self, "calls", 0) + 1
        raise ValueError("a shape") if self.calls == 1 else SystemExit(0)


    def losing(*names):
        def act(self):
            for name in names:
                module, name = name.split(".")
                setattr(sys.modules[module], name, None)
            getattr(sys.modules[module], name)()
        return act


    def nested(x, act=None):
        return nested((x,))


    ends = net(raising(SystemExit(0)))
    ends_plainly = net(lambda self: sys.exit())
    mute = net(raising(Mute()))
    odd = net(raising(Odd("odd")))
    cancelled = net(raising(asyncio.CancelledError()))
    stops = net(raising(StopIteration(3)))
    interrupted = net(raising(KeyboardInterrupt()))
    changes = net(changing)
    deep = net(again)
    stops_later = net(stopping_later)
    loses_os = net(losing("os.replace", "os.getcwd", "os.dup2", "os.open", "os.getpid"))
    loses_builtins = net(losing("builtins.isinstance", "builtins.__import__"))
    long = net(raising(ValueError("x" * 200_000 + chr(10) + "y")))
    no_eval = net(Net.act, eval=raising(Odd("no eval")))
    no_train = net(Net.act, train=raising(SystemExit(0)))
    no_state = net(Net.act, state_dict=raising(Mute()))
    no_move = net(Net.act, _apply=raising(SystemExit(0)))
    no_attribute = net(Net.act, __getattr__=raising(Odd("none")))


    def contains_itself():
        network = Net()
        network.fc2 = network
        return network


    def three_thousand():
        network = innermost = nn.Sequential()
        for _ in range(3000):
            inner = nn.Sequential()
            innermost.append(inner)
            innermost = inner
        return network


    def without_values():
        return Net().to("meta")


    class Dying(Net):
        def __del__(self):
            raise RuntimeError("not yet")

        def __repr__(self):
            raise RuntimeError("no picture")

        __hash__ = nn.Module.__hash__
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text(textwrap.dedent(CODE))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "evil", raising=False)


def run(saformer, name, *more):
    return saformer("energy", "--model", f"evil:{name}", "--input-shape", "3,8,8", *more)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ends", "Bad failed on the data: SystemExit: 0"),
        ("ends_plainly", "Bad failed on the data: SystemExit"),
        ("mute", "Bad failed on the data: Mute"),
        ("odd", "Bad failed on the data: Odd: odd"),
        ("cancelled", "Bad failed on the data: CancelledError"),
        ("stops", "Bad failed on the data: StopIteration: 3"),
        ("changes", "Bad failed on the data: KeyError: 'changed'"),
        ("stops_later", "Bad failed on the data: ValueError: a shape"),
        ("loses_os", "Bad failed on the data: TypeError: 'NoneType' object is not callable"),
        ("loses_builtins", "Bad failed on the data: TypeError: 'NoneType' object is not callable"),
        ("deep", "Bad failed on the data: RecursionError: maximum recursion depth exceeded"),
        ("long", "Bad failed on the data: ValueError: xxxx"),
        ("no_eval", "no_eval failed when it was made ready: Odd: no eval"),
        ("no_train", "no_train failed when it was made ready: SystemExit: 0"),
        ("no_move", "Bad failed when it was moved to cpu: SystemExit: 0"),
        ("no_attribute", "no_attribute failed when it was made ready: Odd: none"),
        ("contains_itself", "RecursionError: maximum recursion depth exceeded"),
        ("three_thousand", "RecursionError: maximum recursion depth exceeded"),
        ("without_values", "meta"),
    ],
)
def test_whatever_it_does_is_one_line(saformer, name, said):
    before = (os.getcwd(), torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads())
    complaint = run(saformer, name).complaint
    assert said in complaint
    assert len(complaint) < 2000
    assert before == (os.getcwd(), torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads())


def test_a_state_that_cannot_be_filled(saformer, oracle):
    result = run(saformer, "no_state", "--ckpt", oracle("spikformer_2_64_cifar.pth.tar"))
    assert result.complaint.endswith("no_state failed when it was made ready: Mute")


def test_ctrl_c_is_no_fault_of_the_model(saformer):
    result = run(saformer, "interrupted")
    assert (result.code, result.out) == (130, "")
    assert "interrupted" in result.err


def test_one_that_cannot_be_removed_or_shown_is_measured(saformer, monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", lambda ignored: None)  # as the program does it, not pytest's
    assert run(saformer, "Dying").code == 0
    gc.collect()


@pytest.mark.usefixtures("registries_kept")
def test_a_plugin_that_ends_the_program_in_its_network(saformer, tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        textwrap.dedent(
            """
            import sys
            from torch import nn
            from saformer.models import Model, register_model


            @register_model("quitting", title="ends")
            class Quitting(Model):
                "Images to nothing."

                def __init__(self, config):
                    super().__init__(config)
                    self.fc = nn.Linear(1, 1)

                def forward(self, x):
                    sys.exit(0)
            """
        )
    )
    result = saformer("energy", "--plugin", plugin, "--model", "quitting-1-16", "--dataset", "digits", "--limit", 1)
    assert "SystemExit: 0" in result.complaint


def test_a_network_does_not_end_the_program_anywhere():
    class Ends(torch.nn.Module):
        def forward(self):
            sys.exit(0)

    with pytest.raises(InputError, match=r"^the network stopped the program \(SystemExit: 0\)$"), faults_located():
        Ends()()
    with pytest.raises(SystemExit), faults_located():
        sys.exit(0)
