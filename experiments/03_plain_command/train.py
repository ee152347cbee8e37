"""Trains a policy that decides when to search, when to answer, and when to decline. It needs NumPy and nothing else.

A question has one right answer among four. Every search returns a document that states it with probability ``recall``,
and otherwise one of the wrong ones. After each search the policy sees by how many documents the leading answer leads,
and how often it has searched, and chooses: search again, answer with the leading one, or decline. Right answers earn 1,
wrong ones lose ``wrong_cost``, every search costs ``search_cost``. Training is REINFORCE with the mean of a group of
episodes on the same question as baseline, as in GRPO.

    python train.py --search-cost 0.1 --wrong-cost 1 --seed 3 --out results.json
"""

import argparse
import json
import os

import numpy as np

ANSWERS, MOST_SEARCHES, GROUP, QUESTIONS = 4, 6, 8, 32
SEARCH, ANSWER, DECLINE = range(3)
LEADS = 4  # a lead of 0, 1, 2, and 3 or more


def features(lead_B: np.ndarray, searches: int) -> np.ndarray:
    """One column per lead, and one for how many searches are used up."""
    columns = [lead_B.clip(max=LEADS - 1) == value for value in range(LEADS)]
    return np.column_stack([*columns, np.full(len(lead_B), searches / MOST_SEARCHES)]).astype(float)


def play(weights: np.ndarray, episodes: int, recall: float, costs: tuple[float, float], rng: np.random.Generator):
    """Play episodes side by side; the right answer is number 0, which the policy cannot see.

    Returns:
        Reward and outcome per episode, searches per episode, and what was seen and done at each step.
    """
    search_cost, wrong_cost = costs
    votes = np.zeros((episodes, ANSWERS), int)
    reward, searches = np.zeros(episodes), np.zeros(episodes)
    outcome = np.full(episodes, DECLINE)
    right = np.zeros(episodes, bool)
    alive = np.ones(episodes, bool)
    steps = []
    for used in range(MOST_SEARCHES + 1):
        ordered = np.sort(votes, axis=1)
        seen = features(ordered[:, -1] - ordered[:, -2], used)
        logits = seen @ weights
        if used == MOST_SEARCHES:
            logits[:, SEARCH] = -np.inf
        chance = np.exp(logits - logits.max(axis=1, keepdims=True))
        chance /= chance.sum(axis=1, keepdims=True)
        action = (chance.cumsum(axis=1) < rng.random((episodes, 1))).sum(axis=1).clip(max=DECLINE)
        steps.append((seen, chance, action, alive.copy()))
        answers, looks = alive & (action == ANSWER), alive & (action == SEARCH)
        leader = (votes + 0.5 * rng.random(votes.shape)).argmax(axis=1)  # ties are broken by chance
        right |= answers & (leader == 0)
        reward += np.where(answers, np.where(leader == 0, 1.0, -wrong_cost), 0.0) - search_cost * looks
        outcome[answers] = ANSWER
        document = np.where(rng.random(episodes) < recall, 0, rng.integers(1, ANSWERS, episodes))
        votes[np.flatnonzero(looks), document[looks]] += 1
        searches += looks
        alive = looks
    return reward, outcome, right, searches, steps


def gradient(steps, advantage: np.ndarray) -> np.ndarray:
    """Policy gradient: advantage times the gradient of the log-probability of what was done."""
    total = 0.0
    for seen, chance, action, alive in steps:
        score = (np.eye(3)[action] - chance) * (advantage * alive)[:, None]
        total = total + seen.T @ score
    return total / len(advantage)


def save(folder: str, step: int, weights: np.ndarray, rng: np.random.Generator) -> None:
    """Written aside and renamed, so that a checkpoint is complete or absent."""
    aside = os.path.join(folder, "aside")
    os.makedirs(aside, exist_ok=True)
    np.save(os.path.join(aside, "weights.npy"), weights)
    with open(os.path.join(aside, "state.json"), "w") as file:
        json.dump({"step": step, "rng": rng.bit_generator.state}, file)
    os.rename(aside, os.path.join(folder, f"checkpoint-{step}"))


def main() -> None:
    """Train, then measure on questions of the evaluation's own seed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--search-cost", type=float, default=0.05)
    parser.add_argument("--wrong-cost", type=float, default=0.5)
    parser.add_argument("--recall", type=float, default=0.6)
    parser.add_argument("--lr", type=float, default=2.0)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--evaluation-seed", type=int, default=0)
    parser.add_argument("--out", default="results.json")
    parser.add_argument("--metrics", default="")
    parser.add_argument("--save-to", default="")
    parser.add_argument("--resume", default="")
    given = parser.parse_args()

    rng, start = np.random.default_rng(given.seed), 0
    weights = np.zeros((LEADS + 1, 3))
    if given.resume:
        weights = np.load(os.path.join(given.resume, "weights.npy"))
        with open(os.path.join(given.resume, "state.json")) as file:
            state = json.load(file)
        start, rng.bit_generator.state = state["step"], state["rng"]
    costs = (given.search_cost, given.wrong_cost)
    for step in range(start, given.steps):
        reward, _, _, searches, steps = play(weights, QUESTIONS * GROUP, given.recall, costs, rng)
        groups = reward.reshape(QUESTIONS, GROUP)
        weights += given.lr * gradient(steps, (groups - groups.mean(axis=1, keepdims=True)).ravel())
        if given.metrics and step % 10 == 0:
            with open(given.metrics, "a") as file:
                print(json.dumps({"step": step, "reward": reward.mean(), "searches": searches.mean()}), file=file)
        if given.save_to and (step + 1) % 500 == 0 and step + 1 < given.steps:
            save(given.save_to, step + 1, weights, rng)

    test = np.random.default_rng(given.evaluation_seed)
    _, outcome, right, searches, _ = play(weights, 20_000, given.recall, costs, test)
    answered = outcome == ANSWER
    results = {
        "answered": float(answered.mean()),
        "precision": float(right[answered].mean()) if answered.any() else float("nan"),
        "searches": float(searches.mean()),
    }
    with open(given.out, "w") as file:
        json.dump(results, file)
    print(f"trained {given.steps - start} steps: {results}")  # noqa: T201 — into the run's log


if __name__ == "__main__":
    main()
