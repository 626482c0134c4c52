from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from saformer.analysis import Profile
from saformer.analysis.accounting import hardware
from saformer.analysis.accounting.account import DataInfo, ModelInfo
from saformer.analysis.accounting.hardware import hardware_names, load_hardware
from saformer.analysis.profiles import Neurons, Operand, Operation, Values
from saformer.analysis.profiles.moments import Moments
from saformer.errors import InputError

# Horowitz 2014: (multiply + add, add).
CMOS = {"45nm-fp32": (4.6, 0.9), "45nm-fp16": (1.5, 0.4), "45nm-int8": (0.23, 0.03)}
# Table 3 of the SENECA paper.
CHIPS = {
    "loihi": 23.6,
    "truenorth": 2.5,
    "spinnaker": 45,
    "spinnaker2": 10,
    "odin": 12.7,
    "reckon": 5.3,
    "tianjic": 1.54,
    "neuronflow": 20,
    "mubrain": 26,
    "seneca": 2.8,
}


# --- The shipped tables ---


def test_the_shipped_tables_are_these() -> None:
    assert set(hardware_names()) == {*CMOS, *CHIPS, "77fj"}


@pytest.mark.parametrize(("name", "energies"), CMOS.items())
def test_a_mac_is_a_multiplication_and_an_addition(name: str, energies: tuple[float, float]) -> None:
    hardware = load_hardware(name)
    assert (hardware.mac_pj, hardware.ac_pj) == energies
    assert hardware.multiply_pj is not None
    assert hardware.multiply_pj + hardware.ac_pj == pytest.approx(hardware.mac_pj)
    assert "Horowitz" in hardware.source and "2014" in hardware.source


@pytest.mark.parametrize(("name", "ac"), CHIPS.items())
def test_a_chip_has_the_published_number_and_no_mac(name: str, ac: float) -> None:
    hardware = load_hardware(name)
    assert (hardware.mac_pj, hardware.ac_pj, hardware.multiply_pj) == (None, ac, None)
    assert "SENECA, Frontiers in Neuroscience 2023, table 3" in hardware.source
    assert "multiply-accumulates" in hardware.leaves_out


def test_truenorth_states_the_other_number_too() -> None:
    assert any("26 pJ" in text for text in load_hardware("truenorth").alternatives)


