"""The report's figures: drawn with matplotlib and embedded as SVG that follows the page's colour scheme."""
