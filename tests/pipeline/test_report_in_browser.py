"""Test report.html in a real browser: no requests, no console errors, accessible.

Opened from the file system, as on a phone, on a desk and on paper. Needs Chromium and axe-core (`make browser`),
and skips where one is absent.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

AXE = Path(__file__).parent / "node_modules/axe-core/axe.min.js"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
WIDTHS = {
    "small phone": {"width": 320, "height": 640},
    "phone": {"width": 390, "height": 844},
    "desk": {"width": 1280, "height": 900},
}
KINDS = ("real", "synthetic")


@dataclass(frozen=True)
class Watched:
    """A page, and what was noted while it was open."""

    page: object
    requests: list[str]
    complaints: list[str]


pytestmark = [pytest.mark.browser, pytest.mark.slow]  # tests/code/report checks the same page without a browser


@pytest.fixture(scope="module")
def browser():
    library = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `make install`")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser ({', '.join(BROWSERS)}): `make browser` installs one")
    with library.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def files(request, tmp_path_factory) -> dict[str, Path]:
    """The report of the small pipeline as it stands, and a larger one from made-up results."""
    folder = tmp_path_factory.mktemp("reports")
    first = request.getfixturevalue("first")
    shutil.copy(first.path / "reports/report.html", folder / "report.html")
    (folder / "synthetic.html").write_text(synthetic_page(), encoding="utf-8")
    return {"real": folder / "report.html", "synthetic": folder / "synthetic.html"}


def synthetic_page() -> str:
    import synthetic_results as synthetic

    from fitgap import claims
    from fitgap.report import page

    study = synthetic.study()
    registration = {"why": "**scratch@dropout** holds it.", "address": "models:/fitgap@champion", "version": "1"}
    return page.render_html(page.measure(study, claims.judge_all(study), {"Python": "3.11"}, registration))


@pytest.fixture
def open_page(browser, files):
    """Open a report; everything it asks for and complains of is noted from the first moment."""
    contexts = []

    def opened(kind: str, **options) -> Watched:
        contexts.append(browser.new_context(**options))
        watched = Watched(contexts[-1].new_page(), [], [])
        watched.page.on("request", lambda request: watched.requests.append(request.url))
        watched.page.on("console", lambda message: watched.complaints.append(message.text))
        watched.page.on("pageerror", lambda error: watched.complaints.append(str(error)))
        watched.page.goto(files[kind].as_uri(), wait_until="load")
        return watched

    yield opened
    for context in contexts:
        context.close()


def unfold(page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", WIDTHS)
def test_no_request_leaves_the_file_nothing_complains_and_no_page_is_too_wide(open_page, files, kind, size):
    watched = open_page(kind, viewport=WIDTHS[size])
    unfold(watched.page)
    watched.page.mouse.wheel(0, 100_000)
    watched.page.wait_for_load_state("networkidle")
    assert [url for url in watched.requests if not url.startswith("data:")] == [files[kind].as_uri()]
    assert watched.complaints == []
    assert watched.page.evaluate("document.scrollingElement.scrollWidth <= document.scrollingElement.clientWidth")


@pytest.mark.parametrize(
    ("kind", "size", "scheme", "is_unfolded"),
    [
        ("real", "desk", "light", False),
        ("real", "phone", "dark", True),
        ("synthetic", "desk", "light", True),
        ("synthetic", "phone", "dark", True),
        ("synthetic", "small phone", "light", False),
    ],
)
def test_axe_finds_no_violations(open_page, kind, size, scheme, is_unfolded):
    if not AXE.exists():
        pytest.skip("axe-core is not installed: `make browser`")
    # The page's own policy forbids scripts but its own: that is lifted for this test alone.
    page = open_page(kind, viewport=WIDTHS[size], color_scheme=scheme, bypass_csp=True).page
    page.add_script_tag(path=AXE)
    if is_unfolded:
        unfold(page)
        page.locator("table.sortable thead button").last.click()
        page.locator(".slider").first.focus()
    found = page.evaluate("axe.run()")
    assert len(found["passes"]) > 20
    assert [said(violation) for violation in found["violations"]] == []


def said(violation: dict) -> str:
    places = "; ".join(f"{node['target']}: {node['html'][:120]}" for node in violation["nodes"][:3])
    return f"{violation['id']} ({violation['impact']}): {violation['help']}: {places}"


@pytest.mark.parametrize("kind", KINDS)
def test_paper_cuts_nothing_off(open_page, kind):
    page = open_page(kind, viewport={"width": 720, "height": 1000}).page  # the width of A4 between its margins
    page.emulate_media(media="print")
    wide = "[...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > innerWidth + 1)"
    assert page.evaluate(f"{wide}.filter(one => !one.closest('.skip')).map(one => one.outerHTML.slice(0, 90))") == []


def column(table, number: int) -> list[str]:
    return table.locator(f"tbody tr > :nth-child({number})").all_inner_texts()


def test_headings_sort_tables_by_units_signs_and_missing_values(open_page):
    page = open_page("synthetic", viewport=WIDTHS["desk"]).page
    unfold(page)
    classes = page.locator("section[aria-labelledby=mistakes] table.sortable")
    before, heading = column(classes, 1), classes.locator("thead th").nth(2)
    for state, is_reversed in (("ascending", False), ("descending", True)):
        heading.get_by_role("button").click()
        shares = [float(text.removesuffix("%")) for text in column(classes, 3)]
        assert shares == sorted(shares, reverse=is_reversed) and len(set(shares)) > 2
        assert heading.get_attribute("aria-sort") == state
    heading.get_by_role("button").click()
    assert column(classes, 1) == before and heading.get_attribute("aria-sort") is None
    models = page.locator("table.sortable:has(#models-caption)")
    headings = models.locator("thead th").all_inner_texts()
    for heading, is_always_last in (("weights", False), ("best validation loss", True)):
        place = headings.index(heading)
        models.locator("thead button").nth(place).press("Enter")
        assert column(models, 1)[-1] == "asis"  # it has the most weights, and no validation loss
        models.locator("thead button").nth(place).press("Enter")
        assert (column(models, 1)[-1] == "asis") is is_always_last
    differences = page.locator("table.sortable:has(#scratch-calibration-caption)")
    differences.locator("thead button").nth(2).click()
    shown = [text.split(" ")[0].replace("−", "-") for text in column(differences, 3)]
    assert shown[-1] == "–" and [float(text) for text in shown[:-1]] == sorted(float(text) for text in shown[:-1])


@pytest.mark.parametrize("size", WIDTHS)
def test_curves_tell_their_values_under_the_pointer(open_page, size):
    page = open_page("synthetic", viewport=WIDTHS[size]).page
    figure = page.locator("figure[data-curves]").nth(1)
    slider, tip, data = figure.locator(".slider"), page.locator(".tip"), json.loads(figure.get_attribute("data-curves"))
    assert not tip.is_visible()
    box = slider.bounding_box()
    for share, epoch in ((0, data["epochs"][0]), (1, data["last"])):
        x = data["frame"]["left"] + share * (data["frame"]["right"] - data["frame"]["left"])
        slider.hover(position={"x": min(x * box["width"], box["width"] - 1), "y": box["height"] / 2})
        values = {name: values[data["epochs"].index(epoch)] for name, values in data["lines"]}
        told = [f"epoch {epoch}", *(f"{name} {value:.3f} nats".replace("-", "−") for name, value in values.items())]
        assert tip.inner_text().splitlines() == told
        assert slider.get_attribute("aria-valuetext") == ", ".join(told)
        place = tip.bounding_box()
        assert 0 <= place["x"] and place["x"] + place["width"] <= WIDTHS[size]["width"]
    page.mouse.move(0, 0)
    assert not tip.is_visible()


def test_a_link_unfolds_what_it_leads_to(open_page):
    page = open_page("synthetic", viewport=WIDTHS["phone"]).page
    link = page.locator(".forest .rows a").last
    statement = page.locator(link.get_attribute("href"))
    assert not statement.is_visible()
    link.click()
    statement.locator("summary").wait_for(state="visible")


def test_curves_tell_their_values_to_the_keyboard(open_page):
    page = open_page("real", viewport=WIDTHS["desk"]).page
    slider, tip = page.get_by_role("slider").first, page.locator(".tip")
    slider.focus()
    last = int(slider.get_attribute("aria-valuemax"))
    assert tip.inner_text().startswith(f"epoch {last}\n")
    for key, epoch in (("ArrowLeft", last - 1), ("Home", 1), ("ArrowLeft", 1), ("ArrowRight", 2), ("End", last)):
        slider.press(key)
        assert tip.inner_text().startswith(f"epoch {epoch}\n")
        assert slider.get_attribute("aria-valuenow") == str(epoch)
    slider.press("Escape")
    assert not tip.is_visible()


def test_page_is_whole_without_its_script(open_page):
    page = open_page("synthetic", viewport=WIDTHS["desk"], java_script_enabled=False).page
    assert page.locator("table.sortable thead th").count() > 20
    assert page.locator("button, .slider, .tip, .hint").count() == 0
