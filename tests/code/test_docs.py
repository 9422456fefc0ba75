"""Pages in docs/ and the README's results are those of one run, of the claims and of the pipeline that there is."""

import json
import re
import sys

import networkx
import pytest
from dvc.repo import Repo

from docs import write_claims, write_photographs, write_readme
from fitgap.claims import declare
from fitgap.claims.claim import TOPICS
from fitgap.params.reading import load_params
from fitgap.system.errors import UserError

BEGIN, END = (marker.format(name="results") for marker in write_readme.MARKERS)
GRAPH = "\n".join(marker.format(name="graph") for marker in write_readme.MARKERS)
DRAWN = 'flowchart TD\n\tnode1["a"]\n\tnode2["b"]\n\tnode3["c"]\n\tnode1-->node2\n\tnode2-->node3\n\tnode1-->node3'
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
CLAIMS = [{"verdict": "inconclusive", "kind": "finding"}, {"verdict": "supported", "kind": "finding"}]
CLAIMS.append({"verdict": "supported", "kind": "check"})
REPORT = """\
# fitgap

1. **scratch@l2** is closest.
2. **scratch@batchnorm** is best.

## What the notes say, and what was measured

1. no finding

![Loss](curves-scratch.png)

![Accuracy](learning_curve.png)

## What ran

| machine | Linux |
"""
PICTURE = '<img src="data:image/png;base64,iVBORw0KGgo=" alt="Test image of class cat">'
HTML = f"<dd>/home/ann/my photos/cats.zip</dd><dd>0.5</dd><dd>and/or</dd><svg></svg>{PICTURE}<footer>Written</footer>"


@pytest.fixture
def reports(tmp_path, monkeypatch):
    """Prepare a folder with a small report, the pages with markers and docs/, in the current folder."""
    folder = tmp_path / "reports"
    folder.mkdir()
    (tmp_path / "docs").mkdir()
    (folder / "summary.csv").write_text(SUMMARY)
    (folder / "claims.json").write_text(json.dumps(CLAIMS))
    for name in ("curves-scratch.png", "learning_curve.png"):
        (folder / name).write_bytes(name.encode())
    (folder / "report.md").write_text(REPORT)
    (folder / "report.html").write_text(HTML)
    for page in ("README.md", "docs/cifar10.md"):
        (tmp_path / page).write_text(f"above\n{BEGIN}\nold\n{END}\n{GRAPH}\nbelow\n")
    monkeypatch.setattr(write_readme, "DAG", (sys.executable, "-c", f"print({DRAWN!r})"))
    monkeypatch.chdir(tmp_path)
    return folder


def test_claims_page_is_up_to_date(repository, monkeypatch):
    monkeypatch.chdir(repository)
    claims = declare(load_params())
    page = (repository / "docs/claims.md").read_text(encoding="utf-8")
    assert page == write_claims.render(claims), "run `make claims`"
    assert [claim.id for claim in claims if page.count(f"`{claim.id}`") != 1] == []
    assert all(f"\n## {title}\n" in page for title in TOPICS.values())


def test_readme_shows_the_stored_results(repository):
    readme = (repository / "README.md").read_text(encoding="utf-8")
    results = json.loads((repository / "docs/results.json").read_text(encoding="utf-8"))
    assert readme == write_readme.replace_block(readme, "results", write_readme.render(results)), "run `make readme`"


def test_pictures_and_report_are_of_the_same_run(repository):
    results = json.loads((repository / "docs/results.json").read_text(encoding="utf-8"))
    hashes = {name: write_readme.compute_md5(repository / "docs" / name) for name in write_readme.COPIED.values()}
    assert hashes == results["copied_md5"], "run `make readme`"


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


def test_readme_is_filled_from_the_reports(reports, tmp_path):
    write_readme.main()
    readme = (tmp_path / "README.md").read_text()
    assert readme.startswith("above\n") and readme.endswith("\nbelow\n") and "old" not in readme
    assert "| `scratch@l2` | the notes' network from random weights, l2 | 92.0 ± 2.0% | 0.10 ± 0.05 |" in readme
    assert "- **scratch@l2** is closest." in readme and "no finding" not in readme
    assert ": 1 supported, 1 inconclusive." in readme
    assert "graph LR\n  a --> b\n  b --> c\n```" in readme
    assert (tmp_path / "docs/report.html").read_text() == HTML
    models = [row["model"] for row in json.loads((tmp_path / "docs/results.json").read_text())["rows"]]
    assert set(models) == {*write_readme.SHOWN, "scratch@l2", "finetune@block5"}


def test_photographs_page_shows_the_report_without_pictures_and_paths(reports, tmp_path):
    write_photographs.main("reports")
    text = (tmp_path / "docs/cifar10.md").read_text()
    assert text.startswith(f"above\n{BEGIN}\n## What the notes say") and text.endswith("below\n")
    assert "](cifar10-scratch.png)" in text and "machine" not in text
    assert (tmp_path / "docs/cifar10-learning_curve.png").read_bytes() == b"learning_curve.png"
    page = (tmp_path / "docs/cifar10.html").read_text()
    assert "image/png" not in page and 'alt="Test image of class cat"' in page
    assert "<dd>cats.zip</dd><dd>0.5</dd><dd>and/or</dd><svg></svg>" in page
    assert write_photographs.NOTE in page


@pytest.mark.parametrize("name", ["summary.csv", "claims.json", "report.md", *write_readme.COPIED])
def test_missing_report_changes_nothing(reports, tmp_path, name):
    (reports / name).unlink()
    with pytest.raises(UserError, match=f"{name}: not found"):
        write_readme.main()
    assert "old" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}"])
def test_page_without_markers_is_refused(text):
    with pytest.raises(UserError, match="needs one line"):
        write_readme.replace_block(text, "results", "block")


def test_published_report_holds_no_picture_of_the_data(repository):
    page = (repository / "docs/cifar10.html").read_text(encoding="utf-8")
    assert "data:image/png" not in page
    assert ">/" not in page
