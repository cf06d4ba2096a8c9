"""Problems from the files people have. What can't be read is handed back with its line and reason, never dropped."""

from visreason.data.formats import has_meta, read_problems, read_samples
from visreason.data.shards import part

__all__ = ["has_meta", "part", "read_problems", "read_samples"]
