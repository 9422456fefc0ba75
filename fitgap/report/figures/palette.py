"""The colours, for light and dark, and safe for colour-blind readers.

Okabe and Ito, Color Universal Design (2008), https://jfly.uni-koeln.de/color/; darkened or lightened where
3 to 1 against the background (WCAG 2.2, 1.4.11) asks for it. Figures are drawn with a stand-in for each
colour, which becomes a CSS variable in the page, so that one drawing serves both schemes.
"""

from types import MappingProxyType

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
