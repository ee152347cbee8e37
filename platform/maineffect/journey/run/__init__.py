"""run: a checked study comes in → a sweep that runs, is stopped, is taken up again, and says how it stands → read is
next.
"""
