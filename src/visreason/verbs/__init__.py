"""The verbs of the command line: one module each, with its `Recipe` and `run(recipe, out)`. They meet in directories."""
