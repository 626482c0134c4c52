"""`saformer sensitivity`."""

import json

SMALL = ("--model", "spikingformer-1-32")


def test_sensitivity_lists_operations_by_what_they_move(saformer, rates):
    result = saformer("sensitivity", *SMALL, "--rates", rates, "--top", "5")
    assert result.code == 0, result.err
    assert max(map(len, result.out.splitlines())) <= 100
    rows = [line.split() for line in result.out.splitlines() if line.startswith(("block.", "patch_embed."))]
    assert len(rows) == 5
    changes = [float(row[4]) for row in rows]
    assert changes == sorted(changes, reverse=True)
    assert "--top 0" in result.out and "J per image" in result.out
    everything = saformer("sensitivity", *SMALL, "--rates", rates, "--top", "0").out
    assert "patch_embed.block0_conv" in everything and "--top 0" not in everything and "-0.0" not in everything


def test_sensitivity_of_a_run_and_of_a_saved_profile(saformer, tmp_path):
    saved = tmp_path / "p.json"
    run = saformer("sensitivity", "--limit", "20")
    assert run.code == 0 and "saformer-2-64 on digits" in run.out
    saformer("energy", "--limit", "20", "--save-profile", saved)
    assert saformer("sensitivity", "--from-profile", saved).out == run.out


def test_sensitivity_refuses_bad_options(saformer):
    assert "--top" in saformer("sensitivity", *SMALL, "--uniform-rate", "0.1", "--top", "-1").complaint
    assert "nobody" in saformer("sensitivity", "--accounting", "nobody").complaint
    assert "nowhere" in saformer("sensitivity", "--hardware", "nowhere").complaint


def test_sensitivity_charges_integers_as_energy_does(saformer):
    question = ("--ckpt", "digits/spikformer", "--limit", "8", "--accounting", "exact", "--graded", "unroll")
    total = json.loads(saformer("energy", *question, "--json", "-").out)["totals"]["energy_mj"]
    assert f"{1000 * total:.3g} µJ per image" in saformer("sensitivity", *question).out
