"""`saformer sweep`, `attention` and `ablate`."""

import json
import re

import pytest
from PIL import Image

from saformer import build, save


def test_a_sweep_over_time_steps(saformer, tmp_path):
    found, figure = tmp_path / "s.json", tmp_path / "s.png"
    result = saformer(
        *("sweep", "time-steps", "1,4", "--limit", "8", "--batch-size", "8", "--json", found, "--plot", figure)
    )
    assert result.code == 0, result.err
    assert "trained at T = 4 and run at T = 1" in " ".join(result.out.split())
    points = json.loads(found.read_text())["points"]
    assert [point["value"] for point in points] == [1, 4]
    assert [point["model"]["time_steps"] for point in points] == [1, 4]
    assert points[1]["totals"]["flops"] == 4 * points[0]["totals"]["flops"]
    assert all(point["seconds_per_batch"] > 0 and point["peak_bytes"] > 0 for point in points)
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_a_sweep_over_aggregated_tokens_of_random_weights(saformer):
    result = saformer(
        *("sweep", "aggregated", "1,64", "--model", "saformer-1-16", "--dataset", "digits"),
        *("--limit", "8", "--batch-size", "4", "--format", "csv"),
    )
    assert result.code == 0, result.err
    header, *rows = result.out.splitlines()
    assert header.startswith("network,aggregated,") and len(rows) == 2
    assert all(",untrained," in row for row in rows)
    assert "untrained" in result.err


def test_one_checkpoint_for_each_value(saformer, tmp_path, few_digits):
    ckpt = []
    for steps in (1, 2):
        path = tmp_path / str(steps)
        code = saformer(
            *("train", "--dataset", "digits", "--model", "saformer-1-8", "--epochs", "1", "--time-steps", steps),
            *("--out", path),
        ).code
        assert code == 0
        ckpt += ["--ckpt", path / "best.safetensors"]
    result = saformer("sweep", "time-steps", "1,2", *ckpt, "--dataset", "digits", "--limit", "8")
    assert result.code == 0, result.err
    assert "without training anew" not in " ".join(result.out.split())


def test_two_families_are_two_curves(saformer, tmp_path):
    found, figure = tmp_path / "s.json", tmp_path / "s.svg"
    result = saformer(
        *("sweep", "time-steps", "1,2", "--ckpt", "digits/saformer", "--ckpt", "SDT (theirs)=digits/sdt"),
        *("sdt-1-8", "--limit", "4", "--batch-size", "4", "--json", found, "--plot", figure),
    )
    assert result.code == 0, result.err
    data = json.loads(found.read_text())
    assert data["networks"] == ["sdt-1-8", "digits/saformer", "SDT (theirs)"]
    assert [(p["network"], p["value"]) for p in data["points"]] == [(n, v) for n in data["networks"] for v in (1, 2)]
    assert [p["model"]["name"] for p in data["points"]] == [
        name for name in ("sdt-1-8", "saformer-2-64", "sdt-2-64") for _ in range(2)
    ]
    for name in data["networks"]:  # once in the table, at the first of its values
        assert len(re.findall(rf"^{re.escape(name)} +1 ", result.out, re.MULTILINE)) == 1
    assert "SDT (theirs)" in figure.read_text()
    assert "10.00%" not in result.out  # random weights have no accuracy


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("time-steps", "0"), "whole numbers >= 1"),
        (("time-steps", "1,,2"), "whole numbers >= 1"),
        (("time-steps", "2,2"), "each value once"),
        (("aggregated", "5"), "does not divide the N = 64 tokens"),
        (("aggregated", "128"), "does not divide the N = 64 tokens"),
        (("aggregated", "4", "--ckpt", "digits/sdt"), "no aggregated tokens"),
        (("time-steps", "1,2,3", "A=digits/sdt", "A=digits/saformer"), "3 values and 2 checkpoints called A"),
        (("time-steps", "1", "--ckpt", "nofile"), "nofile"),
    ],
)
def test_a_sweep_value_that_does_not_fit_is_one_line(saformer, arguments, words):
    assert words in saformer("sweep", *arguments).complaint


