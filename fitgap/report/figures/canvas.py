"""Style of the report's figures, as SVG inside the page or as separate files.

Figures use a placeholder for each colour. The page replaces it by a CSS variable, so one drawing serves both schemes.
"""

import io
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from fitgap.report.rendering import COLOURS

POINTS = 72  # per inch; the unit of an SVG's viewBox
PIXELS_PER_INCH = 160  # of PNG files
SIZE = (360, 290)  # points; on a phone, text is hardly smaller than this
MARGINS = {"left": 0.155, "right": 0.98, "top": 0.97, "bottom": 0.155}


def report_style():
    """Return a context in which matplotlib's rcParams are those of the report."""
    return matplotlib.rc_context(STYLE)


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **options) -> tuple[Figure, Axes]:
    """Return a new figure and its axes; `width` and `height` are in points.

    Bypass pyplot, so there is no window and no global list of figures. `options` go to `Figure.subplots`.
    """
    figure = Figure(figsize=(width / POINTS, height / POINTS))
    return figure, figure.subplots(rows, columns, **options)


def draw(
    name: str,
    title: str,
    words: str,
    paint: Callable[[Axes], None],
    labels: tuple[str, str],
    size: tuple[float, float] = SIZE,
    margins: Mapping[str, float] = MARGINS,
) -> Markup:
    """Draw a figure with one pair of axes as an SVG element for the page, with colours as CSS variables.

    Parameters
    ----------
    name : prefix of all ids inside: letters, digits and hyphens, unique in the page
    title, words : text for screen readers
    paint : draws the data, with STAND_INS
    labels : of both axes
    size, margins : in points, and as shares of it
    """
    buffer = io.StringIO()
    with report_style():
        figure = _chart(paint, labels, STAND_INS, size, margins)
        figure.patch.set_alpha(0)
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    drawing = _prefix_ids(_drawing_only(buffer.getvalue()), name)
    for colour, stand_in in STAND_INS.items():
        drawing = drawing.replace(stand_in, f"var(--{colour})")
    width, height = (figure.get_size_inches() * POINTS).round(2)
    return Markup(
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(words)}</desc>'
        f"{drawing}</svg>"
    )


def write(path: Path, paint: Callable[[Axes], None], labels: tuple[str, str]) -> None:
    """Write a figure with one pair of axes in the colours of LIGHT to a PNG file; arguments as in `draw`."""
    with report_style():
        write_figure(_chart(paint, labels, LIGHT, SIZE, MARGINS), path)


def _chart(paint, labels, colours, size, margins) -> Figure:
    figure, axes = new_figure(*size)
    style_axes(axes, colours, *labels)
    figure.subplots_adjust(**margins)
    paint(axes)
    return figure


def style_axes(axes: Axes, colours: Mapping[str, str], xlabel: str, ylabel: str) -> None:
    """Style axes: a light grid behind the data, labels, no tick marks, percent for accuracy."""
    axes.set_xlabel(xlabel, color=colours["ink"])
    axes.set_ylabel(ylabel, color=colours["ink"])
    axes.set_axisbelow(True)
    axes.grid(color=colours["grid"], linewidth=0.7)
    if ylabel.endswith("accuracy"):
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.tick_params(colors=colours["muted"], length=0, labelsize=9)
    axes.patch.set_alpha(0)
    for spine in axes.spines.values():
        spine.set_color(colours["grid"])


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure drawn in real colours to a PNG file; the bytes are reproducible."""
    figure.set_dpi(PIXELS_PER_INCH)
    FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})


def _drawing_only(svg: str) -> str:
    """Strip the prologue, metadata, comments, page-wide styles and font families from an SVG file."""
    inner = svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]
    superfluous = r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->| font-family: [^;]*;"
    inner = re.sub(superfluous, "", inner, flags=re.DOTALL)
    return re.sub(r"\s*\n\s*", " ", inner)


def _prefix_ids(svg: str, name: str) -> str:
    """Remove unused ids and prefix the others with the figure's name."""
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    return re.sub(r'xlink:href="#([^"]+)"', rf'href="#{name}-\1"', svg)


LIGHT = {name: light for name, (light, _) in COLOURS.items()}
STAND_INS = {name: f"#0a0b{number:02x}" for number, name in enumerate(COLOURS)}
MARKERS = {"scratch": "o", "head": "s", "finetune": "^", "asis": "D"}
STYLE = {
    "svg.fonttype": "none",  # keep text as text: smaller, searchable, in the page's font
    "svg.hashsalt": "fitgap",  # reproducible ids
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "lines.solid_capstyle": "round",
    "path.simplify": True,
    "text.parse_math": False,  # show a variant named $x$ literally
}
