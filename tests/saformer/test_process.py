"""How the process of the command line starts, and how it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

ENDS = """
import atexit, sys, threading, time
from saformer.process import end_process

class Left:
    def __del__(self):
        print("taken apart")

left = Left()
atexit.register(print, "atexit")
threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
sys.stdout.write("not flushed\\n")
end_process({status})
print("not reached")
"""


@pytest.mark.parametrize(("status", "code"), [("None", 0), ("0", 0), ("2", 2)])
def test_a_process_ends_with_its_threads_and_exit_functions_and_is_not_taken_apart(status: str, code: int) -> None:
    done = subprocess.run([sys.executable, "-c", ENDS.format(status=status)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, "not flushed\nthread\natexit\n", "")


ENDLESS = """
import atexit, sys, threading, time
import saformer.process as process

process.PATIENCE = 0.2
{more}
print("result")
process.end_process(0)
"""


@pytest.mark.parametrize(
    "more", ["threading.Thread(target=time.sleep, args=(60,)).start()", "atexit.register(time.sleep, 60)"]
)
def test_what_does_not_end_is_left_behind(more: str) -> None:
    done = subprocess.run([sys.executable, "-c", ENDLESS.format(more=more)], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "result\n")
    assert done.stderr == "ended without a thread, or a function of atexit, that did not end in 0.2 s\n"


def test_words_are_left_to_python() -> None:
    done = subprocess.run([sys.executable, "-c", ENDS.format(status="'words'")], capture_output=True, text=True)
    assert done.returncode == 0 and "not reached" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_an_output_that_cannot_be_written_is_no_success() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", ENDS.format(status="0")], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1


RESTS = """
import gc, sys
from pathlib import Path

Path("torch.py").write_text("import gc\\nfound = gc.isenabled()\\nraised = 1 / ({divisor})\\n")
sys.path.insert(0, "")
from saformer.process import start_process, wake_collector

start_process(lambda: print("imported"))
assert not gc.isenabled()
wake_collector()
assert gc.isenabled() and gc.get_freeze_count()
try:
    import torch
except ZeroDivisionError:
    torch = None
if torch:
    assert not torch.found and torch.__spec__.loader.__class__.__name__ == "SourceFileLoader"
    assert "exec_module" not in vars(torch.__loader__)
assert gc.isenabled() and not any(type(f).__name__ == "_BeforeTorch" for f in sys.meta_path)
"""


@pytest.mark.parametrize("divisor", [1, 0], ids=["imported", "broken"])
def test_the_collector_rests_while_torch_is_imported(tmp_path: Path, divisor: int) -> None:
    code = RESTS.format(divisor=divisor)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "imported\n" * divisor), done.stderr
