"""A finished sweep → what to run next, and what two phases together say.

Comes in: fits, claims and verdicts of the rooms below. Goes out: verdicts in phases to `analyse/run.py`, and proposals
to the report and to `maineffect next`.
"""
