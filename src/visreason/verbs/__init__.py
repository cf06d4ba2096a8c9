"""The verbs of the command line: a module each, with `Recipe` and `run(recipe, out)`. They meet in directories."""
