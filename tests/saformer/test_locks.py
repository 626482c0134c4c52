"""What a killed process leaves behind is removed by the next one, and nothing else is."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from saformer.files import write_text_atomic
from saformer.locks import FileLock, scratch_folder

WRITING = """
import sys, time
from saformer.files import write_atomic

def write(temporary):
    temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(60)

write_atomic(sys.argv[1], write)
"""
SCRATCH = """
import sys, time
from pathlib import Path
from saformer.locks import scratch_folder

with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "a").write_text("half")
    print(folder.name, flush=True)
    time.sleep(60)
"""
HOLDING = """
import sys, time
from pathlib import Path
from saformer.locks import FileLock, scratch_folder

print(FileLock(Path(sys.argv[1])).take(), flush=True)
time.sleep(60)
"""


@contextmanager
def running(code: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline()
        try:
            yield child
        finally:
            child.kill()


def test_what_a_killed_process_was_writing_is_removed_by_the_next_and_nothing_else(tmp_path: Path) -> None:
    others = [".git", ".a.0123456789abcdef.json", "b.saformer-0123456789abcdef.json", ".x.saformer-1.json"]
    for name in others:
        (tmp_path / name).write_text("somebody's")
    with running(WRITING, tmp_path / "a.json"), running(WRITING, tmp_path / "b.json") as killed:
        assert len(list(tmp_path.glob(".*.saformer-*.json"))) == 3
        killed.kill()
        killed.wait()
        write_text_atomic(tmp_path / "c.json", "whole")
        (writing,) = [p for p in tmp_path.glob(".?.saformer-*.json") if p.name not in others]
        assert writing.name.startswith(".a.saformer-") and writing.read_text() == "half"
    write_text_atomic(tmp_path / "d.json", "whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*others, "c.json", "d.json"])


def test_a_leftover_that_is_no_file_stays(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("kept")
    (tmp_path / ".a.saformer-0123456789abcdef.json").symlink_to(tmp_path / "target")
    (tmp_path / ".b.saformer-0123456789abcdef").mkdir()
    write_text_atomic(tmp_path / "c.json", "whole")
    assert len(list(tmp_path.iterdir())) == 4


def test_a_lock_is_held_by_one_process_and_gone_with_it(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / ".lock")
    assert lock.take() and lock.take()
    assert not FileLock(tmp_path / ".lock").take()
    lock.release()
    assert not (tmp_path / ".lock").exists()
    lock.release()
    with running(HOLDING, tmp_path / ".lock") as other:
        assert not lock.take() and (tmp_path / ".lock").exists()
        other.kill()
        assert lock.take(wait=True)
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_without_a_place(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileLock(tmp_path / "no" / ".lock").take()


def test_a_folder_that_a_killed_process_left_is_removed_by_the_next_and_nothing_else(tmp_path: Path) -> None:
    others = ["saformer-0123", "saformer-0123456789abcdef0", "fuzz-0123456789abcdef"]
    for name in others:
        (tmp_path / name).mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "saformer-0123456789abcdef").symlink_to("elsewhere")
    with running(SCRATCH, tmp_path), running(SCRATCH, tmp_path) as killed:
        killed.kill()
        killed.wait()
        with scratch_folder(tmp_path) as own:
            alive = {path for path in tmp_path.glob("saformer-????????????????") if not path.is_symlink()} - {own}
            assert len(alive) == 1 and (alive.pop() / "a").read_text() == "half"
    with scratch_folder(tmp_path):
        pass
    left = [*others, "elsewhere", "saformer-0123456789abcdef"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(left)
