"""The embedded world: drawn problems with exact answers, and the tiny model that can learn to read them.

One file a family (bars, counting, geometry, tables); `problems.draw` and `problems.write` are the way in.
"""