# --- Files at fault: which key, which line ---


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("# mine\n\n[energy_pj]\nmac = 4.6\n", 3, "energy_pj.ac"),
        ("[energy_pj]\nmac = 4.6\nac = -0.1\n", 3, "energy_pj.ac"),
        ("[energy_pj]\nmac = nan\nac = 0.9\n", 2, "energy_pj.mac"),
        ("[energy_pj]\nac = 0.9\nmac = -inf\n", 3, "energy_pj.mac"),
        ("[energy_pj]\nac = true\n", 2, "energy_pj.ac"),
        ("[energy_pj]\nac = '0.9'\n", 2, "energy_pj.ac"),
        ("[energy_pj]\nac = 1" + 400 * "0" + "\n", 2, "energy_pj.ac"),
        ("[energy_pj]\nac = 1\n\nmca = 4.6\n", 4, "energy_pj.mca"),
        ("\n[energy_pj.mac]\nx = 1\n[energy_pj]\nac = 1\n", 2, "energy_pj.mac"),
        ("name = 'x'\nmac = 4.6\n[energy_pj]\nac = 0.9\n", 2, "mac"),
        ("\nenergy_pj = 3\n", 2, "[energy_pj]"),
        ("\nenergy_pj = { mac = 1 }\n", 2, "energy_pj.ac"),
        ("\nenergy_pj.ac = 1\nenergy_pj.mac = 'x'\n", 3, "energy_pj.mac"),
        ('["energy_pj"]\n"ac" = []\n', 2, "energy_pj.ac"),
        ("title = 7\n[energy_pj]\nac = 1\n", 1, "title"),
        ('source = """\n[energy_pj]\nac = 7\n"""\n[energy_pj]\nac = \'x\'\n', 6, "energy_pj.ac"),
        ("alternatives = 'one'\n[energy_pj]\nac = 1\n", 1, "alternatives"),
        ("\nalternatives = [\n  'one',\n  2,\n]\n[energy_pj]\nac = 1\n", 2, "alternatives"),
        ("[energy_pj]\nac = 1\nmac = 4,6\n", 3, "not valid TOML"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_bad_file_names_the_key_and_the_line(tmp_path: Path, text: str, line: int, key: str, newline: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(text.replace("\n", newline).encode())
    with pytest.raises(InputError) as caught:
        load_hardware(path)
    message = str(caught.value)
    assert f"line {line}:" in message or f"(at line {line}, " in message, message
    assert key in message
    assert str(path) in message


def test_a_file_without_the_section_says_so(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[energy]\nac = 1\n")
    with pytest.raises(InputError, match=r"section \[energy_pj\] is missing"):
        load_hardware(path)


@pytest.mark.parametrize("text", ["ac = " + 5000 * "1", "x = " + 5000 * "["])
def test_absurd_files_are_at_fault_too(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError, match="not valid TOML"):
        load_hardware(path)


def test_a_file_of_ones_own_needs_no_more_than_an_ac(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[energy_pj]\nac = 2\n")
    hardware = load_hardware(path)
    assert (hardware.name, hardware.mac_pj, hardware.ac_pj) == ("mine", None, 2.0)


# --- MACs on hardware without them ---

REAL = Values("real", False, magnitudes=2, multiples=False)
STEM = Operation("stem", "conv2d", 1000, (Operand(200, 150, 10, REAL),), 700, first=True)
FC = Operation("fc", "linear", 4000, (Operand(100, 25, 25, Values(unit=1.0, levels=1, magnitudes=1, total=25)),), 1000)
REAL_FC = replace(FC, operands=(replace(FC.gate, values=REAL),))


def profile_of(*operations: Operation) -> Profile:
    """Two images of different activity, T = 4."""
    counts = [n for o in operations for n in (*(x.nonzero for x in o.operands), o.events)]
    halves = [[1, *(n // 3 for n in counts)], [1, *(n - n // 3 for n in counts)]]
    return Profile(
        model=ModelInfo("tiny", 77, 4),
        data=DataInfo("toy", "test", 2, "static"),
        operations=operations,
        neurons=(Neurons("lif", 80, (1, 2, 3, 14)),),
        free=(),
        uncounted=(),
        hits=None,
        unit="image",
        moments=Moments.of(np.array(halves, dtype=np.int64)),
        notes=(),
    )


def test_macs_that_the_chip_lacks_are_named_and_not_in_the_energy() -> None:
    account = profile_of(STEM, FC).account(hardware="loihi")
    stem, fc = account.layers
    assert (stem.macs, stem.energy_mj) == (500, None)
    assert fc.energy_mj == pytest.approx(23.6e-9 * 4000 * 25 / 100 / 2)
    assert account.energy_mj == fc.energy_mj
    assert (account.macs, account.macs_not_covered) == (500, 500)
    (note,) = account.notes
    assert note.startswith("loihi has no multiply-accumulate")
    assert "the 500 MACs per image of stem are not in the energy" in note


def test_a_network_without_macs_loses_nothing_on_a_chip() -> None:
    account = profile_of(FC).account(hardware="loihi")
    assert account.notes == ()
    assert account.macs_not_covered == 0
    assert account.energy_mj == pytest.approx(23.6e-9 * account.acs)


def test_the_interval_is_that_of_the_energy_that_is_there() -> None:
    both, alone = profile_of(STEM, FC).account(hardware="odin"), profile_of(FC).account(hardware="odin")
    assert both.energy_mj_ci95 == pytest.approx(alone.energy_mj_ci95)
    assert both.energy_mj_ci95


def test_where_no_operation_has_an_energy_there_is_no_number() -> None:
    account = profile_of(REAL_FC).account(hardware="seneca")
    assert np.isnan(account.energy_mj)
    assert account.energy_mj_ci95 is None
    totals = account.to_json()["totals"]
    assert (totals["energy_mj"], totals["energy_mj_ci95"], totals["macs_not_covered"]) == (None, None, account.macs)


def test_the_note_names_three_operations_and_counts_the_rest() -> None:
    layers = [replace(REAL_FC, name=f"fc{i}") for i in range(5)]
    *_, note = profile_of(*layers).account(hardware="loihi").notes
    assert "the 10,000 MACs per image of fc0, fc1, fc2 (2 more) are not" in note


def test_every_account_on_cmos_covers_every_mac() -> None:
    for name in CMOS:
        account = profile_of(STEM, FC).account(hardware=name)
        hardware = account.hardware
        assert account.macs_not_covered == 0
        expected = 1e-9 * ((hardware.mac_pj or 0) * account.macs + hardware.ac_pj * account.acs)
        assert account.energy_mj == pytest.approx(expected, rel=1e-14)


def test_the_line_of_a_fault_is_found_in_a_long_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    loads = hardware.tomllib.loads
    monkeypatch.setattr(hardware.tomllib, "loads", lambda text: parsed.append(len(text)) or loads(text))
    path = tmp_path / "mine.toml"
    path.write_text("[energy_pj]\n" + "# a remark\n" * 4000 + "ac = -1\n" + "# a remark\n" * 4000)
    with pytest.raises(InputError, match=r", line 4002: energy_pj\.ac"):
        load_hardware(path)
    assert len(parsed) < 20
    # A value of many lines: without the line, but soon.
    path.write_text("[energy_pj]\nac = -1\nx = [\n" + "1,\n" * 4000 + "]\n")
    with pytest.raises(InputError, match=r"mine\.toml: unknown key energy_pj\.x"):
        load_hardware(path)
    assert len(parsed) < 70
