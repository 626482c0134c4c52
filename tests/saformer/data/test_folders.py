import os
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from saformer.data import image_files, open_dataset
from saformer.errors import InputError


def picture(path, width, height, seed=0, mode="RGB") -> None:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    small.resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(path)


@pytest.fixture
def root(tmp_path):
    picture(tmp_path / "val" / "n02" / "b.JPEG", 300, 260, 1)
    picture(tmp_path / "val" / "n02" / "a.png", 241, 500, 2)
    picture(tmp_path / "val" / "n01" / "more" / "c.png", 100, 90, 3, "L")
    picture(tmp_path / "val" / "n10" / "d.png", 333, 257, 4, "RGBA")
    (tmp_path / "val" / "n10" / "notes.txt").write_text("no image")
    return tmp_path


@pytest.mark.parametrize("size", [224, 32, 33, 288])
def test_images_are_those_of_torchvision(torchvision, root, size: int) -> None:
    from torchvision import datasets, transforms

    scaled = int(size / 0.875)
    steps = [
        transforms.Resize(scaled, transforms.InterpolationMode.BICUBIC),
        transforms.CenterCrop(size),
        transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
    theirs = datasets.ImageFolder(str(root / "val"), transforms.Compose(steps))
    ours = open_dataset("imagefolder", root, "val", image_size=size)
    assert (len(ours), ours.shape, ours.classes, ours.split) == (4, (3, size, size), 3, "val")
    ((images, labels),) = ours.batches(10)
    assert labels.tolist() == [label for _, label in theirs]
    for image, (reference, _) in zip(images, theirs, strict=True):
        torch.testing.assert_close(image, reference, rtol=0, atol=1e-6)


def test_the_images_are_read_when_asked_for(root) -> None:
    data = open_dataset("imagefolder", root, "val")
    (root / "val" / "n02" / "a.png").write_bytes(b"no image any more")
    assert data.images[torch.tensor([0, 2])].shape == (2, 3, 224, 224)
    with pytest.raises(InputError) as caught:
        data.images[:]
    assert str(caught.value).startswith(f"{root / 'val' / 'n02' / 'a.png'} cannot be decoded as an image (")
    assert "\n" not in str(caught.value)


def test_a_truncated_image_names_itself(root) -> None:
    path = root / "val" / "n02" / "b.JPEG"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"b\.JPEG cannot be decoded as an image \(image file is truncated"):
        open_dataset("imagefolder", root, "val").images[:]


def test_colours_of_a_palette_are_kept_where_some_are_transparent(root) -> None:
    image = Image.new("P", (300, 300), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.save(root / "val" / "n01" / "a.png", transparency=b"\x00\x80")
    with warnings.catch_warnings(action="error"):
        assert open_dataset("imagefolder", root, "val").images[0][:, 5, 5].tolist() == [200, 100, 50]


def test_a_link_to_a_folder_above_is_not_followed(root) -> None:
    (root / "val" / "n02" / "loop").symlink_to("..")
    (root / "val" / "n02" / "elsewhere").symlink_to(root / "val" / "n01" / "more")
    assert len(open_dataset("imagefolder", root, "val")) == 5


def test_a_folder_of_a_class_that_cannot_be_read_is_named(root, monkeypatch) -> None:
    listed = os.scandir

    def scandir(path):
        if str(path).endswith("more"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(InputError, match=r"n01/more cannot be read \(Permission denied\)"):
        open_dataset("imagefolder", root, "val")


def test_a_folder_without_splits_is_taken_whole(root) -> None:
    data = open_dataset("imagefolder", root / "val", image_size=32)
    assert (len(data), data.split, data.labels.tolist()) == (4, "all", [0, 1, 1, 2])


def test_images_without_classes_have_no_labels(tmp_path) -> None:
    picture(tmp_path / "a.png", 40, 40)
    data = open_dataset("imagefolder", tmp_path, image_size=32)
    assert (len(data), data.labels, data.classes) == (1, None, None)
    assert next(data.batches(1))[1] is None


def test_what_is_wrong_with_a_folder_is_said(root, tmp_path) -> None:
    with pytest.raises(InputError, match="has no folder test, but val: give --split val"):
        open_dataset("imagefolder", root)
    with pytest.raises(InputError, match="does not exist: give --data-dir a folder with train/, val/ or test/"):
        open_dataset("imagefolder", root / "absent")
    with pytest.raises(InputError, match="is not a directory"):
        open_dataset("imagefolder", root / "val" / "n02" / "a.png")
    with pytest.raises(InputError, match="unknown split 'dev' of imagefolder: choose train or val or test"):
        open_dataset("imagefolder", root, "dev")
    with pytest.raises(InputError, match="--image-size must be at least 1, got 0"):
        open_dataset("imagefolder", root, "val", image_size=0)
    picture(root / "val" / "x.png", 9, 9)
    with pytest.raises(InputError, match=r"holds x\.png beside the folders of classes"):
        open_dataset("imagefolder", root, "val")
    (root / "val" / "x.png").unlink()
    (root / "val" / "n10" / "d.png").unlink()
    with pytest.raises(InputError, match=r"n10 holds no image \(\.jpg"):
        open_dataset("imagefolder", root, "val")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no images: give --data-dir"):
        open_dataset("imagefolder", tmp_path / "empty")


def test_images_of_too_many_pixels_are_not_decoded(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "val" / "n01"
    folder.mkdir(parents=True)
    Image.new("1", (9000, 9000)).save(folder / "a.png")
    with warnings.catch_warnings(action="error"):
        with pytest.raises(InputError, match=r"a\.png .*it has 81,000,000 pixels, more than 67,108,864"):
            open_dataset("imagefolder", tmp_path, "val").images[:]
        Image.new("1", (1, 300_000)).save(folder / "a.png")
        with pytest.raises(InputError, match=r"1 x 300000 pixels are no picture: scaled, it would have"):
            open_dataset("imagefolder", tmp_path, "val").images[:]


def test_large_images_are_decoded_one_at_a_time(root, monkeypatch) -> None:
    expected = open_dataset("imagefolder", root, "val").images[:]
    monkeypatch.setattr(image_files, "_MANY_PIXELS", 0)
    assert torch.equal(open_dataset("imagefolder", root, "val").images[:], expected)


def test_links_between_folders_do_not_multiply_images(tmp_path) -> None:
    folder = tmp_path / "val" / "n01"
    picture(folder / "0" / "a.png", 8, 8)
    for level in range(20):  # each leads to the next by two ways: a million paths
        folder_of = folder / str(level)
        (folder / str(level + 1)).mkdir()
        for way in ("left", "right"):
            (folder_of / way).symlink_to(folder / str(level + 1))
    assert len(open_dataset("imagefolder", tmp_path, "val")) == 1
