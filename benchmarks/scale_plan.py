"""The numbers of `docs/scale.md`, from their formulas.

    python -m benchmarks.scale_plan

Each line is a name, the formula that is computed, its unit, and where it comes from: "given" by the task, a
"specification", "measured" in `RESULTS.md`, the "method" or its settings, or an "assumption" to replace by your own.
Lines without a source follow from those before them.
"""

from typing import NamedTuple

PREFIXES = ((12, "T"), (9, "G"), (6, "M"), (3, "k"), (0, ""))


class Line(NamedTuple):
    """One number, and how it comes about."""

    name: str
    formula: str
    unit: str = ""
    source: str = ""


COMMON = [
    Line("gpus", "8", "", "given"),
    Line("gpu_rate", "989e12", "FLOP/s", "specification: H100 SXM, bf16, dense"),
    Line("gpu_bandwidth", "3.35e12", "B/s", "specification: H100 SXM"),
    Line("gpu_memory", "80e9", "B", "specification: H100 SXM"),
    Line("gpu_hour", "2.5", "$", "assumption: rented by the hour"),
    Line("tower_weights", "85e6", "", "method: 12 layers of 12 × 768², vision (ViT-B) and text (BERT-base) alike"),
    Line("picture_tokens", "145", "", "method: (384 / 32)² + 1"),
    Line("caption_tokens", "32", "", "assumption"),
    Line("description_tokens", "128", "", "assumption: three sentences"),
    Line("utilisation", "0.3", "", "assumption: share of the GPU's rate that small towers reach"),
    Line("picture_bytes", "100e3", "B", "assumption: JPEG, 500 pixels"),
    Line("decoded_per_core", "250", "pictures/s", "assumption: JPEG of that size, reduced and cropped"),
]

TRAINING = [
    Line("pictures", "3e6", "", "given"),
    Line("languages", "10", "", "given"),
    Line("epochs", "3 * languages", "", "assumption: each language of a picture is drawn three times"),
    Line("tokens", "picture_tokens + 2 * caption_tokens + description_tokens", "", "method: anchored slots"),
    Line("flop_per_pair", "3 * 2 * tower_weights * tokens", "FLOP", "method: forward once, backward twice as much"),
    Line("scaling", "0.9", "", "assumption: share that is left when 8 GPUs wait for each other"),
    Line("pairs_per_second", "gpus * scaling * utilisation * gpu_rate / flop_per_pair", "1/s"),
    Line("training_hours", "pictures * epochs / pairs_per_second / 3600", "h"),
    Line("training_cost", "training_hours * gpus * gpu_hour", "$"),
    Line("decoding_cores", "pairs_per_second / decoded_per_core", ""),
    Line("read_rate", "pairs_per_second * picture_bytes", "B/s"),
    Line("data_bytes", "pictures * picture_bytes", "B"),
    Line("feature_bytes", "pictures * picture_tokens * 768 * 2", "B", "method: `leccr features`, fp16"),
    Line("weights", "2 * tower_weights + 92e6 + 20e6", "", "method: towers, embeddings of mBERT, new layers"),
    Line("training_memory", "weights * 16", "B", "method: fp32 weights, gradients and two moments of AdamW"),
    Line("step_seconds", "1024 / pairs_per_second", "s", "method: 128 rows on each GPU"),
    Line("exchange_seconds", "2 * 7 / 8 * weights * 4 / 450e9", "s", "specification: NVLink 4, 450 GB/s each way"),
]

DESCRIBING = [
    Line("described", "10e6", "", "given"),
    Line("model_weights", "8e9", "", "given: a vision language model of this size, bf16"),
    Line("prompt_tokens", "1000", "", "assumption: the picture and the question"),
    Line("answer_tokens", "150", "", "assumption"),
    Line("prefill_share", "0.4", "", "assumption: of the GPU's rate"),
    Line("prefill_seconds", "2 * model_weights * prompt_tokens / (prefill_share * gpu_rate)", "s"),
    Line("cache_per_token", "36 * 2 * 8 * 128 * 2", "B", "assumption: 36 layers, 8 key-value heads of 128, bf16"),
    Line("cache_per_request", "cache_per_token * (prompt_tokens + answer_tokens)", "B"),
    Line("most_in_flight", "(0.9 * gpu_memory - 2 * model_weights) / cache_per_request", "", "vLLM takes 90 %"),
    Line("in_flight", "256", "", "assumption: requests of one GPU, fewer than fit"),
    Line("token_step", "(2 * model_weights + in_flight * cache_per_request) / gpu_bandwidth", "s"),
    Line("decoding_share", "0.5", "", "assumption: of the bandwidth"),
    Line("answer_seconds", "answer_tokens * token_step / decoding_share / in_flight", "s"),
    Line("described_per_second", "gpus / (prefill_seconds + answer_seconds)", "1/s"),
    Line("describing_hours", "described / described_per_second / 3600", "h"),
    Line("cost_per_million", "1e6 / described_per_second / 3600 * gpus * gpu_hour", "$"),
    Line("latency", "gpus * in_flight / described_per_second", "s", "Little's law"),
    Line("upload_rate", "described_per_second * picture_bytes * 4 / 3", "B/s", "method: base64"),
    Line("failing", "0.01", "", "assumption: share of requests that fail, each by itself"),
    Line("attempts", "6", "", "method: of `leccr describe`"),
    Line("sent_again", "described * failing / (1 - failing)", ""),
    Line("lost", "described * failing**attempts", "", "until the same command is run again"),
    Line("journal_bytes", "described * 800", "B", "assumption: 800 bytes for each answer"),
]

