"""The schema that editors use is the model's, and says yes and no as the model does."""

import json
import re
from pathlib import Path

from nomadflows.model import schema
from nomadflows.model.flow import FlowDefinition, StepDefinition
from nomadflows.model.problems import field_names

SHIPPED = Path(schema.__file__).with_name("flow.schema.json")


def test_the_shipped_file_is_what_the_model_says():
    assert SHIPPED.read_text("utf-8") == schema.schema_text(), (
        "run: python -m nomadflows.model.schema > flow.schema.json"
    )


def test_every_field_is_there_and_described():
    made = schema.schema()

    assert list(made["properties"]) == field_names(FlowDefinition)
    assert list(made["$defs"]["StepDefinition"]["properties"]) == field_names(StepDefinition)
    described = [*made["properties"].values(), *made["$defs"]["StepDefinition"]["properties"].values()]
    assert all(field.get("description") for field in described)


def test_patterns_are_those_of_the_design_s_example():
    step = schema.schema()["$defs"]["StepDefinition"]["properties"]

    assert re.search(step["use"]["pattern"], "sql@1.2.0:upsert")
    assert not re.search(step["use"]["pattern"], "sql")
    assert json.dumps(schema.schema())
