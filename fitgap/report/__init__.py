"""Build the report from results: claims about the notes' statements, tables, figures and the page."""
