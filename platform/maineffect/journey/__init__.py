"""journey: the verbs of study.py, one file each: plan (before anything runs), run (submissions), read (what came of
them).
"""
