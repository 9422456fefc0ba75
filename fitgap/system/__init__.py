"""Infrastructure: errors, files, deterministic TensorFlow, downloads. Nothing here depends on the experiment."""
