"""Figures in the report's style and colours, as SVG inside the page or as files beside it.

The colours serve light and dark schemes and colour-blind readers: Okabe and Ito, Color Universal Design (2008),
https://jfly.uni-koeln.de/color/; darkened or lightened where WCAG 2.2 (1.4.11) asks for a contrast of 3 to 1. Figures
are drawn with a stand-in for each colour, which becomes a CSS variable in the page, so one drawing serves both
schemes.
"""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

POINTS = 72  # an inch; the unit of an SVG's viewBox
PIXELS_PER_INCH = 160  # of PNG files


@contextmanager
def report_style() -> Iterator[None]:
    """Draw and save in the report's style, and leave matplotlib's own settings as they were."""
    with matplotlib.rc_context(dict(STYLE)):
        yield


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **options) -> tuple[Figure, Axes]:
    """Give a new figure, its size in points, and its axes; no window and no global figure list."""
    figure = Figure(figsize=(width / POINTS, height / POINTS))
    return figure, figure.subplots(rows, columns, **options)


def style_axes(axes: Axes, colours: Mapping[str, str], xlabel: str, ylabel: str) -> None:
    """Give axes their quiet look: a light grid behind, labels in ink."""
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


def svg_element(figure: Figure, name: str, title: str, description: str) -> Markup:
    """Give a figure as an SVG element for the page, with colours as CSS variables.

    Parameters
    ----------
    figure : Figure
        Drawn with STAND_INS.
    name : str
        Letters, digits and hyphens; unique in the page, begins every id inside.
    title, description : str
        What a screen reader says.
    """
    figure.patch.set_alpha(0)
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    drawing = _follow_scheme(_prefix_ids(_drawing_only(buffer.getvalue()), name))
    width, height = (figure.get_size_inches() * POINTS).round(2)
    return Markup(
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
        f"{drawing}</svg>"
    )


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure drawn in real colours to an .svg or .png file, the same bytes at every run."""
    if path.suffix == ".svg":
        FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None})
    else:
        figure.set_dpi(PIXELS_PER_INCH)
        FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})


def _drawing_only(svg: str) -> str:
    """Keep what is drawn: no prologue, no metadata, no style for the whole page, no font of its own."""
    inner = svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]
    for superfluous in (
        r"<metadata>.*?</metadata>",
        r"<style.*?</style>",
        r"<!--.*?-->",
        r" font-family: [^;]*;",
    ):
        inner = re.sub(superfluous, "", inner, flags=re.DOTALL)
    return re.sub(r"\s*\n\s*", " ", inner)


def _prefix_ids(svg: str, name: str) -> str:
    """Drop ids that nothing refers to, and begin the others with the figure's name."""
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    return re.sub(r'xlink:href="#([^"]+)"', rf'href="#{name}-\1"', svg)


def _follow_scheme(svg: str) -> str:
    for name, stand_in in STAND_INS.items():
        svg = svg.replace(stand_in, f"var(--{name})")
    return svg


COLOURS = MappingProxyType(
    {  # name: (light, dark)
        "paper": ("#ffffff", "#15181d"),
        "ink": ("#1b1f24", "#e8ebf0"),
        "muted": ("#57606a", "#a9b3c0"),
        "grid": ("#dfe3e8", "#313842"),
        "training": ("#0072b2", "#56b4e9"),
        "validation": ("#c44e00", "#f0a13c"),
        "gap": ("#8a8f98", "#8a93a0"),
        "scratch": ("#0072b2", "#56b4e9"),
        "head": ("#c44e00", "#f0a13c"),
        "finetune": ("#007a5a", "#2fc79b"),
        "asis": ("#a2487f", "#e39ac5"),
    }
)
LIGHT = MappingProxyType({name: light for name, (light, _) in COLOURS.items()})
STAND_INS = MappingProxyType({name: f"#0a0b{number:02x}" for number, name in enumerate(COLOURS)})
MARKERS = MappingProxyType({"scratch": "o", "head": "s", "finetune": "^", "asis": "D"})

STYLE = MappingProxyType(
    {
        "svg.fonttype": "none",  # text stays text: small, searchable, in the page's own font
        "svg.hashsalt": "fitgap",  # the ids inside are the same at every run
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.8,
        "lines.solid_capstyle": "round",
        "path.simplify": True,
        "text.parse_math": False,  # a variant named $x$ is shown as it is
    }
)
