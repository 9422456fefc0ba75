"""The one loop that trains all models, how they are evaluated, and one experiment over several seeds."""
