"""What stages hand on to each other: prepared images, the draws of a repetition, results and their records."""
