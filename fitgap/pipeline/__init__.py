"""What connects a stage with DVC: its record, its wall times, its checkpoints, its inputs."""
