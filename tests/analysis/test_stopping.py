"""Early stopping: when it looks, and that its interval keeps its promise."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
import torch
from scipy import stats

import saformer
from saformer.analysis import Profile, profile
from saformer.analysis.energy import account_for
from saformer.analysis.stopping import FIRST_LOOK, PrecisionRule, looks


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# --- When it looks ---


@pytest.mark.parametrize(
    ("images", "found"),
    [(0, []), (1, []), (32, []), (33, [32]), (64, [32]), (65, [32, 64]), (1000, [32, 64, 128, 256, 512])],
)
def test_looks(images: int, found: list[int]) -> None:
    assert looks(images) == found


class Script:
    """A stand-in for a run: half-widths in the order of the looks, and what was asked."""

    def __init__(self, *widths: float | None, energy: float = 100.0) -> None:
        self.widths, self.energy, self.asked, self.collected = list(widths), energy, [], 0

    def __call__(self, so_far: Profile, confidence: float) -> tuple[float | None, float]:
        self.asked.append(confidence)
        return self.widths.pop(0), self.energy

    def collect(self) -> Profile:
        self.collected += 1
        return cast(Profile, None)


def test_it_collects_only_when_it_looks() -> None:
    script = Script(50, 20, 4)
    rule = PrecisionRule(0.05, 1000, script)
    answers = {n: rule(n, script.collect) for n in range(8, 129, 8)}
    assert [n for n, stop in answers.items() if stop] == [128]
    assert script.collected == 3
    assert script.asked == [1 - 0.05 / 6] * 3
    assert rule.reached == pytest.approx(0.04)


def test_a_big_batch_that_passes_several_looks_is_one_look() -> None:
    script = Script(50, 4)
    rule = PrecisionRule(0.05, 1000, script)
    assert not rule(200, script.collect)
    assert not rule(255, script.collect)
    assert script.collected == 1
    assert rule(256, script.collect)


def test_few_images_are_never_looked_at() -> None:
    script = Script()
    rule = PrecisionRule(0.05, FIRST_LOOK, script)
    assert not any(rule(n, script.collect) for n in range(1, 33))
    assert rule.confidence == 0.95
    assert rule.reached is None


@pytest.mark.parametrize(("width", "energy", "stops"), [(5, 100, True), (5.01, 100, False), (None, 100, False)])
def test_the_target_is_a_share_of_the_energy(width: float | None, energy: float, stops: bool) -> None:
    script = Script(width, energy=energy)
    assert PrecisionRule(0.05, 100, script)(32, script.collect) is stops


def test_no_energy_is_no_reason_to_stop() -> None:
    script = Script(0.0, energy=0.0)
    assert not PrecisionRule(0.05, 100, script)(32, script.collect)


# --- Whether the interval holds the mean ---


@dataclass(frozen=True)
class Prefix:
    """The first images of a run, in the place of a profile: sums instead of a recorder."""

    images: int
    mean: float
    deviation: float


def _half_width(prefix: Any, confidence: float) -> tuple[float | None, float]:
    """Student's t, as `Moments.half_width`; a test below holds it to that."""
    t = stats.t.ppf(1 - (1 - confidence) / 2, prefix.images - 1)
    return t * prefix.deviation / np.sqrt(prefix.images), prefix.mean


IMAGES, RUNS, BATCH = 2048, 500, 16
POPULATIONS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "normal": lambda g: g.normal(100, 25, IMAGES),
    "lognormal": lambda g: g.lognormal(0, 0.3, IMAGES),
    "two-point": lambda g: np.where(g.random(IMAGES) < 0.4, 1.0, 2.0),
}
# Targets at which runs stop at different looks, where luck matters.
TARGETS = {"normal": 0.06, "lognormal": 0.07, "two-point": 0.073}


