"""The report: one file that a browser shows without a network, every figure with what was found."""

import csv
import shutil
from pathlib import Path

import pytest
from conftest import Project, copy_sources
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

pytestmark = pytest.mark.xdist_group("report")

MARKUP = r"A *strange* `claim`_ of |bars|, <b>tags</b>, {{ braces }}, **stars, a \ and a link_"
SMALL = f"""
experiments:
  images: null
  synthetic:
    training: {{steps: 60, members: 6}}
    record: {{per_decade: 4}}
    decomposition: {{fft: {{threshold: 0.95}}}}  # so that something is captured in sixty steps
    sweep: {{model.activation: [tanh, relu]}}
claims:
  synthetic_order: {{statement: '{MARKUP}'}}
  projection_order: null
  projection_lead: null
  filtering_lead: null
  filtering_low_first: null
  filtering_low_first_beyond_share: null
figures:
  projection: null
  filtering: null
  animation: {{kind: animation, experiment: synthetic}}
  activations: {{kind: order, experiment: synthetic}}
  claims: {{kind: claims}}
"""
FIGURES = {
    "Frequency Principle": ["animation", "synthetic"],
    "Scope": ["activations"],
    "Claims": ["claims"],
}
OPTIONS = (
    "headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
    "disable-component-update", "disable-sync", "disable-dev-shm-usage", "window-size=1400,700",
    "host-resolver-rules=MAP * ~NOTFOUND",  # whatever the page would fetch becomes an error
)  # fmt: skip


