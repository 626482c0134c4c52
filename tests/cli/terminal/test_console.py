"""What is printed cannot steer the terminal."""


def test_text_of_a_file_cannot_steer_the_terminal(saformer, tmp_path):
    path = tmp_path / "x.toml"
    path.write_text('title = "\\u001b]0;owned\\u0007"\nsource = "\\u001b[2J\\u202e"\n[energy_pj]\nac = 0.5\n')
    for command in (("hardware", path), ("hardware", path, "--format", "markdown"), ("energy", "--hardware", path)):
        result = saformer(*command)
        assert result.code == 0
        assert not [c for c in result.out + result.err if not c.isprintable() and c != "\n"]
    path.write_text('[energy_pj]\nac = 0.5\n"a\\u001b[2J" = 1\n')
    assert saformer("hardware", path).complaint.isprintable()
