from dataclasses import replace

import pytest

from axon.inference import Model, ModelTable, ModelTableInvalid, UnknownModel, Upstream
from axon.inference.models import MODEL_NAME_CHARS_MAX, WILDCARD_LANE, WILDCARD_MODELS_MAX
from tests.inference.scene import model_of

UP = Upstream(name="a", base_url="http://localhost", model="tiny")


def test_a_name_is_resolved() -> None:
    table = ModelTable((model_of(UP, alias="one"), model_of(UP, alias="two")))
    assert table.resolve("two").alias == "two"
    assert [model.alias for model in table.list()] == ["one", "two"]
    with pytest.raises(UnknownModel):
        table.resolve("three")


def test_the_wildcard_passes_any_name_in_one_lane() -> None:
    table = ModelTable((model_of(UP, alias="one"),), model_of(replace(UP, name="w"), alias="*"))
    passed = table.resolve("vendor/some-model")
    assert passed.alias == "vendor/some-model"
    assert passed.upstreams[0].model == "vendor/some-model"
    assert passed.lane == WILDCARD_LANE
    assert table.resolve("vendor/some-model") is passed
    assert table.resolve("one").lane == "one"
    assert [model.alias for model in table.list()] == ["one"]
    for name in ("", "x" * (MODEL_NAME_CHARS_MAX + 1)):
        with pytest.raises(UnknownModel):
            table.resolve(name)


def test_the_wildcard_remembers_a_bounded_number() -> None:
    table = ModelTable((), model_of(UP, alias="*"))
    first = table.resolve("0")
    for number in range(1, WILDCARD_MODELS_MAX + 1):
        table.resolve(str(number))
    assert table.resolve("0") is not first


@pytest.mark.parametrize(
    "models",
    [
        (model_of(UP), model_of(UP)),
        (model_of(),),
        (model_of(UP, replace(UP, order=1)),),
        (model_of(replace(UP, slots=0)),),
        (model_of(replace(UP, weight=0)),),
        (model_of(UP, alias="one"), model_of(replace(UP, base_url="http://other"), alias="two")),
        (model_of(UP, alias=WILDCARD_LANE),),
    ],
    ids=["alias-twice", "no-upstream", "upstream-twice", "slots", "weight", "two-ways", "wildcard"],
)
def test_a_table_that_contradicts_itself_is_refused(models: tuple[Model, ...]) -> None:
    with pytest.raises(ModelTableInvalid):
        ModelTable(models)


def test_models_may_share_an_upstream_under_other_names() -> None:
    other = replace(UP, model="large", weight=3, order=2)
    assert ModelTable((model_of(UP, alias="one"), model_of(other, alias="two"))).served()
