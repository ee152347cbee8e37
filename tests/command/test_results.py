"""The results file: read leniently where nothing is at stake, refused in words where something is."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from maineffect.command.results import read_results
from maineffect.contracts import RunDiverged
from maineffect.errors import BadResultError
from maineffect.execute.attempt.outcome import valid_result


@pytest.fixture
def read(tmp_path: Path):
    def _read(text: str, declared: tuple[str, ...] = ("skill",)):
        (tmp_path / "results.json").write_text(text)
        return read_results(tmp_path / "results.json", declared)

    return _read


def test_an_object_of_numbers(read) -> None:
    result, said = read('{"skill": 1, "loss": 0.25, "model": "tiny", "broken": NaN}')
    assert result.responses == {"skill": 1.0}
    assert result.measures == {"loss": 0.25}
    assert any("recorded as measures" in s and "'loss'" in s for s in said)
    assert any("no finite number" in s and "'model'" in s and "'broken'" in s for s in said)


def test_sections(read) -> None:
    result, said = read(
        '{"responses": {"skill": 0.5}, "measures": {"loss": 2}, "items": [{"id": "a", "ok": true}, {"id": "b", "ok": 0}]}'
    )
    assert (result.responses, result.measures, said) == ({"skill": 0.5}, {"loss": 2.0}, [])
    assert [dict(item) for item in result.items] == [{"id": "a", "ok": True}, {"id": "b", "ok": 0}]
    flat, _ = read('{"skill": 0.5, "items": [{"id": 1}], "measures": {"x": 1}}')
    assert (flat.responses, flat.measures, list(flat.items)) == ({"skill": 0.5}, {"x": 1.0}, [{"id": 1}])


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_a_response_that_is_not_finite_is_an_outcome(read, text: str) -> None:
    result, _ = read(f'{{"skill": {text}}}')
    assert not math.isfinite(result.responses["skill"])
    with pytest.raises(RunDiverged, match="not finite"):
        valid_result(result, ("skill",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no JSON"),
        ('{"skill": 1', "is no JSON"),
        ("[1]", "holds [1], not an object"),
        ("3", "holds 3, not an object"),
        ("{}", "has nothing, the study declares also 'skill'"),
        ('{"skil": 1}', "has 'skil', the study declares also 'skill'"),
        ('{"skill": "high"}', "response 'skill' is \"high\", not a number"),
        ('{"skill": null}', "is null, not a number"),
        ('{"skill": true}', "is true, not a number"),
        ('{"skill": 1' + "0" * 400 + "}", "not a number"),
        ('{"responses": {"skill": 1}, "other": 2}', "has 'other' beside 'responses'"),
        ('{"skill": 1, "measures": [1]}', "'measures' is [1]"),
        ('{"skill": 1, "items": {"a": 1}}', "'items' is"),
        ('{"skill": 1, "items": [{"a": 1}, {"b": 1}]}', "item 1 has 'b', item 0 has 'a'"),
        ('{"skill": 1, "items": [{"a": [1]}]}', "objects or lists under 'a'"),
        ("[" * 100000, "is no JSON"),
    ],
)
def test_what_is_no_result_is_refused_in_words(read, text: str, message: str) -> None:
    with pytest.raises(BadResultError) as caught:
        read(text)
    assert message in caught.value.message
    assert caught.value.hint


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadResultError, match=r"ended well but wrote no results\.json"):
        read_results(tmp_path / "results.json", ("skill",))


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "results.json"
    path.write_bytes(b"\xef\xbb\xbf" + b'{"y": 1.5}')
    assert read_results(path, ["y"])[0].responses == {"y": 1.5}
