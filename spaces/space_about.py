"""The tab About: what the model is, how good it is by its own figures, and how programs ask it."""

import re
from html import escape
from typing import Any

from space_languages import language_name
from space_setup import Ready

FRONT_MATTER = re.compile(r"\A---\s*\n.*?\n---\s*\n", re.DOTALL)
MOST_NAMED = 12
HITS = ("hit_rate_1", "hit_rate_5", "hit_rate_10")
SNIPPET = """\
from gradio_client import Client

client = Client("{address}")
answer = client.predict(query="{query}", k=5, api_name="/search")
for result in answer["results"]:
    print(result["rank"], result["score"], result["id"], result["description"])
why = client.predict(id=answer["results"][0]["id"], query=answer["query"], api_name="/explain")
print(why["share"], why["slots"])"""


def snippet(address: str, query: str) -> str:
    """Return Python code that asks this app."""
    return SNIPPET.format(address=address, query=query.replace("\\", "").replace('"', "'"))


def program(address: str, query: str) -> str:
    """Return the code of `snippet` as HTML; plain, so that it is read on any ground and with the keyboard."""
    return (
        '<h2>Ask this app from Python</h2><pre class="code" tabindex="0" role="region" aria-label="Python code">'
        f"<code>{escape(snippet(address, query))}</code></pre>"
    )


def about(ready: Ready) -> str:
    """Return what is known about the model and the pictures, as Markdown."""
    retriever, config = ready.retriever, ready.retriever.model.config
    weights = sum(weight.numel() for weight in retriever.model.parameters())
    slots = (
        f"{retriever.slot_words}; score = {retriever.alpha:g} × whole picture + {1 - retriever.alpha:.3g} × best slot"
        if retriever.has_slots
        else "no slots; score = whole picture"
    )
    lines = [
        f"| Model | {_cell(retriever.title)} |",
        "| --- | --- |",
        f"| Pictures | {len(ready.searcher):,}, {_cell(ready.title)} |",
        f"| Languages | {_languages(ready.languages)} |",
        f"| Scoring | {slots} |",
        f"| Size | {weights / 1e6:.1f} million weights; vectors of {config.projection_dim} numbers |",
    ]
    parts = ["## This app", "\n".join(lines), *ready.notes, _figures(retriever.training())]
    card = _card(ready)
    return "\n\n".join([part for part in parts if part] + ([f"---\n\n{card}"] if card else []))


def _languages(codes: list[str]) -> str:
    names = [language_name(code) for code in codes]
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "") or "not recorded"


def _cell(text: str) -> str:
    """Return a name as a cell of a table that says nothing but the name."""
    return "`" + re.sub(r"[`|\s]+", " ", text) + "`"


def _figures(training: dict[str, Any]) -> str:
    """Return the validation figures of `training.json`, with what they are figures of."""
    validation = training.get("validation") or {}
    ending = "_text_to_image_hit_rate_1"
    codes = [name.removeprefix("eval_").removesuffix(ending) for name in validation if name.endswith(ending)]
    rows = []
    for code in codes:
        both = [
            [validation.get(f"eval_{code}_{way}_{hit}") for hit in HITS] for way in ("text_to_image", "image_to_text")
        ]
        if all(isinstance(value, (int, float)) for way in both for value in way):
            cells = " | ".join(" / ".join(f"{value:.1f}" for value in way) for way in both)
            rows.append(f"| {language_name(code)} | {cells} |")
    if not rows:
        return ""
    count = ((training.get("data") or {}).get("rows") or {}).get("validation")
    # The field's name in the file is not a word of the page.
    selection = str(training.get("selection", "how is not recorded")).replace("sum_of_hit_rates", "SumR")
    searched = f"all {count:,} pictures" if isinstance(count, int) else "all pictures"
    return "\n".join(
        [
            "## Figures",
            "",
            "| language | text to picture | picture to text |",
            "| --- | ---: | ---: |",
            *rows,
            "",
            "Hit rates at 1, 5 and 10 in percent: the share of queries with at least one right answer among the first "
            f"k, which papers call R@k. They are of the validation split of the training data: {searched} of the split "
            "are searched, with their descriptions, by all captions of one language at a time. The checkpoint was "
            f"selected by these figures ({selection}), which flatters it a little.",
        ]
    )


def _card(ready: Ready) -> str:
    path = ready.retriever.file("README.md")
    try:
        text = "" if path is None else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    return FRONT_MATTER.sub("", text).strip()
