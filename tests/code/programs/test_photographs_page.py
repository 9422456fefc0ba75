"""Test the page of a run on photographs: its tables are the report's, and nothing private or foreign is published."""

import pytest

from fitgap.programs import photographs_page
from fitgap.programs.photographs_page import select_results
from fitgap.programs.readme_results import BEGIN, END
from fitgap.system.errors import UserError

REPORT = """\
# fitgap: directory, 5 repetitions

1. **dropout** is closest.

## What the notes say, and what was measured

| ✓ supported |

![Loss](curves-scratch.png)

![Accuracy](learning_curve.png)

## What ran

| machine | Linux |
"""
PICTURE = '<img src="data:image/png;base64,iVBORw0KGgo=" alt="Test image of class cat">'
HTML = f"<dd>/home/ann/my photos/cats.zip</dd><dd>0.5</dd><dd>and/or</dd><svg></svg>{PICTURE}<footer>Written</footer>"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Make an empty repository with a page and an experiment the current folder."""
    made = tmp_path / "experiments/photographs"
    made.mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/cifar10.md").write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n")
    for name, text in {"report.md": REPORT, "report.html": HTML}.items():
        (made / name).write_text(text)
    for name in ("curves-scratch.png", "learning_curve.png"):
        (made / name).write_bytes(name.encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_page_shows_the_tables_and_curves_of_the_report(folder):
    photographs_page.main()
    text = (folder / "docs/cifar10.md").read_text()
    assert text.startswith(f"above\n{BEGIN}\n## What the notes say")
    assert text.endswith(f"{END}\nbelow\n")
    assert "](cifar10-scratch.png)" in text
    assert "machine" not in text
    assert (folder / "docs/cifar10-learning_curve.png").read_bytes() == b"learning_curve.png"


def test_report_is_published_without_pictures_and_paths(folder):
    photographs_page.main()
    page = (folder / "docs/cifar10.html").read_text()
    assert "image/png" not in page
    assert 'alt="Test image of class cat"' in page
    assert "<dd>cats.zip</dd><dd>0.5</dd><dd>and/or</dd><svg></svg>" in page
    assert photographs_page.NOTE in page


def test_report_without_its_sections_is_refused():
    with pytest.raises(UserError, match="no section '## What the notes say'"):
        select_results("# fitgap\n\n## What ran\n")


def test_missing_report_gets_one_line_that_names_the_command(folder):
    (folder / "experiments/photographs/report.html").unlink()
    with pytest.raises(UserError, match="report.html: not found; `make photographs` writes it"):
        photographs_page.main()


def test_published_report_holds_no_picture_of_the_data(repository):
    page = (repository / "docs/cifar10.html").read_text(encoding="utf-8")
    assert "data:image/png" not in page
    assert ">/" not in page
