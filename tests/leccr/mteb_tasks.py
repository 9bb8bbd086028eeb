"""Retrieval tasks for `mteb` made of the built-in Scenes."""

from typing import Any, ClassVar

from datasets import Dataset
from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
from mteb.mocks import (
    MockAny2AnyRetrievalI2TTask,
    MockAny2AnyRetrievalT2ITask,
)


class ScenesT2I(MockAny2AnyRetrievalT2ITask):
    """All captions of the Scenes in one language find their pictures."""

    metadata = MockAny2AnyRetrievalT2ITask.metadata.model_copy(update={"name": "ScenesT2I"})
    rows: ClassVar[Dataset]
    described = False

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        captions = [(row["id"], text) for row in self.rows for text in row["source_captions"]]
        names = [f"{number} of {name}" for number, (name, _) in enumerate(captions)]
        texts = {"id": names, "text": [text for _, text in captions]}
        pictures = self.rows.select_columns(["id", "image", *(["description"] if self.described else [])])
        queries, corpus = Dataset.from_dict(texts), pictures
        right = {text: {picture: 1} for text, (picture, _) in zip(names, captions)}
        if self.metadata.category == "i2t":
            queries, corpus = corpus, queries
            right = {name: {text: 1 for text in names if text.endswith(f" of {name}")} for name in self.rows["id"]}
        data = RetrievalSplitData(queries=queries, corpus=corpus, relevant_docs=right, top_ranked=None)
        self.dataset = {"default": {"test": data}}
        self.data_loaded = True


class ScenesI2T(ScenesT2I):
    metadata = MockAny2AnyRetrievalI2TTask.metadata.model_copy(update={"name": "ScenesI2T"})


def scene_tasks(rows: Dataset, described: bool) -> list[Any]:
    tasks = [ScenesT2I(), ScenesI2T()]
    for task in tasks:
        task.rows, task.described = rows, described
    return tasks
