"""visreason makes visual reasoning models, end to end. Importing it is light: only rooms that need torch load it."""

from visreason.errors import VisreasonError
from visreason.record import Completion, Image, Pair, Problem, Sample, Score

__version__ = "0.1.0"
__all__ = ["Completion", "Image", "Pair", "Problem", "Sample", "Score", "VisreasonError", "__version__"]
