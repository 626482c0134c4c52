"""The page in a real browser: Debian's Chromium, driven by Playwright."""

import shutil
from pathlib import Path

import pytest

from saformer.reports.figures.saving import figure_bytes
from saformer.reports.writers.html.page import html_text

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: apt install chromium)")


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is a development dependency")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory, made_page) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html_text(made_page, "A page", figure_bytes), encoding="utf-8")
    return path


@pytest.fixture
def page(browser, file):
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("request", lambda request: page.problems.append(request.url) if request.url.startswith("http") else None)
    page.goto(file.as_uri())
    yield page
    assert page.problems == []
    context.close()


def layers(page):
    """The table of operations, which folds by block."""
    return page.locator("table.interactive", has=page.locator("caption", has_text="accounting paper")).first


def column(table, number: int) -> list[str]:
    rows = table.locator("tbody tr:visible")
    return [rows.nth(i).locator("th, td").nth(number).inner_text() for i in range(rows.count())]


def test_it_opens_without_an_error_and_asks_no_network(page):
    assert page.title() == "A page"
    assert page.locator("h2").count() >= 4


def test_a_block_folds_and_unfolds_by_keyboard(page):
    table = layers(page)
    before = column(table, 0)
    button = table.locator("tr.group button").first
    inside = table.locator('tr[data-group="1"]')
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-expanded") == "false"
    assert inside.count() > 0 and not any(inside.nth(i).is_visible() for i in range(inside.count()))
    page.keyboard.press("Space")
    assert button.get_attribute("aria-expanded") == "true"
    assert column(table, 0) == before


def test_all_blocks_fold_at_once(page):
    table = layers(page)
    page.get_by_role("button", name="Fold all blocks").first.click()
    page.locator(".tools button", has_text="Fold all").last.click()
    table.evaluate("t => t.closest('.scroll').previousElementSibling.firstElementChild.click()")
    assert table.locator("tr.child:visible").count() == 0
    assert table.locator("tr.group:visible").count() > 1


def test_sorting_goes_down_then_up_then_back_and_keeps_sums_at_the_foot(page):
    table = layers(page)
    before = column(table, 0)
    header = table.locator("thead th", has_text="FLOPs")
    exact = "t => [...t.tBodies[0].querySelectorAll('tr.group')].map(r => Number(r.cells[2].dataset.value))"
    header.locator("button").focus()
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "descending"
    down = table.evaluate(exact)
    assert down == sorted(down, reverse=True)
    assert column(table, 0)[-1] == before[-1] == "total"
    page.keyboard.press("Enter")
    assert table.evaluate(exact) == sorted(down)
    assert column(table, 0)[-1] == "total"
    page.keyboard.press("Enter")
    assert column(table, 0) == before


def test_operations_stay_in_their_block_when_sorted(page):
    table = layers(page)
    table.locator("thead th button", has_text="FLOPs").click()
    groups = table.evaluate("t => [...t.tBodies[0].rows].map(r => r.dataset.block || r.dataset.group || '')")
    runs = [group for i, group in enumerate(groups) if i == 0 or group != groups[i - 1]]
    assert len([run for run in runs if run]) == len({run for run in runs if run})


@pytest.mark.parametrize("width", [375, 768, 1200])
def test_nothing_makes_the_page_scroll_sideways(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_figure_has_a_text_alternative_and_loads(page):
    images = page.locator("img")
    assert images.count() > 3
    for i in range(images.count()):
        assert len(images.nth(i).get_attribute("alt") or "") > 40
        assert images.nth(i).evaluate("image => image.complete && image.naturalWidth > 0")


def test_headings_are_linked_and_identifiers_are_unique(page):
    targets = page.locator("nav a").evaluate_all("links => links.map(link => link.getAttribute('href').slice(1))")
    identifiers = page.locator("[id]").evaluate_all("found => found.map(element => element.id)")
    assert targets and set(targets) <= set(identifiers)
    assert len(identifiers) == len(set(identifiers))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_page_in_light_and_dark(page, scheme):
    page.emulate_media(color_scheme=scheme)
    colours = page.evaluate(
        "() => ['color', 'backgroundColor'].map(k => getComputedStyle(document.body)[k].match(/[0-9.]+/g).map(Number))"
    )

    def luminance(rgb):
        parts = [c / 255 / 12.92 if c / 255 <= 0.03928 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb[:3]]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    light, dark = sorted(map(luminance, colours), reverse=True)
    assert (light + 0.05) / (dark + 0.05) > 7


def test_print_shows_what_was_folded(page):
    layers(page).locator("tr.group button").first.click()
    page.emulate_media(media="print")
    assert layers(page).locator("tr.child").first.is_visible()


def test_it_shows_everything_without_the_script(browser, file):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    table = layers(page)
    assert table.locator("tr.child:visible").count() == table.locator("tr.child").count() > 0
    context.close()
