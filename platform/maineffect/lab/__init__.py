"""lab: a RunRequest comes in → a trained and evaluated search agent's RunResult goes out → execute is next.

Importing this package loads no torch; the trainable imports it when it runs.
"""

from maineffect.lab.agent import train_search_agent

__all__ = ["train_search_agent"]
