"""`saformer flops`."""


def test_flops_agree_with_fvcore_and_need_no_data(saformer):
    for model in ("saformer-1-32", "spikformer-1-32", "sdt-1-32", "vit-1-32"):
        result = saformer("flops", "--model", model)
        assert result.code == 0, result.err
        assert "Both counters agree" in result.out


def test_flops_of_a_model_of_ones_own(saformer, tmp_path, monkeypatch):
    (tmp_path / "flopsnet.py").write_text(
        "import torch\nfrom torch import nn\n\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, width=5):\n        super().__init__()\n        self.fc = nn.Linear(12, width)\n"
        "    def forward(self, x):\n        return self.fc(x.flatten(-3)).mean(0)\n\n"
    )
    monkeypatch.chdir(tmp_path)
    command = ("flops", "--model", "flopsnet:Net", "--input-shape", "3,2,2", "--time-first", "2", "--format", "csv")
    assert saformer(*command).out.splitlines()[1] == "fc,linear,120,120,False"
    assert saformer(*command, "--model-arg", "width=7").out.splitlines()[1] == "fc,linear,168,168,False"
    assert "--input-shape" in saformer("flops", "--model", "flopsnet:Net").complaint
    assert "failed on the data" in saformer("flops", "--model", "flopsnet:Net", "--input-shape", "3,9,9").complaint
    assert "--input-shape" in saformer("flops", "--input-shape", "3,9,9").complaint
