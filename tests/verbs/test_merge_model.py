import pytest
import torch

from tests.model.world import STYLE
from visreason.errors import RunError
from visreason.model.adapters import add_lora
from visreason.model.load import load
from visreason.model.value_head import ValueHead
from visreason.record import Completion, Sample, Score
from visreason.reward.learned import Learned
from visreason.store import manifest, of_other_style
from visreason.verbs import merge, sft


@pytest.fixture
def adapters(policy, tmp_path):
    """Adapters that say something, of a reward model, as training leaves them."""
    torch.manual_seed(0)
    add_lora(policy, 4, 8, ("vision", "merger", "language"))
    for name, p in policy.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(p, std=0.1)
    policy.value_head = ValueHead(policy.base.config.get_text_config().hidden_size, STYLE)
    torch.nn.init.normal_(policy.value_head.summary.weight)
    policy.save(tmp_path / "adapters")
    return tmp_path / "adapters"


def test_adapters_become_a_whole_model_with_their_head(adapters, world, drawn, tmp_path):
    merge.run(merge.Recipe(checkpoint=adapters), tmp_path / "whole")
    made = tmp_path / "whole" / "checkpoint" / "step_000000"
    assert not (made / "adapter_config.json").exists()
    whole, apart = (dict(load(str(p), device="cpu").named_parameters()) for p in (made, adapters))
    assert whole.keys() == apart.keys()
    assert all(torch.equal(whole[k], apart[k]) for k in whole)
    samples = [Sample(p, Completion(text), Score(0.0)) for p in drawn[:2] for text in ("A", "B")]
    assert Learned(str(tmp_path / "whole"))(samples) == Learned(str(adapters))(samples)
    names = set(manifest(tmp_path / "whole")["inputs"])
    assert {str(world / "small" / "model.safetensors"), str(adapters / "adapter_model.safetensors")} <= names


def test_a_run_with_adapters_becomes_a_model_that_is_asked_in_the_runs_style(world, tmp_path):
    fields = {"model": str(world / "small"), "data": str(world / "train.jsonl"), "style": STYLE, "lora_rank": 2,
              "device": "cpu", "steps": 1, "problems_per_step": 2}  # fmt: skip
    sft.run(sft.Recipe(**fields), tmp_path / "sft")
    merge.run(merge.Recipe(checkpoint=tmp_path / "sft"), tmp_path / "whole")
    assert (tmp_path / "whole" / "checkpoint" / "step_000001" / "model.safetensors").exists()
    assert f"trained in style={STYLE}, " in of_other_style(str(tmp_path / "whole"), "direct")


def test_a_whole_model_needs_no_merging(world, tmp_path):
    with pytest.raises(RunError, match=r"expected a checkpoint in shards, or adapters, at .*, found neither"):
        merge.run(merge.Recipe(checkpoint=world / "small"), tmp_path / "whole")
