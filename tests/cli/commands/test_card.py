"""`saformer card`: weights for others, and what is said of them."""

from saformer.checkpoints import load


def test_a_card_says_how_the_weights_were_made_and_is_measured_on_the_copy(saformer, tmp_path):
    out = tmp_path / "small.safetensors"
    result = saformer(
        "card", "--ckpt", "digits/saformer", "--half", "--out", out, "--limit", "16", "--remark", "only an example"
    )
    assert result.code == 0, result.err
    text = out.with_suffix(".md").read_text(encoding="utf-8")
    assert "saformer train --dataset digits --model saformer-2-64" in text
    assert "\nepochs = " in text
    for words in ("# small.safetensors", "only an example", "half precision", "learning\\_rate", "top-1", "exact"):
        assert words in text or words.replace("\\", "") in text
    copy, original = load(out), load_shipped()
    assert out.stat().st_size < 0.6 * original.origin.path.stat().st_size
    assert copy.origin.sha256 in text
    assert copy.origin.details["training"] == original.origin.details["training"]
    assert copy.config == original.config


def load_shipped():

    return load("digits/saformer")


def test_a_card_needs_weights_and_a_place(saformer, tmp_path):
    for arguments, words in (
        (("card",), "say which weights and where to"),
        (("card", "--ckpt", "digits/saformer", "--out", tmp_path / "x.pt"), "must end in .safetensors"),
        (("card", "--ckpt", tmp_path / "none", "--out", tmp_path / "x.safetensors"), "none"),
        (("card", "sdt-1-16", "--out", tmp_path / "x.safetensors"), "is a model name, and a card goes with a copy"),
        (("card", "net:f", "--out", tmp_path / "x.safetensors"), "net:f is a package.module:factory"),
    ):
        result = saformer(*arguments)
        assert (result.code, len(result.err.strip().splitlines())) == (1, 1)
        assert words in result.err
    assert not list(tmp_path.iterdir())