def _prefixes(order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations of all prefixes."""
    count = np.arange(1, len(order) + 1)
    shifted = order - order[0]
    total, squares = shifted.cumsum(), (shifted**2).cumsum()
    variance = (squares - total**2 / count) / np.maximum(count - 1, 1)
    return order[0] + total / count, np.sqrt(np.maximum(variance, 0))


def simulate(population: np.ndarray, target: float, generator: np.random.Generator) -> tuple[float, float, list[int]]:
    """Share of runs whose final interval holds the mean: our rule's, a naive one's, and where ours stopped."""
    truth, held, naive_held, stopped = population.mean(), 0, 0, []
    counts = np.arange(BATCH, IMAGES, BATCH)
    quantiles = stats.t.ppf(0.975, counts - 1)
    for _ in range(RUNS):
        means, deviations = _prefixes(generator.permutation(population))

        def at(n: int, means: np.ndarray = means, deviations: np.ndarray = deviations) -> Prefix:
            return Prefix(n, means[n - 1], deviations[n - 1])

        rule = PrecisionRule(target, IMAGES, _half_width)
        images = next((n for n in counts if rule(n, cast(Any, lambda n=n: at(n)))), None)
        if images is None:
            held += 1  # the run went through all images: the mean itself
        else:
            width, mean = _half_width(at(images), rule.confidence)
            assert width is not None
            assert rule.reached == pytest.approx(width / mean) and width <= target * mean
            held += abs(mean - truth) <= width
        stopped.append(images or IMAGES)
        widths = quantiles * deviations[counts - 1] / np.sqrt(counts)
        enough = np.flatnonzero(widths <= target * means[counts - 1])
        naive_held += not len(enough) or abs(means[counts[enough[0]] - 1] - truth) <= widths[enough[0]]
    return held / RUNS, naive_held / RUNS, stopped


@pytest.mark.parametrize("kind", POPULATIONS)
def test_the_final_interval_holds_the_mean_of_the_full_set(kind: str) -> None:
    generator = np.random.default_rng(7)
    held, naive, stopped = simulate(POPULATIONS[kind](generator), TARGETS[kind], generator)
    assert held >= 0.95
    assert naive < held
    assert len(set(stopped)) > 1 and max(stopped) < IMAGES, sorted(set(stopped))  # else nothing was put to the test


def test_a_naive_rule_breaks_the_promise() -> None:
    # 95 % at every look, a look after every batch: stopping on a lucky one costs coverage.
    generator = np.random.default_rng(11)
    population = np.where(generator.random(IMAGES) < 0.2, 10.0, 1.0)
    held, naive, _ = simulate(population, 0.3, generator)
    assert naive < 0.93
    assert held >= 0.95


def test_the_interval_of_the_simulation_is_that_of_a_profile() -> None:
    p = _run(images=40)[0]
    account = account_for(p, confidence=0.99)
    energies = _energies(40)
    width, mean = _half_width(Prefix(40, energies.mean(), energies.std(ddof=1)), 0.99)
    assert account.energy_mj == pytest.approx(mean)
    assert account.energy_mj_ci95 == pytest.approx(width)


# --- A run that stops ---


class Net(torch.nn.Module):
    """A first layer that costs the same for all, and one that reads spikes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.lif, self.second = torch.nn.Linear(4, 8), saformer.neurons.LIF(), torch.nn.Linear(8, 64)
        torch.nn.init.normal_(self.first.weight, generator=torch.Generator().manual_seed(0))
        torch.nn.init.constant_(self.first.bias, 1.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.lif(self.first(x)[None])[0])


def _images(count: int) -> torch.Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(5))


def _half(so_far: Profile, confidence: float) -> tuple[float | None, float]:
    account = account_for(so_far, confidence=confidence)
    return account.energy_mj_ci95, account.energy_mj


def _run(images: int, precision: float | None = None) -> tuple[Profile, PrecisionRule | None]:
    rule = None if precision is None else PrecisionRule(precision, images, _half)
    return profile(Net(), _images(images).split(8), enough=rule, check_flops=False), rule


def _energies(count: int) -> np.ndarray:
    return np.array([profile(Net(), [x[None]], check_flops=False).account().energy_mj for x in _images(count)])


def test_a_profile_stops_at_the_first_look_that_is_enough() -> None:
    p, rule = _run(400, 0.2)
    assert rule is not None and rule.reached is not None
    assert p.images in looks(400)
    account = account_for(p, confidence=rule.confidence)
    assert account.energy_mj_ci95 is not None
    assert account.energy_mj_ci95 / account.energy_mj == pytest.approx(rule.reached)
    assert rule.reached <= 0.2
    whole, tight = _run(400, 1e-6)
    assert whole.images == 400
    assert tight is not None and tight.reached is None


def test_the_images_before_the_stop_are_counted_as_ever() -> None:
    p, _ = _run(400, 0.2)
    plain = profile(Net(), _images(400)[: p.images].split(8), check_flops=False)
    assert p.operations == plain.operations
    assert p.moments == plain.moments


def test_the_confidence_of_the_looks_goes_with_the_profile() -> None:
    p, _ = _run(400)
    wider = Profile.from_json(json.loads(json.dumps({**p.to_json(), "run": {**p.run, "confidence": 0.99}})))
    assert wider.account().energy_mj_ci95 == account_for(p, confidence=0.99).energy_mj_ci95
    assert wider.account().energy_mj_ci95 > p.account().energy_mj_ci95
