from maineffect.lab.corpus.episode import CorpusEpisodes
from maineffect.lab.corpus.evaluate import divide, evaluate
from maineffect.lab.settings import LabSettings


def test_questions_are_on_one_side_for_good(corpus):
    training, evaluation = divide(corpus)
    assert {q.id for q in training.questions} | {q.id for q in evaluation.questions} == {q.id for q in corpus.questions}
    assert not set(training.questions) & set(evaluation.questions)
    assert 3 <= len(evaluation.questions) <= 18


def test_items_are_scored_from_the_record(corpus):
    settings = LabSettings.model_validate({"world": {"language": "english", "distractors": 3}})
    episodes = [CorpusEpisodes(divide(corpus)[1], settings, 1).episode(i) for i in range(3)]

    def play(episodes):
        for episode, said in zip(episodes, ("right", "none", "half"), strict=True):
            episode.reset()
            episode.step(f"<search>{episode.question.question}</search>")
            gold = episode.gold_ids[0]
            wrong = next(name for name in episode.shown if name not in episode.gold_ids)
            answer = episode.question.answers[0]
            words = {"right": answer, "none": "none", "half": f"{answer} wrongly"}[said]
            episode.step(f"<answer>{words} | sure | {gold} {wrong}</answer>")

    right, none, half = evaluate(episodes, play)
    assert (right.exact, right.f1, right.citation_precision) == (1, 1, 0.5)
    assert 0 < right.citation_recall <= 1
    assert (none.abstained, none.exact, none.f1) == (True, 0, 0)
    assert half.exact == 0
    assert 0 < half.f1 < 1
