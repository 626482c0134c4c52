from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from saformer.data import Dataset
from saformer.errors import InputError
from saformer.training.augmentation import Augmentation, build_augmentation
from saformer.training.augmentation.draws import Chunk
from saformer.training.augmentation.mixing import Mixup, soft_targets
from saformer.training.augmentation.randaugment import OPERATIONS, RandAugment
from saformer.training.augmentation.resampling import Resampling

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
OFF = {
    "shift": 0,
    "flip": False,
    "randaugment": 0,
    "mixup": 0,
    "erasing": 0,
    "label_smoothing": 0,
    "event_flip": False,
    "event_roll": 0,
    "event_rotation": 0,
    "event_shear": 0,
    "event_cutout": 0,
}
ALL_STATIC = {"shift": 4, "flip": True, "randaugment": 9, "mixup": 0.5, "erasing": 0.25, "label_smoothing": 0.1}


def static(count: int = 32, channels: int = 3, size: int = 32, seed: int = 0) -> Dataset:
    """Blotches of colour, so that neighbouring pixels are alike as in photographs; none of them black."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 4, 4, generator=generator)
    pixels = F.interpolate(coarse, size=(size, size), mode="bilinear").mul(250).add(1).byte()
    labels = torch.randint(10, (count,), generator=generator)
    return Dataset("blotches", "train", "static", pixels, labels, 10, MEAN[:channels], STD[:channels])


def events(count: int = 24, size: int = 32, steps: int = 3, dtype: torch.dtype = torch.uint8) -> Dataset:
    generator = torch.Generator().manual_seed(1)
    frames = torch.randint(1, 9, (count, steps, 2, size, size), generator=generator).to(dtype)
    return Dataset("frames", "train", "events", frames, torch.arange(count) % 11, 11, None, None)


def build(dataset: Dataset, **settings) -> Augmentation:
    return build_augmentation(SimpleNamespace(**{**OFF, **settings}), dataset)


def apply(dataset: Dataset, seed: int = 0, **settings) -> tuple[Tensor, Tensor]:
    return build(dataset, **settings)(dataset.images, dataset.labels, seed)


def pixels(dataset: Dataset, inputs: Tensor) -> Tensor:
    """The bytes that were normalised."""
    mean, std = torch.tensor(dataset.mean).view(-1, 1, 1), torch.tensor(dataset.std).view(-1, 1, 1)
    return ((inputs * std + mean) * 255).round().to(torch.uint8)


@pytest.mark.parametrize("data", [static(), static(channels=1, size=8), events(), events(dtype=torch.float32)])
def test_with_all_off_images_are_normalised_and_nothing_else(data: Dataset) -> None:
    inputs, targets = apply(data)
    assert torch.equal(inputs, data.normalise(data.images))
    assert torch.equal(targets, F.one_hot(data.labels, data.classes).float())


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        (static(), ALL_STATIC),
        (static(channels=1, size=8), ALL_STATIC),
        (events(), {"event_flip": True, "event_roll": 5, "event_rotation": 30, "event_shear": 17, "event_cutout": 8}),
        (events(), {"mixup": 0.5, "label_smoothing": 0.1}),
    ],
)
def test_the_result_hangs_on_the_arguments_alone(data: Dataset, settings: dict) -> None:
    before = data.images.clone()
    torch.manual_seed(5)
    np.random.seed(5)
    state, state_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()
    inputs, targets = apply(data, **settings)
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == state_numpy).all()
    assert torch.equal(data.images, before)
    assert inputs.dtype == targets.dtype == torch.float32
    assert inputs.shape == data.images.shape
    assert targets.shape == (len(data), data.classes)
    assert torch.allclose(targets.sum(1), torch.ones(len(data)))

    torch.manual_seed(6)
    threads = torch.get_num_threads()
    torch.set_num_threads(2 if threads == 1 else 1)
    again = apply(data, **settings)
    torch.set_num_threads(threads)
    assert torch.equal(inputs, again[0])
    assert torch.equal(targets, again[1])
    others = [apply(data, seed=seed, **settings)[0] for seed in range(1, 5)]
    assert not any(torch.equal(inputs, other) for other in others)


def test_switching_one_stage_off_leaves_the_draws_of_the_others() -> None:
    data = static()
    erased = apply(data, erasing=0.5)[0] == 0
    with_more = apply(data, erasing=0.5, shift=4, flip=True, randaugment=9)[0] == 0
    assert (with_more | ~erased).all()
    mirrored = apply(data, flip=True)[0]
    moved_too = apply(data, flip=True, shift=1)[0]
    still = [i for i in range(len(data)) if torch.equal(moved_too[i], mirrored[i])]
    assert still  # one image in nine moves by (0, 0): it is mirrored, or not, as it was without the shift


def test_images_are_moved_within_the_padding_and_black_comes_in() -> None:
    data = static(300)
    result = pixels(data, apply(data, shift=2)[0])
    padded = F.pad(data.images, [2] * 4)
    seen = set()
    for image, moved in zip(padded, result, strict=True):
        matches = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if torch.equal(moved, image[:, 2 - down : 34 - down, 2 - right : 34 - right])
        ]
        assert len(matches) == 1
        seen.update(matches)
    assert len(seen) == 25


def test_black_of_images_stored_normalised_is_their_least_value() -> None:
    whole = static()
    data = replace(whole, images=whole.normalise(whole.images), mean=None, std=None)
    result = apply(data, shift=3)[0]
    edges = {result[i, 0, 0, 0].item() for i in range(len(data))} | {result[i, 0, -1, -1].item() for i in range(32)}
    assert data.images.min().item() in edges
    assert result.min() == data.images.min()


def test_half_of_the_images_are_mirrored() -> None:
    data = static(400)
    result = pixels(data, apply(data, flip=True)[0])
    mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(result, data.images, strict=True)]
    assert all(flipped or torch.equal(a, b) for flipped, a, b in zip(mirrored, result, data.images, strict=True))
    assert 160 <= sum(mirrored) <= 240  # four standard deviations


def test_a_rectangle_is_erased_from_the_given_share_of_images() -> None:
    data = static(4000, size=16)
    inputs, normal = apply(data, erasing=0.25)[0], data.normalise(data.images)
    changed = (inputs != normal).any(1)
    assert (inputs[changed[:, None].expand_as(inputs)] == 0).all()
    erased = changed.flatten(1).any(1)
    assert 0.25 * 4000 - 110 < erased.sum() < 0.25 * 4000 + 110  # four standard deviations
    area = changed[erased].flatten(1).sum(1)
    height, width = changed[erased].any(2).sum(1), changed[erased].any(1).sum(1)
    assert torch.equal(area, height * width)  # a full rectangle
    assert area.min() < 10 and 70 < area.max() < 100  # 2 % to a third of 256, with sides rounded
    assert (height < 16).all() and (width < 16).all()
    assert changed.float().mean(0).min() > 0  # anywhere, corners too


def test_erasing_all_or_an_image_of_one_pixel() -> None:
    data = static(50)
    assert (apply(data, erasing=1)[0] == 0).flatten(1).any(1).all()
    dot = replace(data, images=data.images[:, :, :1, :1])
    assert torch.equal(apply(dot, erasing=1)[0], dot.normalise(dot.images))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothed_targets_give_the_loss_of_cross_entropy(smoothing: float) -> None:
    scores, labels = torch.randn(8, 10, generator=torch.Generator().manual_seed(2)), torch.arange(8)
    targets = soft_targets(labels, 10, smoothing)
    assert torch.equal(targets.argmax(1), labels)
    assert torch.allclose(targets.sum(1), torch.ones(8))
    ours, theirs = F.cross_entropy(scores, targets), F.cross_entropy(scores, labels, label_smoothing=smoothing)
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_mixup_blends_images_and_targets_with_one_weight() -> None:
    data = static(6)
    normal, plain = data.normalise(data.images), soft_targets(data.labels, 10, 0.1)
    inputs, targets = apply(data, mixup=0.5, label_smoothing=0.1, seed=3)
    weight = ((inputs - normal.flip(0)) / (normal - normal.flip(0))).nanmedian()
    assert 0 < weight < 1
    assert torch.allclose(inputs, weight * normal + (1 - weight) * normal.flip(0), atol=1e-4)
    assert torch.allclose(targets, weight * plain + (1 - weight) * plain.flip(0), atol=1e-4)


def test_the_sample_in_the_middle_of_an_odd_chunk_stays_as_it_is() -> None:
    data = static(5)
    inputs, targets = apply(data, mixup=0.5)
    assert torch.equal(inputs[2], data.normalise(data.images)[2])
    assert targets[2].max() == 1
    one = static(1)
    assert torch.equal(apply(one, mixup=0.5)[0], one.normalise(one.images))


EVENT_TRANSFORMS = {"event_roll": 5, "event_rotation": 30, "event_shear": 17, "event_cutout": 9}
ALL_EVENTS = {"event_flip": True, **EVENT_TRANSFORMS}


@pytest.mark.parametrize(("data", "settings"), [(static(30), ALL_STATIC), (events(30), {**ALL_EVENTS, "mixup": 0.5})])
def test_chunks_of_a_batch_come_out_as_each_does_alone(data: Dataset, settings: dict) -> None:
    augment = build(data, **settings)
    chunks = [(5, 16), (3, 13), (8, 1)]
    inputs, targets = augment.chunks(data.images, data.labels, chunks)
    start = 0
    for seed, size in chunks:
        own = slice(start, start + size)
        alone = augment(data.images[own], data.labels[own], seed)
        assert torch.equal(inputs[own], alone[0]) and torch.equal(targets[own], alone[1])
        start += size


@pytest.mark.parametrize("alpha", [0.5, 2.0])
@pytest.mark.parametrize("probability", [1.0, 0.5])
def test_weights_of_mixup_follow_the_beta_distribution(alpha: float, probability: float) -> None:
    mixup, ends = Mixup(alpha, probability), torch.tensor([[1.0], [0.0]])
    draws = torch.stack([mixup(ends, ends, [Chunk(2, np.random.default_rng(seed))])[0][0, 0] for seed in range(4000)])
    mixed = draws[draws != 1]
    assert abs(len(mixed) - 4000 * probability) < (1 if probability == 1 else 130)
    assert abs(mixed.mean() - 0.5) < 0.03
    assert abs(mixed.var() - 1 / (4 * (2 * alpha + 1))) < 0.01


def test_chunks_of_images_are_always_mixed_and_half_of_those_of_events() -> None:
    data, frames = static(2), events(2, size=4)
    assert all((apply(data, seed=seed, mixup=0.5)[1].max(1).values < 1).all() for seed in range(1, 40))
    mixed = sum(bool((apply(frames, seed=seed, mixup=0.5)[1].max(1).values < 1).all()) for seed in range(200))
    assert 70 < mixed < 130


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_of_randaugment_grow_with_the_magnitude(name: str) -> None:
    image = Image.fromarray(static(1).images[0].permute(1, 2, 0).contiguous().numpy())
    operation = OPERATIONS[name]

    def change(level: float, sign: int) -> float:
        result = operation(image, level, sign, (125, 122, 115))
        assert result.size == image.size and result.mode == image.mode
        return float(np.abs(np.asarray(result, dtype=float) - np.asarray(image, dtype=float)).mean())

    for sign in (-1, 1):
        little, much = change(0.2, sign), change(0.9, sign)
        if name in ("AutoContrast", "Equalize", "Invert"):  # these have no magnitude
            assert little == much > 0
        else:
            assert much > little


def test_magnitudes_of_randaugment_are_those_of_timm() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    grey = Image.fromarray(ramp)

    def row(name: str, level: float, sign: int = 1) -> list[int]:
        return np.asarray(OPERATIONS[name](grey, level, sign, (0,)))[128].tolist()

    assert row("PosterizeIncreasing", 0.9) == [v & 0b10000000 for v in range(256)]  # 4 - int(3.6) = 1 bit
    assert row("PosterizeIncreasing", 1.0) == row("PosterizeIncreasing", 0.9)  # timm: no bit, a black image
    assert row("SolarizeIncreasing", 0.5) == [v if v < 128 else 255 - v for v in range(256)]
    assert row("SolarizeIncreasing", 0) == list(range(256))
    assert row("SolarizeAdd", 0.9) == [v + 99 if v < 128 else v for v in range(256)]
    assert row("BrightnessIncreasing", 0.9, -1)[100] == 19  # 1 - 0.81
    assert row("BrightnessIncreasing", 1.0, -1)[100] == 10  # never below a factor of 0.1
    assert row("BrightnessIncreasing", 0.5)[100] == 145
    assert abs(row("TranslateXRel", 0.5)[50] - (50 + 0.225 * 256)) <= 1
    assert abs(row("ShearX", 1.0)[50] - (50 + 0.3 * 128)) <= 1


def test_randaugment_changes_half_of_the_images_and_fills_with_the_mean_colour() -> None:
    data = static(600)
    result = pixels(data, apply(data, randaugment=9)[0])
    changed = (result != data.images).flatten(1).any(1)
    assert 240 < changed.sum() < 360
    assert len({tuple(image[:, 0, 0].tolist()) for image in result[changed]}) > 100
    mean_colour = torch.tensor([round(255 * value) for value in MEAN], dtype=torch.uint8)
    corners = torch.stack([result[:, :, r, c] for r in (0, -1) for c in (0, -1)], 1)
    assert (corners == mean_colour).all(-1).any(1).sum() > 50  # rotations, shears and translations show it


def test_randaugment_varies_the_magnitude_around_its_setting() -> None:
    bright = torch.full((2000, 1, 4, 4), 100, dtype=torch.uint8)
    result = RandAugment(5, [125])(bright, [Chunk(2000, np.random.default_rng(0))])
    # SolarizeAdd adds int(110 * level), level = 0.5 +- 0.04: the only operation that lifts 100 to 150-160 ...
    lifted = result[:, 0, 1, 1][(result[:, 0, 1, 1] > 147) & (result[:, 0, 1, 1] < 166) & (result[:, 0, 1, 1] != 155)]
    assert len(lifted.unique()) > 5


def frames_of(data: Dataset, inputs: Tensor) -> Tensor:
    assert torch.equal(inputs, inputs.round())  # whole numbers of events
    return inputs.to(data.images.dtype)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.float32])
@pytest.mark.parametrize("name", EVENT_TRANSFORMS)
def test_events_stay_whole_and_are_moved_alike_at_all_steps_and_polarities(name: str, dtype: torch.dtype) -> None:
    data = events(dtype=dtype)
    alike = replace(data, images=data.images[:, :1, :1].expand_as(data.images))
    result = frames_of(alike, apply(alike, **{name: EVENT_TRANSFORMS[name]})[0])
    assert torch.equal(result, result[:, :1, :1].expand_as(result))
    assert not torch.equal(result, alike.images)
    varied = frames_of(data, apply(data, **{name: EVENT_TRANSFORMS[name]})[0])
    assert torch.equal(varied == 0, result == 0)  # and what comes in does not hang on what is shown


def test_event_frames_are_mirrored() -> None:
    data = events(200, size=8, steps=1)
    result = frames_of(data, apply(data, event_flip=True)[0])
    mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(result, data.images, strict=True)]
    assert all(flipped or torch.equal(a, b) for flipped, a, b in zip(mirrored, result, data.images, strict=True))
    assert 70 < sum(mirrored) < 130


def test_event_frames_are_rolled_with_wrap_around() -> None:
    data = events(300, size=8, steps=1)
    result = frames_of(data, apply(data, event_roll=2)[0])
    seen = []
    for frame, rolled in zip(data.images, result, strict=True):
        offsets = [
            (d, r) for d in range(-2, 3) for r in range(-2, 3) if torch.equal(frame.roll((d, r), (-2, -1)), rolled)
        ]
        assert len(offsets) == 1
        seen += offsets
    assert len(set(seen)) == 25
    assert 130 < seen.count((0, 0)) < 200  # half are left alone, and a 25th of the rest moves by nothing


def test_a_square_is_cut_out_of_event_frames() -> None:
    data = events(400, size=16, steps=2)
    result = frames_of(data, apply(data, event_cutout=6)[0])
    empty = (result == 0).all(2).all(1)
    assert torch.equal(
        result[~empty[:, None, None].expand_as(result)], data.images[~empty[:, None, None].expand_as(result)]
    )
    heights, widths = empty.any(2).sum(1), empty.any(1).sum(1)
    assert torch.equal(empty.flatten(1).sum(1), heights * widths)
    assert heights.max() == widths.max() == 6
    inner = empty[:, 4:-4, 4:-4].flatten(1).any(1) & ~empty[:, 0].any(1) & ~empty[:, -1].any(1)
    inner &= ~empty[:, :, 0].any(1) & ~empty[:, :, -1].any(1)
    assert torch.equal(heights[inner], widths[inner])
    assert set(heights[inner].tolist()) == {1, 2, 3, 4, 5, 6}
    assert 150 < (heights > 0).sum() < 250  # half


def test_event_frames_are_turned_about_their_centre_and_sheared_along_rows() -> None:
    size = 33
    dots = torch.zeros(300, 1, 1, size, size, dtype=torch.uint8)
    dots[..., 14:19, 14:19] = 1  # the centre
    dots[..., 2:5, 15:18] = 1  # and a mark 13 pixels above it
    data = Dataset("dots", "train", "events", dots, torch.zeros(300, dtype=torch.int64), 2, None, None)
    rows = torch.arange(size, dtype=torch.float64)[:, None] - 16
    columns = torch.arange(size, dtype=torch.float64)[None, :] - 16

    def marks(**settings) -> list[tuple[float, float]]:
        result = apply(data, **settings)[0][:, 0, 0]
        assert (result[:, 16, 16] == 1).all()
        far = result.double() * ((rows**2 + columns**2) > 49)
        assert (far.sum((1, 2)) >= 4).all()
        mean_row, mean_column = (
            (far * rows).sum((1, 2)) / far.sum((1, 2)),
            (far * columns).sum((1, 2)) / far.sum((1, 2)),
        )
        return list(zip(mean_row.tolist(), mean_column.tolist(), strict=True))

    turned = marks(event_rotation=40)
    angles = [np.degrees(np.arctan2(column, -row)) for row, column in turned]
    assert all(abs(np.hypot(row, column) - 13) < 0.8 for row, column in turned)
    assert max(angles) > 30 and min(angles) < -30 and max(map(abs, angles)) < 43
    sheared = marks(event_shear=30)
    assert all(row == -13 for row, _ in sheared)
    slants = [column / 13 for _, column in sheared]
    assert 0.45 < max(slants) < 0.62 and -0.62 < min(slants) < -0.45  # tan 30 degrees = 0.577


def test_what_has_left_a_frame_does_not_come_back() -> None:
    image = torch.arange(1, 5).view(1, 1, 2, 2)
    none, one = torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.int64)
    for move in ("shift", "roll"):
        resampling = Resampling(1, 2, 2)
        resampling.shift(one, none)  # happens last, and empties the first row
        getattr(resampling, move)(-one, none)
        assert resampling(image, 0)[0, 0, 0].tolist() == [0, 0]


def test_one_transform_at_most_is_applied_to_a_sample() -> None:
    data = events(400, size=16, steps=1)
    result = frames_of(data, apply(data, **EVENT_TRANSFORMS)[0])
    same = (result == data.images).flatten(1).all(1)
    total = data.images.flatten(1).int().sort(1).values
    rolled = (result.flatten(1).int().sort(1).values == total).all(1) & ~same
    cut = ((result == data.images) | (result == 0)).flatten(1).all(1) & ~same
    # none, roll, cutout: a fifth each. Some rolls, rotations and shears are so small that nothing moves.
    assert 55 < same.sum() < 150
    assert 45 < rolled.sum() < 115
    assert 45 < cut.sum() < 115


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        (static(size=8), {"shift": 8}, "shift must be from 0 to 7 pixels for images of 8x8, got 8"),
        (static(), {"shift": -1}, "shift must be"),
        (static(), {"randaugment": 11}, "randaugment must be a magnitude from 0 to 10, got 11"),
        (static(), {"erasing": 1.5}, "erasing must be a probability from 0 to 1, got 1.5"),
        (static(), {"mixup": float("nan")}, "mixup must be"),
        (static(), {"label_smoothing": 1}, "label_smoothing must be from 0 to below 1"),
        (static(), {"event_roll": 3}, "event_roll does not apply to blotches, which holds static images"),
        (static(channels=1), {"event_flip": True}, "event_flip does not apply"),
        (events(), {"flip": True}, "flip does not apply to frames, which holds event frames"),
        (events(), {"event_roll": 32}, "event_roll must be from 0 to 31 pixels for frames of 32x32"),
        (events(), {"event_rotation": 181}, "event_rotation must be"),
        (events(), {"event_shear": 90}, "event_shear must be from 0 to 80 degrees"),
        (events(), {"event_cutout": 33}, "event_cutout must be"),
        (replace(static(), classes=None), {}, "does not say how many classes"),
        (
            replace(static(), images=torch.rand(32, 3, 32, 32), mean=None, std=None),
            {"randaugment": 9},
            "randaugment needs grey or RGB pixels stored as bytes, and blotches has 3 channels of float32",
        ),
    ],
)
def test_an_impossible_setting_is_refused(data: Dataset, settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        build(data, **settings)
    assert "\n" not in str(error.value)


def test_pillow_is_loaded_only_for_randaugment(forked_in, tmp_path) -> None:
    program = "import sys, saformer.training.augmentation; sys.exit('PIL' in sys.modules)"
    assert forked_in(tmp_path, "-c", program)[0].code == 0
