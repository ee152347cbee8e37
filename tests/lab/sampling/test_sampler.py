"""The cached, batched, multi-turn sampler is the model: the same log-probabilities as one plain forward pass."""

from __future__ import annotations

import pytest
import torch

from maineffect.lab.policy.models import TinyTransformer
from maineffect.lab.policy.tokens import PAD_ID, decode, encode
from maineffect.lab.policy_settings import PolicySettings
from maineffect.lab.sampling.tiny_sampler import rollout
from maineffect.lab.settings import LabSettings
from maineffect.lab.world.episode import Episodes, SearchEpisode
from maineffect.lab.world.vocabulary import VOCABULARY


@pytest.fixture(scope="module")
def model() -> TinyTransformer:
    tiny = TinyTransformer(PolicySettings(width=32, layers=2, heads=2), 144, 3)
    with torch.no_grad():
        for block in tiny.blocks:  # zero-initialised outputs would make the cache irrelevant
            torch.nn.init.normal_(block.out.weight, std=0.3, generator=torch.Generator().manual_seed(1))
            torch.nn.init.normal_(block.down.weight, std=0.3, generator=torch.Generator().manual_seed(2))
    return tiny


def played(model: TinyTransformer, count: int = 24):
    episodes = Episodes(LabSettings.model_validate({"world": {"conflict_rate": 0.5}}), 9)
    return rollout(model, [episodes.episode(i) for i in range(count)], torch.Generator().manual_seed(0))


def test_sampled_log_probabilities_equal_a_plain_forward_pass(model: TinyTransformer) -> None:
    out = played(model)
    with torch.no_grad():
        logp = torch.log_softmax(model.logits(model(out.tokens_BT[:, :-1])), -1)
    again = logp.gather(2, out.tokens_BT[:, 1:, None])[..., 0]
    written = out.written_BT[:, 1:]
    assert written.sum() > 100
    torch.testing.assert_close(again[written], out.logp_BT[:, 1:][written], atol=2e-5, rtol=0)


def test_the_batch_does_not_change_a_row(model: TinyTransformer) -> None:
    episodes = Episodes(LabSettings(), 9)
    together = rollout(model, [episodes.episode(i) for i in range(6)], None)
    for i in range(6):
        alone = rollout(model, [episodes.episode(i)], None)
        length = int(together.lengths_B[i])
        assert alone.lengths_B.tolist() == [length]
        assert torch.equal(alone.tokens_BT[0, :length], together.tokens_BT[i, :length])


def test_transcripts_are_appended_never_retokenised(model: TinyTransformer) -> None:
    out = played(model, 8)
    for row in range(8):
        pieces = out.text(row)
        assert pieces[0][1] is False
        assert pieces[0][0].startswith("<question>")
        joined = " ".join(text for text, _ in pieces)
        assert encode(joined) == out.tokens_BT[row, : int(out.lengths_B[row])].tolist()
        assert (out.tokens_BT[row, int(out.lengths_B[row]) :] == PAD_ID).all()


def test_same_seed_same_rollout(model: TinyTransformer) -> None:
    assert torch.equal(played(model).tokens_BT, played(model).tokens_BT)


def test_weights_come_from_the_seed_and_leave_global_randomness_alone() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    a, b = (TinyTransformer(PolicySettings(width=32, heads=2), 64, 3) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_every_word_survives_the_tokeniser() -> None:
    assert decode(encode(" ".join(VOCABULARY[1:]))) == " ".join(VOCABULARY[1:])
    assert encode("never-seen") == encode("unknown")


def test_dialogues_that_share_a_history_are_read_and_played_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sure policy says the same eight times: as many tokens are read, and as many searches made, as for one."""
    model = TinyTransformer(PolicySettings(width=32, layers=2, heads=2), 144, 3)
    episodes = Episodes(LabSettings(), 9)
    counted = {"tokens": 0, "steps": 0}
    grow, step = TinyTransformer.grow, SearchEpisode.step

    def count_tokens(self: TinyTransformer, tokens_GB: torch.Tensor, *rest: object) -> torch.Tensor:
        counted["tokens"] += tokens_GB.numel()
        return grow(self, tokens_GB, *rest)

    def count_steps(self: SearchEpisode, action: str) -> object:
        counted["steps"] += 1
        return step(self, action)

    monkeypatch.setattr(TinyTransformer, "grow", count_tokens)
    monkeypatch.setattr(SearchEpisode, "step", count_steps)
    one = rollout(model, episodes.group(0, 1), None)
    alone = dict(counted)
    group = episodes.group(0, 8)
    eight = rollout(model, group, None)
    assert counted == {name: 2 * value for name, value in alone.items()}
    assert all(torch.equal(row, one.tokens_BT[0]) for row in eight.tokens_BT)
    assert eight.components == 8 * one.components
    assert all(episode.record == group[0].record and episode.gold_ids == group[0].gold_ids for episode in group)
    group[0].record.searches.append(("more",))
    assert group[1].record.searches != group[0].record.searches, "what one does later is its own"
