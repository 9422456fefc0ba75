"""From results to a report: statistics, the notes' statements as claims, tables, figures and the page."""
