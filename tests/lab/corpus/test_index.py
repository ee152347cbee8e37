from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from maineffect.errors import PluginError
from maineffect.lab.corpus.index import Index, open_embedding
from maineffect.lab.corpus.passages import split

MODULE = """
from pathlib import Path
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

texts = [path.read_text() for path in sorted((Path(__file__).parent / "descr").glob("*.rst"))]
texts = [part for text in texts for part in text.split("\\n\\n")]
tfidf = TfidfVectorizer(stop_words="english", sublinear_tf=True)
svd = TruncatedSVD(64, random_state=0).fit(tfidf.fit_transform(texts))

def embed(texts):
    return svd.transform(tfidf.transform(texts))

def flat(texts):
    return embed(texts).ravel()

def one(texts):
    return embed(texts)[:1]
"""


def recall(index, passages, questions):
    top = [[passages[i].document for i in index.rank(question.question)[:4]] for question in questions]
    return np.mean([bool(set(names) & set(q.gold)) for names, q in zip(top, questions, strict=True)])


def test_recall_of_bm25(corpus):
    passages = split(corpus)
    found = recall(Index([passage.text for passage in passages]), passages, corpus.questions)
    print("BM25: document recall@4", found, "of", len(passages), "passages")
    assert found > 0.85


def test_an_embedding_beside_the_study(corpus, study_folder, monkeypatch):
    (study_folder / "latent_semantics.py").write_text(MODULE)
    monkeypatch.syspath_prepend(study_folder)
    embedding = open_embedding("latent_semantics:embed")
    passages = split(corpus)
    index = Index([passage.text for passage in passages], embedding)
    found = recall(index, passages, corpus.questions)
    print("TF-IDF + SVD: document recall@4", found)
    assert found > 0.75
    text = passages[7].text
    assert index.rank(text)[0] == 7
    assert index.scores_of([text, passages[9].text], "wine from Italy") == pytest.approx(
        index.scores("wine from Italy")[[7, 9]], abs=1e-5
    )
    for function, what in (("flat", "shape"), ("one", "shape"), ("nothing", "AttributeError")):
        with pytest.raises(PluginError, match=what):
            open_embedding(f"latent_semantics:{function}")
    with pytest.raises(PluginError, match="No module"):
        open_embedding("no_such_module:embed")


def test_texts_from_outside_score_as_if_they_were_in_the_index(corpus):
    """Own BM25 against bm25s on every passage, so that an injected copy ranks where its original does."""
    passages = split(corpus)
    texts = [passage.text for passage in passages]
    index = Index(texts)
    for question in corpus.questions:
        for query in (question.question, f"{question.question} data data dataset"):
            assert index.scores_of(texts, query) == pytest.approx(index.scores(query), abs=3e-5)


def test_latent_semantics_agrees_with_scikit_learns_cosine(corpus):
    texts = [passage.text for passage in split(corpus)]
    tfidf = TfidfVectorizer()
    svd = TruncatedSVD(16, random_state=0).fit(tfidf.fit_transform(texts))
    vectors = svd.transform(tfidf.transform(texts))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    index = Index(texts, lambda said: svd.transform(tfidf.transform(said)))
    assert index.scores(texts[3]) == pytest.approx(unit @ unit[3], abs=1e-5)


@pytest.mark.skipif(find_spec("transformers") is not None, reason="transformers is here; tests/lm loads an encoder")
def test_an_encoder_needs_the_language_models_packages(study_folder):
    with pytest.raises(PluginError, match="needs transformers") as caught:
        open_embedding("hf:some-encoder", study_folder)
    assert "maineffect[lm]" in caught.value.hint
