import struct

import pytest
import torch
from PIL import Image

from saformer.data.pictures import open_picture
from saformer.errors import InputError


@pytest.fixture
def red(tmp_path):
    path = tmp_path / "red.png"
    Image.new("RGB", (60, 40), (255, 0, 0)).save(path)
    return path


def test_a_picture_is_cut_resized_and_normalised_as_its_data_set(red):
    data = open_picture(red, "cifar10", 3, 32)
    assert data.images.shape == (1, 3, 32, 32) and data.images.dtype == torch.uint8
    image = data.normalise(data.images)[0, :, 0, 0]
    torch.testing.assert_close(image, torch.tensor([(1 - 0.4914) / 0.2470, -0.4822 / 0.2435, -0.4465 / 0.2616]))


def test_a_grey_network_gets_a_grey_picture(red):
    assert open_picture(red, "digits", 1, 8).images.shape == (1, 1, 8, 8)


def test_the_middle_of_a_wide_picture_is_kept(tmp_path):
    wide = Image.new("L", (60, 20), 0)
    wide.paste(255, (20, 0, 40, 20))
    wide.save(tmp_path / "w.png")
    assert open_picture(tmp_path / "w.png", "digits", 1, 8).images.float().mean() > 230


def test_what_is_no_picture_is_one_line(tmp_path, red):
    text = tmp_path / "a.png"
    text.write_text("no picture")
    with pytest.raises(InputError, match=r"a\.png is no PNG or JPEG"):
        open_picture(text, "digits", 1, 8)
    cut = tmp_path / "cut.png"
    cut.write_bytes(red.read_bytes()[:60])
    with pytest.raises(InputError, match=r"cut\.png"):
        open_picture(cut, "digits", 1, 8)
    with pytest.raises(InputError, match="normalised"):
        open_picture(red, "cifar10-dvs", 3, 32)
    with pytest.raises(InputError, match="channels"):
        open_picture(red, "cifar10", 2, 32)


def test_a_picture_with_a_broken_description_is_one_line(tmp_path):
    # An image description of 4 letters, and an orientation that has the description written anew.
    entries = struct.pack("<H HHI4s HHIHH I", 2, 0x010E, 2, 4, b"\xff\xfe\xfd\0", 0x0112, 3, 1, 6, 0, 0)
    broken = struct.pack("<H HHI4s HHIHH I", 2, 0x011A, 2, 4, b"abc\0", 0x0112, 3, 1, 6, 0, 0)
    for name, directory in (("odd.jpg", entries), ("broken.jpg", broken)):
        Image.new("RGB", (8, 8)).save(tmp_path / name, exif=b"Exif\0\0II*\0\x08\0\0\0" + directory)
    assert len(open_picture(tmp_path / "odd.jpg", "cifar10", 3, 32)) == 1
    with pytest.raises(InputError, match=r"cannot read the picture .*broken\.jpg: [^\n]*$"):
        open_picture(tmp_path / "broken.jpg", "cifar10", 3, 32)


def test_a_picture_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    path = tmp_path / "big.png"
    Image.new("L", (12, 12)).save(path)
    with pytest.raises(InputError, match="too many pixels"):
        open_picture(path, "digits", 1, 8)
