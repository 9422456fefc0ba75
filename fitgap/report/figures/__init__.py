"""The report's figures: drawn by matplotlib, put into the page as SVG that follows its colour scheme."""
