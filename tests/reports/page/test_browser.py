"""The page in a real browser: Debian's Chromium, driven by Playwright."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from saformer.analysis.accounting.hardware import load_hardware
from saformer.reports.document.blocks import Picture, Report
from saformer.reports.page import contents
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
def file(tmp_path_factory, made_page, drawings) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html_text(made_page, "A page", drawings), encoding="utf-8")
    return path


@pytest.fixture
def page(browser, file):
    context = browser.new_context(viewport={"width": 1280, "height": 800}, has_touch=True)
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
    """The table of operations of the first network, which folds by block, in its section."""
    return page.locator("#digits-saformer-on-digits > .scroll table.interactive")


def open_all(page):
    """Every section, every part, and every block of every table."""
    page.evaluate("document.querySelectorAll('.section, .part').forEach((fold) => { fold.open = true })")
    page.evaluate("document.querySelectorAll('main .tools button:last-child').forEach((unfold) => unfold.click())")


def column(table, number: int) -> list[str]:
    return table.locator(f"tbody tr:visible > :nth-child({number + 1})").all_inner_texts()


def test_it_opens_without_an_error_and_asks_no_network(page):
    assert page.title() == "A page"
    assert page.locator("h2").count() >= 4


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (375, 812)])
def test_the_summary_is_one_screen_and_the_page_at_most_ten(page, width, height):
    page.set_viewport_size({"width": width, "height": height})
    summary = page.locator("header table.cards").bounding_box()
    assert summary["y"] + summary["height"] <= height
    for asked in ("µJ", "block.", "±", "by other accountings", "%", "every operation has an input of spikes"):
        assert asked in page.locator("header table.cards").inner_text()
    assert page.evaluate("document.documentElement.scrollHeight") <= 10 * height


def test_a_long_name_leaves_room_for_the_columns_beside_it(browser, subjects, tmp_path):
    long = "my_spiking_transformer_with_membrane_shortcuts_and_a_path/runs/final_best.pt"
    made = contents.page([replace(subjects[0], name=long)], load_hardware("45nm-fp32"), "paper", [], "")
    text = html_text(Report([part for part in made.parts if not isinstance(part, Picture)]), "A page", {})
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto((tmp_path / "page.html").as_uri())
    table = page.locator("header .scroll")
    assert table.evaluate("frame => frame.scrollWidth - frame.clientWidth") <= 0
    assert table.bounding_box()["height"] < 300
    page.close()


def test_the_first_paint_does_not_wait(browser, file):
    context = browser.new_context()
    page = context.new_page()
    page.goto(file.as_uri())
    painted = page.evaluate(
        "() => new Promise((done) => new PerformanceObserver((list) => done(list.getEntries()[0].startTime))"
        ".observe({ type: 'paint', buffered: true }))"
    )
    assert painted < 2000
    assert file.stat().st_size < 1_500_000
    context.close()


def test_a_link_opens_the_section_that_it_leads_to(page):
    section = page.locator("details#digits-spikformer-on-digits")
    assert not section.evaluate("fold => fold.open")
    page.locator("header table.cards a", has_text="digits/spikformer").click()
    assert section.evaluate("fold => fold.open")
    page.evaluate("location.hash = 'is-digits-spikformer-spike-driven'")
    page.locator("details#is-digits-spikformer-spike-driven[open]").wait_for()


def test_all_sections_open_and_fold_at_once(page):
    page.get_by_role("button", name="Open all sections").click()
    assert page.locator(".section:not([open]), .part:not([open])").count() == 0
    page.get_by_role("button", name="Fold all sections").click()
    assert page.locator(".section[open], .part[open]").count() == 0


def test_a_block_folds_and_unfolds_by_keyboard(page):
    open_all(page)
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
    open_all(page)
    table = layers(page)
    table.evaluate("t => t.closest('.scroll').previousElementSibling.firstElementChild.click()")
    assert table.locator("tr.child:visible").count() == 0
    assert table.locator("tr.group:visible").count() > 1


def test_sorting_goes_down_then_up_then_back_and_keeps_sums_at_the_foot(page):
    open_all(page)
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
    open_all(page)
    table = layers(page)
    table.locator("thead th button", has_text="FLOPs").click()
    groups = table.evaluate("t => [...t.tBodies[0].rows].map(r => r.dataset.block || r.dataset.group || '')")
    runs = [group for i, group in enumerate(groups) if i == 0 or group != groups[i - 1]]
    assert len([run for run in runs if run]) == len({run for run in runs if run})


@pytest.mark.parametrize("width", [375, 768, 1200])
def test_nothing_makes_the_page_scroll_sideways(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_figure_has_a_name_and_its_values_in_a_table(page):
    figures = page.locator("figure")
    assert figures.count() > 3
    for i in range(figures.count()):
        svg = figures.nth(i).locator("svg[role=img]")
        assert len(svg.get_attribute("aria-label")) > 40
        assert figures.nth(i).locator(".values tbody tr").count() > 1
    # What the table says is what the figure shows: the energies of the three networks.
    rows = figures.first.locator(".values tbody tr").all_text_contents()
    assert [text for text in rows if "digits/sdt" in text and "±" in text and "%" in text]


def test_a_value_is_said_under_the_pointer(page):
    mark = page.locator("figure").first.locator(".marks rect").first
    mark.hover()
    said = page.locator(".value")
    assert said.is_visible() and said.inner_text().startswith("digits/saformer: ") and "µJ" in said.inner_text()
    page.locator("h1").hover()
    assert not said.is_visible()


def test_a_tap_enlarges_a_figure_and_escape_puts_it_back(page):
    page.set_viewport_size({"width": 375, "height": 812})
    frame = page.locator("figure .frame").first
    narrow = frame.locator("svg").bounding_box()["width"]
    frame.locator("button.enlarge").tap()
    dialog = page.get_by_role("dialog")
    assert dialog.locator("svg").bounding_box()["width"] > 1.8 * narrow
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.keyboard.press("Escape")
    assert dialog.count() == 0
    assert frame.locator("svg").bounding_box()["width"] == narrow
    assert page.evaluate("document.activeElement.className") == "enlarge"
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Close").click()
    assert dialog.count() == 0 and frame.locator("svg").count() == 1


def test_headings_are_linked_and_identifiers_are_unique(page):
    targets = page.locator("nav a").evaluate_all("links => links.map(link => link.getAttribute('href').slice(1))")
    identifiers = page.locator("[id]").evaluate_all("found => found.map(element => element.id)")
    assert targets and set(targets) <= set(identifiers)
    assert len(identifiers) == len(set(identifiers))


COLOUR = "(element, key) => getComputedStyle(element)[key].match(/[0-9.]+/g).map(Number)"


def luminance(rgb):
    parts = [c / 255 / 12.92 if c / 255 <= 0.03928 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb[:3]]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one, other):
    light, dark = sorted(map(luminance, (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def style(locator, key):
    return locator.evaluate(f"element => ({COLOUR})(element, {key!r})")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_figures_stand_out_from_the_page_in_light_and_dark(page, scheme):
    page.emulate_media(color_scheme=scheme)
    ground = style(page.locator("body"), "backgroundColor")
    assert (luminance(ground) > 0.5) is (scheme == "light")
    figure = page.locator("figure svg[role=img]").first
    assert contrast(style(page.locator("body"), "color"), ground) > 7
    assert contrast(style(figure.locator("use[href^='#_']").first, "fill"), ground) > 7
    bars = figure.locator('path[clip-path][stroke][fill^="var"]')
    assert bars.count() >= 3
    assert all(contrast(style(bars.nth(i), "fill"), ground) > 2 for i in range(3))
    paper = figure.locator("path").first
    assert style(paper, "fill")[:3] == ground[:3]


def test_print_is_light_and_shows_what_was_folded(page):
    page.emulate_media(color_scheme="dark")
    page.emulate_media(media="print")
    assert luminance(style(page.locator("body"), "backgroundColor")) == 1
    assert page.locator("details:not([open])").count() == 0
    assert layers(page).locator("tr.child").first.is_visible()
    page.emulate_media(media="screen")
    page.locator("details#digits-saformer-on-digits:not([open])").wait_for()
    assert page.locator(".section[open]").count() == 1


def test_nothing_but_its_own_script_and_style_runs(browser, file):
    context = browser.new_context()
    page = context.new_page()
    page.goto(file.as_uri())
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        document.body.append(script);
        const image = document.createElement("img");
        image.setAttribute("onerror", "window.ran = true");
        image.src = "https://example.org/x.png";
        document.body.append(image);
    }""")
    page.wait_for_timeout(100)
    assert page.evaluate("window.ran") is None
    context.close()


def test_it_shows_everything_without_the_script(browser, file):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    page.locator("#digits-saformer-on-digits > summary").click()
    table = layers(page)
    assert table.locator("tr.child:visible").count() == table.locator("tr.child").count() > 0
    context.close()
