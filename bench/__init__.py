"""`make bench`: measure the speed beside other libraries and write docs/performance.md. Tests measure no times."""
