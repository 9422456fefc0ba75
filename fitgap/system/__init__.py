"""What the project stands on: errors, files, repeatable TensorFlow, downloads. It knows nothing of the experiment."""
