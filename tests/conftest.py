"""Settings of every test: property tests draw the same examples each time and never fail for a slow machine."""

from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
