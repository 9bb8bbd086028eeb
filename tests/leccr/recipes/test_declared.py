"""What is read from the source is what the imported classes have."""

import dataclasses
import inspect
from typing import Any

import pytest
from transformers import TrainingArguments

from leccr.recipes.declared import declared_arguments, declared_fields
from modeling_leccr import CrossLingualConfig, LeccrConfig
from processing import LeccrProcessor
from processing.images import RandomCrop


@pytest.mark.parametrize(
    ("file", "kind"),
    [("configuration_leccr.py", LeccrConfig), ("configuration_cross_lingual.py", CrossLingualConfig)],
)
def test_our_configurations_are_read_exactly(file: str, kind: Any) -> None:
    assert declared_fields("modeling_leccr", file, kind.__name__) == inspect.get_annotations(kind)


def test_every_field_of_training_is_read_with_its_plain_type() -> None:
    declared = declared_fields("transformers", "training_args.py", "TrainingArguments")
    real = {field.name: field.type for field in dataclasses.fields(TrainingArguments)}
    assert declared.keys() == real.keys()
    names = ("learning_rate", "max_steps", "bf16", "run_name", "eval_steps", "use_cpu", "num_train_epochs")
    assert {name: declared[name] for name in names} == {name: real[name] for name in names}


@pytest.mark.parametrize(("file", "kind"), [("processing_leccr.py", LeccrProcessor), ("images.py", RandomCrop)])
def test_arguments_are_those_of_the_class(file: str, kind: Any) -> None:
    declared = declared_arguments("processing", file, kind.__name__)
    assert list(declared) == list(inspect.signature(kind).parameters)
    assert declared.get("num_frames") in (None, int | None)


def test_a_package_that_is_not_there_is_a_missing_module() -> None:
    with pytest.raises(ModuleNotFoundError, match="nosuchpackage"):
        declared_fields("nosuchpackage", "a.py", "A")
