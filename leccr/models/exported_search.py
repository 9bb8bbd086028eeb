"""Search an exported model with numpy, tokenizers and onnxruntime: python search.py VIEWS.npz QUERY [QUERY ...].

VIEWS.npz holds the names (B,) and the views (B, K, D) of B pictures, as views.py writes them.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

folder = Path(__file__).parent
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
text_tower = onnxruntime.InferenceSession(folder / "text.onnx")
gallery = np.load(sys.argv[1])
names, views = gallery["names"], gallery["views"]
encodings = tokenizer.encode_batch(sys.argv[2:])
ids = np.array([encoding.ids for encoding in encodings])
mask = np.array([encoding.attention_mask for encoding in encodings])
(embeds,) = text_tower.run(None, {"input_ids": ids, "attention_mask": mask})
scores = np.einsum("td,bkd->tbk", embeds, views).max(axis=2)
for query, row in zip(sys.argv[2:], scores):
    for picture in row.argsort()[::-1][:5]:
        print(f"{query}\t{names[picture]}\t{row[picture]:.4f}")
