"""Connect stages with DVC: result records, wall times, checkpoints and input checks."""
