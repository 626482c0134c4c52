"""Which model: settings that make no sense, names that are none, flags that are named when they are at fault."""

import pytest

NAME = "spikformer_2_64_cifar"


def test_both_a_checkpoint_and_a_model(saformer, oracle):
    assert "--ckpt or --model" in saformer("energy", "--ckpt", "a", "--model", "saformer-2-64").complaint


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--batch-size", "0"), "--batch-size"),
        (("--batch-size", "-3"), "--batch-size"),
        (("--limit", "-1"), "--limit"),
        (("--heads", "5"), "heads"),
        (("--heads", "0"), "heads"),
        (("--time-steps", "0"), "time_steps"),
        (("--pooling", "2"), "pooling"),
        (("--image-size", "0"), "image_size"),
        (("--aggregated", "3"), "aggregated"),
        (("--accounting", "guess"), "paper"),
        (("--hardware", "abacus"), "45nm-fp32"),
        (("--hardware", "/nowhere/x.toml"), "x.toml"),
        (("--device", "abacus"), "abacus"),
        (("--device", "cuda:99"), "cuda:99"),
        (("--weights", "model_ema"), "model_ema"),
    ],
)
def test_options_that_make_no_sense(energy, oracle, options, words):
    assert words in energy(oracle(f"{NAME}.pth.tar"), *options).complaint


def test_a_checkpoint_takes_settings_behind_its_name_wherever_it_is_named(saformer, oracle, tmp_path):
    path = tmp_path / "a+b.pth.tar"
    path.write_bytes(oracle(f"{NAME}.pth.tar").read_bytes())
    assert "T = 2" in saformer("flops", "--ckpt", f"{path}+time_steps=2").out
    compared = saformer("compare", "digits/sdt", "digits/sdt+time_steps=2", "--limit", "2")
    assert compared.code == 0, compared.err
    assert "digits/sdt+time_steps=2: --set time_steps=2 was given; the checkpoint stores time_steps = 4" in compared.out
    assert "has no setting 'colour'" in saformer("compare", "digits/sdt+colour=red").complaint
    assert (
        "time_steps is given twice"
        in saformer("flops", "--ckpt", f"{path}+time_steps=2", "--set", "time_steps=3").complaint
    )


@pytest.mark.parametrize(("option", "value"), [("--ckpt", ""), ("--model", " ")])
def test_an_empty_name(saformer, option, value):
    assert f"{option} is empty" in saformer("energy", option, value).complaint


def test_a_flag_at_fault_is_named_and_the_checkpoint_is_not_blamed(saformer, oracle):
    complaint = saformer("energy", "--time-steps", "0").complaint
    assert complaint.startswith("saformer: --time-steps 0: ") and "checkpoint saformer.safetensors" in complaint
    path = oracle(f"{NAME}.pth.tar")
    complaint = saformer("energy", "--ckpt", path, "--time-steps", "2", "--heads", "5").complaint
    assert complaint.startswith("saformer: --heads 5: ")
    built = saformer("energy", "--model", "spikformer-2-64", "--dataset", "digits", "--heads", "5").complaint
    assert built.startswith("saformer: --heads 5: ")
