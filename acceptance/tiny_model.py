"""Make a small random Qwen2 in the Hugging Face layout, with python3 alone.

`python3 tiny_model.py FOLDER [SEED] [LAYERS]`. With `--move SHARE` after these, it is the model of seed 1 with its
weights moved at random by that share, as in a tuning of it. `python3 tiny_model.py --data FILE [ROWS]` writes
instruction and response pairs to train on.
"""

import json
import random
import struct
import sys
from pathlib import Path

HIDDEN, INNER, HEADS, SHARED, VOCABULARY = 64, 128, 4, 2, 265
MERGES = ["d e", "r e", "Ġ Ġ", "o n", "de f", "ĠĠ ĠĠ"]
MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def shapes(layers):
    """Name -> shape of every tensor."""
    narrow = HIDDEN * SHARED // HEADS
    found = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN), "model.norm.weight": (HIDDEN,)}
    for layer in range(layers):
        stem = f"model.layers.{layer}."
        for part, rows in (("q", HIDDEN), ("k", narrow), ("v", narrow)):
            found[f"{stem}self_attn.{part}_proj.weight"] = (rows, HIDDEN)
            found[f"{stem}self_attn.{part}_proj.bias"] = (rows,)
        found[f"{stem}self_attn.o_proj.weight"] = (HIDDEN, HIDDEN)
        found[f"{stem}mlp.gate_proj.weight"] = found[f"{stem}mlp.up_proj.weight"] = (INNER, HIDDEN)
        found[f"{stem}mlp.down_proj.weight"] = (HIDDEN, INNER)
        found[f"{stem}input_layernorm.weight"] = found[f"{stem}post_attention_layernorm.weight"] = (HIDDEN,)
    return found


def draw(random_, name, shape):
    """Values of one tensor."""
    count = shape[0] * (shape[1] if len(shape) == 2 else 1)
    if "norm" in name:
        return [1 + 0.05 * random_.gauss(0, 1) for _ in range(count)]
    size = shape[1] ** -0.5 if len(shape) == 2 else 0.02
    return [size * random_.gauss(0, 1) for _ in range(count)]


def tokenizer():
    """A token for each byte, by the byte-level alphabet of GPT-2, and the marks of a chat."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) for byte in plain] + [chr(256 + n) for n in range(256 - len(plain))]
    pieces = [*sorted(letters), *(merge.replace(" ", "") for merge in MERGES)]
    vocabulary = {piece: at for at, piece in enumerate(pieces)}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    added = [
        {"id": len(pieces) + at, "content": mark, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for at, mark in enumerate(MARKS)
    ]  # fmt: skip
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": vocabulary,
             "merges": MERGES}  # fmt: skip
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
            "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level, "model": model}  # fmt: skip


def write(folder, seed, layers, share):
    """The whole folder."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": VOCABULARY, "hidden_size": HIDDEN,
        "intermediate_size": INNER, "num_hidden_layers": layers, "num_attention_heads": HEADS,
        "num_key_value_heads": SHARED, "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
        "hidden_act": "silu", "tie_word_embeddings": True, "torch_dtype": "float32", "bos_token_id": 262,
        "eos_token_id": 264,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    settings = {"eos_token": MARKS[2], "pad_token": MARKS[0], "bos_token": None}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    first, moved = random.Random(1 if share else seed), random.Random(seed)
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, shape in sorted(shapes(layers).items()):
        values = draw(first, name, shape)
        if share:
            values = [value + share * abs(value) * moved.gauss(0, 1) for value in values]
        packed = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [len(body), len(body) + len(packed)]}
        body += packed
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + body)


def write_pairs(file, rows):
    """Short pairs to train on."""
    lines = [{"instruction": f"Add {n}", "response": f"def add(x):\n    return x + {n}\n"} for n in range(rows)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[:1] == ["--data"]:
        write_pairs(Path(words[1]), int(words[2]) if len(words) > 2 else 8)
    else:
        share = float(words[words.index("--move") + 1]) if "--move" in words else 0.0
        numbers = words[1 : words.index("--move")] if share else words[1:]
        write(Path(words[0]), int(numbers[0]) if numbers else 1, int(numbers[1]) if len(numbers) > 1 else 2, share)
