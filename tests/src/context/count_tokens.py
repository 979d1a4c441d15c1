"""Counts tokens as real models do: a JSON list of texts in, a list of counts out."""

import json
import sys

import bpe_openai

encodings = [bpe_openai.get_encoding(name) for name in ("o200k_base", "cl100k_base")]
texts = json.load(sys.stdin)
print(json.dumps([max(len(encoding.encode(text)) for encoding in encodings) for text in texts]))
