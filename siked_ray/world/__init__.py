"""A procedural world of arithmetic word problems in which strategies have different strengths.

It is a world to learn in on two CPU cores, not a benchmark: see docs/world.md.
"""
