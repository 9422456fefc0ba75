"""Show an experiment with photographs in docs/: `make photographs-page`; `python -m docs.write_photographs [FOLDER]`.

reads   experiments/photographs/, or the folder named: report.md, report.html and its curves
writes  docs/cifar10.md between its two markers, docs/cifar10.html, docs/cifar10-*.png

docs/cifar10.html is the report without the data set's pictures, which may not be ours to publish, and without the paths
of the machine that ran it.
"""

import re
import shutil
from pathlib import Path

from docs.write_readme import DOCS, replace_block
from fitgap import lifecycle
from fitgap.system.errors import UserError

PAGE, REPORT = DOCS / "cifar10.md", DOCS / "cifar10.html"
FIRST, LAST = "## What the notes say", "## What ran"  # headings of report.md: the first one shown, the first one not
PICTURE = re.compile(r'src="data:image/png;base64,[^"]*"')  # the figures are SVG; only the data's pictures are PNG
PLACEHOLDER = (
    "src=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 96 96'%3E%3Crect width='96' "
    "height='96' fill='%23888' opacity='.3'/%3E%3Ctext x='48' y='52' text-anchor='middle' font-family='sans-serif' "
    "font-size='13' fill='%23808080'%3Enot shown%3C/text%3E%3C/svg%3E\""
)
NOTE = "Sample report: the data set's pictures are not shown."


def main(folder: str = "experiments/photographs") -> None:
    """Write the page, its curves and the report to look at."""
    source = Path(folder)
    for name in ("report.md", "report.html"):
        if not (source / name).exists():
            raise UserError(f"{source / name}: not found; `make photographs` writes it")
    results, pictures = select_results((source / "report.md").read_text(encoding="utf-8"))
    for name, shown in pictures.items():
        shutil.copyfile(source / name, DOCS / shown)
    PAGE.write_text(replace_block(PAGE.read_text(encoding="utf-8"), "results", results, PAGE), encoding="utf-8")
    REPORT.write_text(make_publishable((source / "report.html").read_text(encoding="utf-8")), encoding="utf-8")
    print(f"Written: {', '.join(map(str, [PAGE, REPORT, *(DOCS / shown for shown in pictures.values())]))}")


def select_results(report: str) -> tuple[str, dict[str, str]]:
    """Select the tables and curves of a report.md.

    Returns
    -------
    text : from the heading FIRST to LAST, with the names that its pictures have in docs/
    pictures : name beside report.md -> name in docs/
    """
    start, end = (report.find(f"\n{heading}") for heading in (FIRST, LAST))
    if not 0 <= start < end:
        raise UserError(f"report.md: no section {FIRST!r} before {LAST!r}; `make photographs` writes it again")
    text = report[start:end].strip()
    pictures = {name: f"cifar10-{name.removeprefix('curves-')}" for name in re.findall(r"\]\(([\w-]+\.png)\)", text)}
    for name, shown in pictures.items():
        text = text.replace(f"]({name})", f"]({shown})")
    return text, pictures


def make_publishable(page: str) -> str:
    """Return a report.html without the data's pictures, and with file names in place of absolute paths."""
    page = PICTURE.sub(PLACEHOLDER, page)
    page = re.sub(r"(?<=>)/[^<>]*?([^/<>]+)(?=<)", r"\1", page)
    return page.replace("<footer>", f"<footer>{NOTE} ", 1)


if __name__ == "__main__":
    lifecycle.run(main)
