from pathlib import Path

import pytest

from saformer.analysis.accounting.account import Account
from saformer.errors import InputError
from saformer.reports.figures.energy import energy_figure
from saformer.reports.figures.saving import save_figure

MAGIC = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_the_same_account_gives_the_same_file(account: Account, tmp_path: Path, suffix: str) -> None:
    save_figure(energy_figure(account), tmp_path / f"first.{suffix}")
    save_figure(energy_figure(account), tmp_path / f"second.{suffix.upper()}")
    first = (tmp_path / f"first.{suffix}").read_bytes()
    assert first.startswith(MAGIC[suffix])
    assert first == (tmp_path / f"second.{suffix.upper()}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["figure.jpg", "figure", "figure.png.txt"])
def test_another_suffix_writes_nothing_and_names_those_there_are(account: Account, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("kept")
    with pytest.raises(InputError, match=r"\.png, \.pdf, \.svg or \.pgf"):
        save_figure(energy_figure(account), tmp_path / name)
    assert (tmp_path / name).read_text() == "kept"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failing_write_leaves_the_old_figure(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    path.write_text("old")
    figure = energy_figure(account)

    def fail(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("interrupted")

    figure.savefig = fail  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        save_figure(figure, path)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1
