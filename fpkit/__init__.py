"""fpkit measures in which order a neural network learns the frequencies of its target."""

__version__ = "0.2.0"