GALLERY = [
    Line("items", "1e9", "", "given"),
    Line("views", "4", "", "method: slots"),
    Line("dimensions", "256", "", "method"),
    Line("vectors", "items * views", ""),
    Line("fp32_bytes", "vectors * dimensions * 4", "B"),
    Line("graph_bytes", "vectors * (1312 - 1052) * 1e6 / 1e6", "B", "measured: HNSW against flat, 1 M views"),
    Line("hnsw_bytes", "fp32_bytes + graph_bytes", "B"),
    Line("pq_codes_per_query", "vectors * 64 / 1024", "", "method: 64 of 1,024 lists are searched"),
    Line("pq_query_core_seconds", "pq_codes_per_query / 100e6", "core s", "assumption: 100 M codes a second and core"),
    Line("pq_bytes", "vectors * (32 + 8)", "B", "method: IVF-PQ of 32 codes, and ids"),
    Line("node_memory", "0.7 * 512e9", "B", "assumption: 70 % of nodes with 512 GB"),
    Line("hnsw_nodes", "hnsw_bytes / node_memory", ""),
    Line("pq_nodes", "pq_bytes / node_memory", ""),
    Line("one_view_nodes", "hnsw_nodes / views", "", "with `dual-encoder` or `late-fusion`, which have one view"),
    Line("segment_bytes", "16e9", "B", "assumption: segments compacted to this size"),
    Line("segments", "fp32_bytes / segment_bytes", ""),
    Line("segment_search", "1.6e-3 * 1.3", "core s", "measured: 1 M views; assumption: 1.3 for 16 M"),
    Line("query_core_seconds", "segments * segment_search", "core s"),
    Line("node_cores", "64", "", "assumption"),
    Line("queries_per_second", "hnsw_nodes * node_cores / query_core_seconds", "1/s"),
    Line("build_core_hours", "vectors * 357 * 2 / 1e6 / 3600", "core h", "measured: HNSW of 1 M views, two cores"),
    Line("build_hours", "build_core_hours / (hnsw_nodes * node_cores)", "h"),
    Line("flop_per_item", "2 * tower_weights * (picture_tokens + description_tokens)", "FLOP"),
    Line("encoding_hours", "items * flop_per_item / (gpus * utilisation * gpu_rate) / 3600", "h"),
    Line("decoding_core_hours", "items / decoded_per_core / 3600", "core h"),
    Line("describing_all", "items / 1e6 * cost_per_million", "$"),
]

SECTIONS = {
    "For all three": COMMON,
    "Training": TRAINING,
    "Describing": DESCRIBING,
    "Gallery": GALLERY,
}


def computed() -> dict[str, float]:
    """Return all numbers by name."""
    values: dict[str, float] = {}
    for line in (line for lines in SECTIONS.values() for line in lines):
        values[line.name] = float(eval(line.formula, {"__builtins__": {}}, values))  # noqa: S307 - the formulas above
    return values


def shown(value: float, unit: str) -> str:
    """Return a number with three significant digits, and a prefix of the unit where it has one."""
    if unit.startswith(("B", "FLOP")):
        exponent, prefix = next(pair for pair in PREFIXES if value >= 10 ** pair[0])
        return f"{float(f'{value / 10**exponent:.3g}'):g} {prefix}{unit}"
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f} {unit}".rstrip() if rounded >= 100 else f"{rounded:g} {unit}".rstrip()


def table(lines: list[Line], values: dict[str, float]) -> str:
    """Return lines as a Markdown table."""
    rows = ["| number | formula | value | source |", "| --- | --- | ---: | --- |"]
    for line in lines:
        value = shown(values[line.name], line.unit)
        rows.append(f"| `{line.name}` | `{line.formula}` | {value} | {line.source} |")
    return "\n".join(rows)


def main() -> None:
    values = computed()
    for title, lines in SECTIONS.items():
        print(f"## {title}\n\n{table(lines, values)}\n")


if __name__ == "__main__":
    main()