def test_attention_of_a_sample(saformer, tmp_path):
    maps, found = tmp_path / "maps.png", tmp_path / "maps.json"
    result = saformer(
        *("attention", "--ckpt", "digits/saformer", "--ckpt", "digits/sdt", "--image", "3"),
        *("--plot", maps, "--json", found),
    )
    assert result.code == 0, result.err
    assert "SASA" in result.out and "SDSA" in result.out and "label 7" in result.out
    assert maps.read_bytes().startswith(b"\x89PNG")
    networks = json.loads(found.read_text())["networks"]
    assert [network["name"] for network in networks] == ["digits/saformer", "digits/sdt"]


def test_networks_without_attention_maps_are_named(saformer, tmp_path):
    path = tmp_path / "cnn.safetensors"
    save(build("ms-resnet-18", image_size=8, in_channels=1, num_classes=10, widths=(4, 4, 4, 4)), path)
    sample = ("--dataset", "digits", "--image", "3")
    assert "cnn.safetensors has no attention with maps" in saformer("attention", "--ckpt", path, *sample).complaint
    both = saformer("attention", "--ckpt", "digits/sdt", "--ckpt", path, *sample)
    assert "no attention with maps: cnn.safetensors" in both.out, both.err
    alone = saformer("attention", "--ckpt", path, *sample, "--raster", tmp_path / "r.png")
    assert alone.code == 0, alone.err


def test_attention_of_a_picture_and_its_raster(saformer, tmp_path):
    picture, raster = tmp_path / "p.jpg", tmp_path / "r.pdf"
    Image.new("L", (30, 20), 90).save(picture)
    result = saformer("attention", "--image", picture, "--raster", raster)
    assert result.code == 0, result.err
    assert "p.jpg" in result.out and raster.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--image", "999"), "0 to 359"),
        (("--image", "none.png"), "none.png"),
        (("--image", "1", "--ckpt", "digits/sdt", "--ckpt", "digits/sdt"), "each network once"),
        (("--image", "1", "--ckpt", "digits/sdt", "--ckpt", "digits/saformer", "--raster", "r.png"), "--raster"),
        (("--image", "1", "--plot", "r.gif"), ".png, .pdf, .svg or .pgf"),
    ],
)
def test_attention_refuses_bad_input(saformer, arguments, words):
    assert words in saformer("attention", *arguments).complaint


def test_an_ablation_without_training_says_so(saformer):
    result = saformer("ablate", "--model", "saformer-1-16", "--limit", "8", "--published")
    assert result.code == 0, result.err
    rows = [line for line in result.out.splitlines() if "untrained " in line and "%" in line]
    assert [row.split("  ")[0] for row in rows] == ["SDSA", "w/o D", "w/o A", "w/o D+A", "SAFormer"]
    assert "95.70%" in rows[-1]


def test_an_ablation_trains_keeps_and_reads_what_it_kept(saformer, tmp_path, few_digits):
    arguments = ("ablate", "--model", "saformer-1-8", "--limit", "8")
    trained = saformer(*arguments, "--train", "--epochs", "1", "--keep", tmp_path / "kept", "--format", "csv")
    assert trained.code == 0, trained.err
    assert "untrained" not in trained.out
    files = sorted((tmp_path / "kept").iterdir())
    assert [file.name for file in files] == [
        "saformer.safetensors",
        "sdsa.safetensors",
        "wo-a.safetensors",
        "wo-d+a.safetensors",
        "wo-d.safetensors",
    ]
    given = [part for file in files for part in ("--ckpt", file)]
    again = saformer("ablate", *given, "--dataset", "digits", "--limit", "8", "--format", "csv")
    assert again.code == 0, again.err
    assert again.out == trained.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--epochs", "1"), "--epochs is for --train"),
        (("--ckpt", "digits/spikformer"), "none of SDSA"),
        (("--ckpt", "digits/sdt", "--ckpt", "digits/sdt"), "one of each"),
        (("--ckpt", "digits/sdt", "--model", "saformer-1-16"), "of the size of saformer-1-16"),
        (("--model", "sdt-1-16"), "ablation is of a saformer"),
        (("--train", "--keep", __file__), "there is a file in its place"),
    ],
)
def test_an_ablation_refuses_bad_input(saformer, arguments, words):
    assert words in saformer("ablate", *arguments).complaint


def test_an_ablation_that_fails_leaves_no_empty_folder(saformer, tmp_path):
    kept = tmp_path / "new" / "kept"
    arguments = ("--model", "sdt-1-16", "--train", "--epochs", "1", "--keep", kept)
    assert "ablation is of a saformer" in saformer("ablate", *arguments).complaint
    assert list(tmp_path.iterdir()) == []