@pytest.fixture(scope="module")
def reported(tmp_path_factory) -> tuple[Project, tuple]:
    """A project with its report, and its overlays."""
    project = copy_sources(tmp_path_factory.mktemp("report") / "project")
    overlays = project.overlay(SMALL)
    project.make("figures", overlays=overlays)
    project.make("report_inputs", overlays=overlays)
    report = ("--report", "results/report.html", "--report-stylesheet", "workflow/report/style.css")
    project.make(*report, "report_inputs", overlays=overlays)
    return project, overlays


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("chromium or chromedriver is missing; apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for option in (*OPTIONS, f"user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(f"--{option}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as browser:
        yield browser


class Page:
    """The report in a browser, used as a reader would."""

    def __init__(self, browser, path: Path):
        self.browser, self.url = browser, path.as_uri()
        self.open()

    def open(self, *menu_entries: str) -> None:
        """The start page, then the entries of the menu, clicked one after the other."""
        self.browser.get(self.url)
        for entry in menu_entries:
            self.click(f"//nav//a[normalize-space()='{entry}']")

    def find(self, xpath: str):
        return self.wait(lambda browser: browser.find_element(By.XPATH, xpath))

    def click(self, xpath: str) -> None:
        """As soon as nothing that moves is in front of it."""
        self.wait(lambda browser: browser.find_element(By.XPATH, xpath).click() or True)

    def wait(self, condition):
        return WebDriverWait(self.browser, 20, ignored_exceptions=[Exception]).until(condition)

    def names(self) -> list[str]:
        """What the open category holds."""
        self.find("//nav//tbody/tr")
        return [cell.text for cell in self.browser.find_elements(By.XPATH, "//nav//tbody/tr/td[1]")]

    def button(self, name: str, which: int) -> None:
        self.click(f"(//nav//tbody/tr[td[normalize-space()='{name}']]//a)[{which}]")

    def show(self, name: str) -> None:
        self.button(name, 1)

    def caption(self, name: str) -> str:
        self.button(name, 2)
        return self.find("//li[contains(@class, 'prose')]").text

    def picture(self):
        """The picture that is shown, drawn and with its top within reach; on a page of its own or not."""
        picture = self.find("//div[@id='app']/div/div//*[self::img or self::iframe]")
        if picture.tag_name == "iframe":
            self.browser.switch_to.frame(picture)
            picture = self.find("//img")
        else:
            self.browser.execute_script("arguments[0].scrollTop = 0", self.find("//div[@id='app']/div/div[last()]"))
        self.wait(lambda browser: picture.get_property("complete") and picture.get_property("naturalWidth") > 0)
        shown = picture.is_displayed() and picture.rect["y"] >= 0 and picture.rect["width"] > 200
        self.browser.switch_to.default_content()
        return shown

    def framed_text(self) -> str:
        """The text of the page that is shown, all its entries unfolded."""
        self.browser.switch_to.frame(self.find("//iframe"))
        self.find("//h1")
        for fold in self.browser.find_elements(By.TAG_NAME, "summary"):
            fold.click()
        text = self.find("//body").text
        self.browser.switch_to.default_content()
        return text


@pytest.fixture
def page(chromium, reported):
    """The report, opened; afterwards, the browser must have had nothing to complain of."""
    yield Page(chromium, reported[0] / "results/report.html")
    errors = [entry["message"] for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"]
    assert not errors


def judged(project: Project) -> list[dict[str, str]]:
    with open(project / "results/claims.csv", newline="") as table:
        return list(csv.DictReader(table))


@pytest.mark.workflow
def test_first_page_shows_the_claims(page):
    picture = page.find("//main//img")
    page.wait(lambda browser: picture.get_property("complete") and picture.get_property("naturalWidth") > 0)
    window = page.browser.execute_script("return window.innerHeight")
    assert picture.is_displayed()
    assert picture.rect["width"] > 400
    assert 0 <= picture.rect["y"] < window / 2


@pytest.mark.workflow
def test_every_verdict_has_a_line_on_the_first_page_that_leads_to_its_row(page, reported):
    rows = judged(reported[0])
    assert len({(row["claim"], row["variant"]) for row in rows}) == len(rows) > 2
    page.find("//table[@class='verdicts']")
    assert len(page.browser.find_elements(By.XPATH, "//table[@class='verdicts']//tr[td]")) == len(rows)
    for number, row in enumerate(rows, start=1):
        page.open()
        line = page.find(f"(//table[@class='verdicts']//tr[td])[{number}]")
        assert f"{row['value']} [{row['ci_low']}, {row['ci_high']}]" in line.text or not row["value"]
        assert all(row[column] in line.text for column in ("verdict", "variant", "statistic", "bound"))
        page.click(f"(//table[@class='verdicts']//tr[td])[{number}]//a")
        page.browser.switch_to.frame(page.find("//iframe"))
        target = page.wait(lambda browser: browser.find_element(By.CSS_SELECTOR, "tr:target"))
        place = page.browser.execute_script("return arguments[0].getBoundingClientRect().top", target)
        assert 0 <= place < page.browser.execute_script("return window.innerHeight")
        claim = target.find_element(By.XPATH, "../tr[th]").text
        assert f"{row['claim']}; experiment {row['experiment']}" in claim
        assert [cell.text for cell in target.find_elements(By.TAG_NAME, "td")][:2] == [row["variant"], row["statistic"]]
        page.browser.switch_to.default_content()


@pytest.mark.workflow
@pytest.mark.parametrize("figure", [name for names in FIGURES.values() for name in names])
def test_every_figure_is_one_click_away(page, figure):
    page.click(f"//main//a[normalize-space()='{figure}']")
    assert page.picture()
    assert figure in page.names(), "the menu is at the figure's category, where its caption is"


@pytest.mark.workflow
@pytest.mark.parametrize(("category", "names"), FIGURES.items())
def test_every_figure_is_shown_with_what_was_found(page, reported, category, names):
    numbers = ["median {value} [{ci_low}, {ci_high}]".format_map(row) for row in judged(reported[0])]
    page.open(category)
    assert [name for name in page.names() if name != "table of all claims"] == names
    for name in names:
        page.open(category)
        page.show(name)
        assert page.picture(), name
        caption = page.caption(name)
        for part in ("Shows:", "Look at:", "Found:", f"{MARKUP} (first_order >= 0.8): "):
            assert part in caption
        assert any(number in caption for number in numbers), caption


@pytest.mark.workflow
def test_table_of_claims_opens(page):
    page.open("Claims")
    page.show("table of all claims")
    text = page.framed_text()
    for part in (MARKUP, "activation~relu", "first_order", ">= 0.8", "6 of 6"):
        assert part in text


@pytest.mark.workflow
def test_configuration_opens_with_defaults_filled_in(page):
    page.open("Configuration")
    page.show("resolved configuration")
    text = page.framed_text()
    for part in ("synthetic/activation~relu", "steps: 60", "learning_rate: 0.001", "colormap: cividis"):
        assert part in text


@pytest.mark.workflow
def test_run_times_are_shown(page):
    page.open("Statistics")
    for chart in ("runtimes", "timeline"):
        assert page.find(f"//div[@id='{chart}']//*[local-name()='canvas' or local-name()='svg']").size["height"] > 50


@pytest.mark.workflow
def test_home_is_the_first_page(page):
    page.open("Statistics")
    page.find("//div[@id='runtimes']")
    page.click("(//nav//a)[2]")
    assert page.find("//main//img").is_displayed()


@pytest.mark.workflow
def test_without_its_pages_a_report_begins_with_how_to_read_it(reported, chromium):
    """`snakemake --report` of the figures alone, whatever else was made."""
    project, overlays = reported
    overview = project / "results/report/overview.html"
    aside = overview.rename(project / "overview.html")
    project.make("--report", "results/figures.html", overlays=overlays)
    aside.rename(overview)
    page = Page(chromium, project / "results/figures.html")
    assert "The results are at the left" in page.find("//div[contains(@class, 'prose')]").text


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("template", "planned"),
    [
        ("base", {"animation_page animation", "claims_page", "config_page", "overview_page"}),
        ("claims_page", {"claims_page"}),
        ("overview_page", {"overview_page"}),
    ],
)
def test_edit_of_a_template_plans_its_pages_again(reported, template, planned):
    project, overlays = reported
    path = project / f"workflow/report/{template}.html.jinja"
    before = path.read_text()
    path.write_text(before + "{# edited #}\n")
    try:
        assert project.plan("report_inputs", overlays=overlays) == planned | {"report_inputs"}
    finally:
        path.write_text(before)


@pytest.mark.workflow
def test_what_was_found_runs_no_job_again(reported):
    project, overlays = reported
    assert project.plan("report_inputs", "figures", overlays=overlays) == set()


@pytest.mark.workflow
@pytest.mark.parametrize("broken", ["", "claim,verdict\nsynthetic_order,holds\n", "\0\n\0", 'claim\n"'])
def test_broken_claims_do_not_keep_the_workflow_from_starting(project, broken):
    (project / "results").mkdir()
    (project / "results/claims.csv").write_text(broken)
    planned = project.plan("figures")
    assert "judge_claims" in planned
    assert "claims_page" not in planned
