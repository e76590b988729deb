"""The smoke model's shape, tokenizer and first weights: a Qwen2 small enough to be pretrained while one waits."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import jax.numpy as jnp
import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from apr_leaderboard.engine.reference.config import ModelConfig
from apr_leaderboard.engine.reference.forward import Params
from apr_leaderboard.engine.reference.layout import HF_LAYER_NAMES, tensor_shapes
from apr_leaderboard.engine.reference.smoke_corpus import documents, example_for
from apr_leaderboard.engine.reference.smoke_tasks import draw_task
from apr_leaderboard.engine.reference.tensors import Array, SafeTensorsWriter, TensorSpec
from apr_leaderboard.engine.reference.tokenizer import QWEN2_SPLIT
from apr_leaderboard.engine.reference.weights import flat_params

__all__ = [
    "CHAT_TEMPLATE",
    "END_OF_TEXT",
    "END_OF_TURN",
    "initial_params",
    "smoke_config",
    "token_id",
    "train_tokenizer",
    "write_weights",
]

END_OF_TEXT: Final = "<|endoftext|>"
_START_OF_TURN: Final = "<|im_start|>"
END_OF_TURN: Final = "<|im_end|>"
_SPECIAL: Final = (END_OF_TEXT, _START_OF_TURN, END_OF_TURN)
_VOCAB: Final = 1024
_POSITION_BIAS: Final = 6.0
_POSITION_PAIRS: Final = 6
"""Size of the position biases, and on how many of the fastest rotary pairs they stand."""

CHAT_TEMPLATE: Final = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""ChatML, as Qwen2 writes it, without its default system message."""


def smoke_config(tokenizer: Tokenizer) -> ModelConfig:
    """About 0.57 million parameters; widths are ones every engine here can quantise and run."""
    return ModelConfig(
        family="qwen2",
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=128,
        intermediate_size=256,
        n_layers=3,
        n_heads=4,
        n_kv_heads=2,
        head_dim=32,
        context_length=2048,
        rope_theta=10000.0,
        norm_eps=1e-6,
        tie_embeddings=True,
        qkv_bias=True,
        bos_id=tokenizer.token_to_id(END_OF_TEXT),
        eos_ids=(token_id(tokenizer, END_OF_TURN), token_id(tokenizer, END_OF_TEXT)),
    )


def token_id(tokenizer: Tokenizer, text: str) -> int:
    """The id of a token that is known to be there."""
    found = tokenizer.token_to_id(text)
    assert found is not None, text
    return int(found)


def train_tokenizer(requests: Sequence[str]) -> Tokenizer:
    """Byte-level BPE of Qwen2's kind over the corpus and `requests`; the chat tokens come last, as Qwen2's do."""
    rng = random.Random(5)
    texts = documents(1, 3000)
    for _ in range(1000):
        task = draw_task(rng)
        texts.append(task.prompt(example_for(rng, task.family.kind)))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split: Any = pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCAB - len(_SPECIAL), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([*texts, *requests], trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in _SPECIAL])
    return tokenizer


def initial_params(config: ModelConfig, seed: int) -> Params:
    """Random weights with a little structure, so that copying from earlier text is learned in few steps.

    Maps are N(0, 1/in), those that write into the residual stream less by sqrt(2 x layers). On top, as in Trockman &
    Kolter 2023 ("Mimetic initialization of self-attention layers"), outputs lean towards what the values read and
    (after the first layer) queries towards keys; and the biases of the first layer let two of its heads look one and
    two tokens back, the first half of an induction head (Olsson et al. 2022).
    """
    rng = np.random.default_rng(seed)
    quieter = 1.0 / np.sqrt(2 * config.n_layers)

    def draw(name: str, shape: tuple[int, ...]) -> Array:
        if len(shape) == 1:
            value = 0.0 if name.endswith(".bias") else 1.0
            return np.full(shape, value, np.float32)
        scale = quieter if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0
        weights: Array = (rng.standard_normal(shape) * scale / np.sqrt(shape[1])).astype(np.float32)
        return weights

    drawn = {name: draw(name, shape) for name, shape in tensor_shapes(config)}
    for i in range(config.n_layers):
        _lean(config, drawn, f"model.layers.{i}.self_attn", with_queries=i > 0)
    _look_back(config, drawn, "model.layers.0.self_attn")
    return _tree(config, drawn)


def _lean(config: ModelConfig, tensors: dict[str, Array], stem: str, *, with_queries: bool) -> None:
    q, k, v, o = (tensors[f"{stem}.{name}_proj.weight"] for name in "qkvo")
    for head in range(config.n_heads):
        own = slice(head * config.head_dim, (head + 1) * config.head_dim)
        group = head // config.group_size
        shared = slice(group * config.head_dim, (group + 1) * config.head_dim)
        o[:, own] = 0.5 * (o[:, own] + v[shared].T)
        if with_queries:
            q[own] = 0.5 * q[own] + k[shared]


def _look_back(config: ModelConfig, tensors: dict[str, Array], stem: str) -> None:
    """Head h of the first group scores the token h + 1 back highest: its query bias is the key bias, rotated."""
    half = config.head_dim // 2
    frequencies = config.rope_theta ** (-np.arange(half) / half)
    size = np.where(np.arange(half) < _POSITION_PAIRS, _POSITION_BIAS, 0.0)
    q, k = tensors[f"{stem}.q_proj.bias"], tensors[f"{stem}.k_proj.bias"]
    k[:half] = size
    for head in range(config.group_size):
        start, angle = head * config.head_dim, frequencies * (head + 1)
        q[start : start + half] = size * np.cos(angle)
        q[start + half : start + 2 * half] = -size * np.sin(angle)


def write_weights(config: ModelConfig, params: Params, path: Path) -> None:
    """One SafeTensors file, float32, tensors in the order of their names."""
    arrays = flat_params(config, params)
    specs = [TensorSpec(name, "F32", arrays[name].shape) for name in sorted(arrays)]
    with SafeTensorsWriter(path, specs) as writer:
        for spec in specs:
            writer.write(spec.name, arrays[spec.name])


def _tree(config: ModelConfig, tensors: dict[str, Array]) -> Params:
    layers = []
    for i in range(config.n_layers):
        layer: dict[str, Any] = {}
        for ours, theirs in HF_LAYER_NAMES.items():
            name = f"model.layers.{i}.{theirs}"
            if name in tensors:
                layer[ours] = jnp.asarray(tensors[name])
                continue
            kinds = [kind for kind in ("weight", "bias") if f"{name}.{kind}" in tensors]
            layer[ours] = {kind: jnp.asarray(tensors[f"{name}.{kind}"]) for kind in kinds}
        layers.append(layer)
    embed, norm = tensors["model.embed_tokens.weight"], tensors["model.norm.weight"]
    return {"embed": jnp.asarray(embed), "final_norm": jnp.asarray(norm), "layers": layers}
