# `leccr serve` over a gallery that is mounted at /gallery; docs/server.md shows how to build and run it.
FROM python:3.11-slim

# Of PyTorch's CPU builds, for instance; by default the builds for GPUs.
ARG TORCH_INDEX=""

RUN useradd --create-home --uid 10001 leccr
WORKDIR /app
COPY constraints.txt ./
# First, because it is by far the largest, and seldom changes.
RUN pip install --no-cache-dir --constraint constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch
COPY pyproject.toml README.md LICENSE ./
COPY hub_card hub_card
COPY leccr leccr
COPY modeling_leccr modeling_leccr
COPY processing processing
COPY spaces spaces
RUN pip install --no-cache-dir --constraint constraints.txt '.[gallery,sentence-transformers,serve,video]'

USER leccr
WORKDIR /home/leccr
# Made by the user, so that a volume mounted there can be written.
RUN mkdir -p .cache/huggingface
EXPOSE 8000
HEALTHCHECK --start-period=120s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=10)"]
ENTRYPOINT ["leccr"]
CMD ["serve", "/gallery", "--host", "0.0.0.0"]
