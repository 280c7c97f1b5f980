"""Writes a model folder of srlm's (Qwen2, as `srlm save` leaves it) as a GGUF file with its tokenizer and chat template.

usage: to_gguf.py FOLDER OUT.gguf        (needs gguf and numpy from PyPI)
"""
import json
import sys
from pathlib import Path

import gguf
import numpy as np

# Names of a layer's tensors: Hugging Face's, then llama.cpp's.
LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def tensors(path):
    """The tensors of a safetensors file, all of them f32: eight bytes of length, a header in JSON, the numbers."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    for name, about in header.items():
        if name == "__metadata__":
            continue
        assert about["dtype"] == "F32", f"{name} is {about['dtype']}"
        start, end = (8 + length + offset for offset in about["data_offsets"])
        yield name, np.frombuffer(data[start:end], dtype=np.float32).reshape(about["shape"])


def renamed(name):
    parts = name.removeprefix("model.").split(".")
    if parts[0] == "layers":
        return f"blk.{parts[1]}.{LAYER['.'.join(parts[2:-1])]}.{parts[-1]}"
    return {"embed_tokens": "token_embd.weight", "norm": "output_norm.weight", "lm_head": "output.weight"}[parts[0]]


def vocabulary(writer, folder, size):
    """A byte-level BPE tokenizer; ids without a token are filled up, since llama.cpp wants one for each row."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    model, added = tokenizer["model"], tokenizer["added_tokens"]
    tokens = [f"[unused {id}]" for id in range(size)]
    types = [gguf.TokenType.UNUSED] * size
    for token, id in model["vocab"].items():
        tokens[id], types[id] = token, gguf.TokenType.NORMAL
    for token in added:
        tokens[token["id"]] = token["content"]
        types[token["id"]] = gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    end = config["eos_token"]
    end = end if isinstance(end, str) else end["content"]
    writer.add_eos_token_id(tokens.index(end))
    writer.add_add_bos_token(False)
    writer.add_chat_template(config.get("chat_template") or (folder / "chat_template.jinja").read_text())


def main(folder, out):
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "qwen2", config["model_type"]
    writer = gguf.GGUFWriter(out, "qwen2")
    writer.add_name(folder.name)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    rope = config.get("rope_parameters") or {}
    writer.add_rope_freq_base(config.get("rope_theta") or rope["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    vocabulary(writer, folder, config["vocab_size"])
    for name, tensor in tensors(folder / "model.safetensors"):
        if name == "lm_head.weight" and config.get("tie_word_embeddings"):
            continue
        writer.add_tensor(renamed(name), tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
