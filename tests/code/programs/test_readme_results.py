"""The README's table, findings and pictures are those of one run, and of the pipeline that there is."""

import json
import re

import networkx
import pytest
from dvc.repo import Repo

from fitgap.programs import readme_results
from fitgap.system.errors import UserError

SUMMARY = """\
model,family,test_accuracy_mean,test_accuracy_sd,gap_last_mean,gap_last_sd,seeds
scratch@baseline,scratch,0.91,0.01,0.36,0.09,3
scratch@dropout,scratch,0.89,0.01,0.30,0.01,3
scratch@batchnorm,scratch,0.95,0.02,0.20,0.07,3
scratch@l1,scratch,0.90,0.02,0.36,0.15,3
scratch@l2,scratch,0.92,0.02,0.10,0.05,3
head@baseline,head,0.89,0.002,0.42,0.02,3
finetune@block5,finetune,0.90,0.02,0.43,0.04,3
asis,asis,0.46,,,,0
"""
REPORT = "# fitgap\n\n1. **l2** is closest.\n2. **batchnorm** is best.\n\n## What\n\n1. no finding\n"


@pytest.fixture
def reports(tmp_path, monkeypatch):
    """Prepare a folder with a small report, a README and docs/, and make it the current one."""
    folder = tmp_path / "reports"
    folder.mkdir()
    (tmp_path / "docs").mkdir()
    (folder / "summary.csv").write_text(SUMMARY)
    (folder / "claims.json").write_text(json.dumps([{"verdict": "inconclusive"}, {"verdict": "supported"}]))
    (folder / "report.md").write_text(REPORT)
    for name in readme_results.COPIED:
        (folder / name).write_bytes(b"a copy")
    (tmp_path / "README.md").write_text(f"above\n{readme_results.BEGIN}\nold\n{readme_results.END}\nbelow\n")
    monkeypatch.chdir(tmp_path)
    return folder


def test_readme_shows_the_stored_results(repository):
    readme = (repository / "README.md").read_text(encoding="utf-8")
    results = json.loads((repository / "docs/results.json").read_text(encoding="utf-8"))
    assert readme == readme_results.replace_block(readme, readme_results.render(results)), "run `make readme`"


def test_pictures_and_report_are_of_the_same_run(repository):
    results = json.loads((repository / "docs/results.json").read_text(encoding="utf-8"))
    found = {name: readme_results.compute_md5(repository / "docs" / name) for name in results["copied_md5"]}
    assert found == results["copied_md5"], "run `make readme`"
    assert set(found) == set(readme_results.COPIED.values())


def test_diagram_shows_the_graph_of_dvc_yaml(repository):
    """A stage needs another wherever a path of arrows leads from that one to it; no arrow says it twice."""
    graph = networkx.DiGraph()
    with Repo(str(repository)) as opened:
        graph.add_edges_from((b.name.split("@")[0], a.name.split("@")[0]) for a, b in opened.index.graph.edges)
    diagram = re.search(r"```mermaid\n(.*?)```", (repository / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    drawn = {
        (left, right)
        for lefts, rights in re.findall(r"^ *([\w& ]+?) --> ([\w& ]+)$", diagram, re.MULTILINE)
        for left in re.split(r" & ", lefts)
        for right in re.split(r" & ", rights)
    }
    assert drawn == set(networkx.transitive_reduction(graph).edges)


def test_block_is_filled_from_the_reports(reports, tmp_path):
    readme_results.main()
    readme = (tmp_path / "README.md").read_text()
    assert readme.startswith("above\n") and readme.endswith("\nbelow\n") and "old" not in readme
    assert (
        "| `scratch@baseline` | the notes' network from random weights, no remedy | 91.0 ± 1.0% | 0.36 ± 0.09 |"
        in readme
    )
    assert "- **l2** is closest.\n- **batchnorm** is best.\n" in readme and "no finding" not in readme
    assert ": 1 supported, 1 inconclusive." in readme
    assert {(tmp_path / "docs" / name).read_bytes() for name in readme_results.COPIED.values()} == {b"a copy"}
    readme_results.main("reports")
    assert (tmp_path / "README.md").read_text() == readme


def test_table_has_the_models_that_the_findings_name(reports):
    models = [row["model"] for row in readme_results.read_results(reports)["rows"]]
    assert {*readme_results.SHOWN, "scratch@l2", "finetune@block5"} == set(models)


@pytest.mark.parametrize("name", ["summary.csv", "claims.json", "report.md", *readme_results.COPIED])
def test_missing_report_is_told_and_nothing_is_written(reports, tmp_path, name):
    (reports / name).unlink()
    with pytest.raises(UserError, match=f"{name}: not found"):
        readme_results.main()
    assert "old" in (tmp_path / "README.md").read_text() and not list((tmp_path / "docs").iterdir())


@pytest.mark.parametrize("text", ["", readme_results.BEGIN, f"{readme_results.END}\n{readme_results.BEGIN}"])
def test_readme_without_markers_is_refused(text):
    with pytest.raises(UserError, match="needs one line"):
        readme_results.replace_block(text, "block")
