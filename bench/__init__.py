"""`make bench`: how fast it is, side by side with others, written to docs/performance.md. No test times anything."""
