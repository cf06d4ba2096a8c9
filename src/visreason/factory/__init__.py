"""Data made by engines: descriptions of pictures, long thoughts, new questions. Every intermediate is kept, every drop
counted under its rule."""
