"""`--accounting`, `--graded` and `--first-layer`, as users see them."""

import json
import math

import pytest

NAMES = ["paper", "integer-spikes", "spike-driven", "exact", "neurobench", "syops", "spikingformer"]

RUN = ("--limit", "8", "--dataset", "digits")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A profile of the shipped Spikformer, recorded with integers."""
    import saformer as package  # not the fixture of this name
    from saformer.analysis import profile
    from saformer.data import open_dataset

    path = tmp_path_factory.mktemp("profile") / "spikformer.json"
    data = open_dataset("digits", None, "test")
    model = package.load("digits/spikformer")
    batches = list(data.batches(4, 12, 0))
    profile(model, batches, data="digits", graded=True, run={"batch_size": 4}, check_flops=False).save(path)
    return path


def test_all_side_by_side_fits_the_terminal(saformer, saved):
    result = saformer("energy", "--from-profile", saved, "--accounting", "all")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert max(map(len, lines)) <= 100
    header = next(line for line in lines if line.split()[:1] == ["energy"] and "paper" in line)
    assert [word for word in header.split() if word in NAMES] == NAMES
    for name in NAMES:
        assert any(line.startswith(f"{name}: ") for line in lines), name
    assert "counted otherwise" not in result.out  # that would be rounding, or a reason without a name
    assert "batch_norm charged MACs" in result.out
    assert "whole multiples of a unit: charged MACs" in result.out
    assert "not seen, charged nothing" in result.out
    rows = {words[0]: words[1:] for line in lines if len(words := line.split()) == 8}
    found = json.loads(saformer("energy", "--from-profile", saved, "--accounting", "all", "--json", "-").out)
    # The totals in the table are those of the accounts, to the digits shown.
    totals = [account["totals"]["energy_mj"] for account in _accounts(found)]
    shown = [float(cell.replace(",", "")) for cell in rows["total"]]
    scale = 10 ** round(math.log10(shown[4] / totals[4]))  # of the unit
    assert shown == pytest.approx([total * scale for total in totals], rel=2e-2)


def test_with_layers_it_fits_too(saformer, saved):
    result = saformer("energy", "--from-profile", saved, "--accounting", "all", "--layers")
    assert result.code == 0, result.err
    assert max(map(len, result.out.splitlines())) <= 100
    assert any(line.split()[0].endswith("fc2_linear") for line in result.out.splitlines() if line.strip())


def _accounts(found):
    return found if isinstance(found, list) else found["accounts"]


def test_json_has_each_accounts(saformer, saved, tmp_path):
    found = json.loads(saformer("energy", "--from-profile", saved, "--accounting", "all", "--json", "-").out)
    accounts = _accounts(found)
    assert [account["accounting"] for account in accounts] == NAMES
    for account in accounts:
        alone = saformer("energy", "--from-profile", saved, "--accounting", account["accounting"], "--json", "-")
        alone = json.loads(alone.out)
        assert {key: alone[key] for key in account} == account
        assert account.keys() >= {"totals", "notes"}
    path = tmp_path / "all.json"
    result = saformer("energy", "--from-profile", saved, "--accounting", "all", "--json", path)
    assert result.code == 0, result.err
    assert json.loads(path.read_text()) == found


@pytest.mark.parametrize("option", ["--csv", "--plot"])
def test_one_row_per_operation_has_no_room_for_each(saformer, saved, tmp_path, option):
    path = tmp_path / "out.svg"
    complaint = saformer("energy", "--from-profile", saved, "--accounting", "all", option, path).complaint
    assert option in complaint and "--accounting all" in complaint
    assert not path.exists()


def test_two_tables_at_a_time_are_refused(saformer, saved):
    complaint = saformer("energy", "--from-profile", saved, "--accounting", "all", "--hardware", "all").complaint
    assert "one at a time" in complaint


def test_an_unknown_accounting_names_the_known(saformer):
    complaint = saformer("energy", "--accounting", "guess").complaint
    assert all(name in complaint for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_report_names_its_accounting(saformer, saved, name):
    result = saformer("energy", "--from-profile", saved, "--accounting", name)
    assert result.code == 0, result.err
    assert name in result.out
    assert max(map(len, result.out.splitlines())) <= 100


def test_integers_unrolled(saformer, saved):
    def total(*args):
        result = saformer("energy", "--from-profile", saved, "--accounting", "exact", "--json", "-", *args)
        return json.loads(result.out)["totals"]

    macs, unrolled = total(), total("--graded", "unroll")
    assert unrolled["macs"] < macs["macs"]
    assert unrolled["acs"] > macs["acs"]


def test_integers_that_nobody_recorded(saformer, tmp_path):
    path = tmp_path / "p.json"
    assert saformer("energy", *RUN, "--save-profile", path).code == 0
    complaint = saformer("energy", "--from-profile", path, "--accounting", "exact", "--graded", "unroll").complaint
    assert "--graded unroll" in complaint
    run = saformer("energy", *RUN, "--accounting", "exact", "--graded", "unroll")
    assert run.code == 0, run.err


def test_the_first_layer_once_says_so_where_it_matters(saformer, saved):
    def asked(accounting):
        args = ("--from-profile", saved, "--accounting", accounting, "--first-layer", "once", "--json", "-")
        return json.loads(saformer("energy", *args).out)

    for accounting in ("paper", "spike-driven", "exact", "neurobench"):
        assert any("first layer" in note for note in asked(accounting)["notes"]), accounting
    for accounting in ("syops", "spikingformer"):
        assert not any("first layer" in note for note in asked(accounting)["notes"]), accounting
