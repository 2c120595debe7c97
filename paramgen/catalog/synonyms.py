"""The words that people bring from elsewhere, each with the word that it means here. Suggested, never accepted."""

from paramgen.dtypes import DTYPES, SUB_BYTE_NAMES
from paramgen.messages import closest_match, did_you_mean, join_first, show

DTYPE_SYNONYMS = {
    "double": "float64",
    "fp64": "float64",
    "f64": "float64",
    "float": "float32",
    "single": "float32",
    "full": "float32",
    "fp32": "float32",
    "f32": "float32",
    "half": "float16",
    "fp16": "float16",
    "f16": "float16",
    "bf16": "bfloat16",
    "brain": "bfloat16",
    "fp8": "float8_e4m3fn",
    "float8": "float8_e4m3fn",
    "e4m3": "float8_e4m3fn",
    "e4m3fn": "float8_e4m3fn",
    "fp8_e4m3": "float8_e4m3fn",
    "float8_e4m3": "float8_e4m3fn",
    "f8_e4m3": "float8_e4m3fn",
    "e5m2": "float8_e5m2",
    "fp8_e5m2": "float8_e5m2",
    "f8_e5m2": "float8_e5m2",
    **dict.fromkeys(("e4m3fnuz", "f8_e4m3fnuz", "fp8_e4m3fnuz"), "float8_e4m3fnuz"),
    **dict.fromkeys(("e5m2fnuz", "f8_e5m2fnuz", "fp8_e5m2fnuz"), "float8_e5m2fnuz"),
    **dict.fromkeys(("e8m0", "e8m0fnu", "ue8m0", "f8_e8m0", "float8_e8m0"), "float8_e8m0fnu"),
    **dict.fromkeys(("complex", "cfloat", "c64", "csingle"), "complex64"),
    **dict.fromkeys(("boolean", "bool_"), "bool"),
    **dict.fromkeys(("i8", "s8", "char"), "int8"),
    **dict.fromkeys(("i16", "s16", "short"), "int16"),
    **dict.fromkeys(("i32", "s32", "int", "integer"), "int32"),
    **dict.fromkeys(("i64", "s64", "long"), "int64"),
    **dict.fromkeys(("u8", "byte", "ubyte", "uchar"), "uint8"),
    **dict.fromkeys(("u16", "ushort"), "uint16"),
    **dict.fromkeys(("u32", "uint"), "uint32"),
    **dict.fromkeys(("u64", "ulong"), "uint64"),
}
FRAMEWORK_SYNONYMS = {
    "pytorch": "torch",
    "pt": "torch",
    "tensorflow": "keras",
    "tf": "keras",
    "tf.keras": "keras",
    "jax": "flax",
    "linen": "flax",
    "mathworks": "matlab",
}
DEVICE_SYNONYMS = {"cuda": "gpu", "nvidia": "gpu", "host": "cpu"}

# In lower case: nn.Linear and Dense, Conv2d and Conv2D are one word.
OPERATION_SYNONYMS = {
    "linear": "fully_connected",
    "dense": "fully_connected",
    "fc": "fully_connected",
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution"), "conv"),
    **dict.fromkeys(("depthwiseconv1d", "depthwiseconv2d", "depthwise_conv"), "conv"),
    **dict.fromkeys(("convtranspose", "convtranspose1d", "convtranspose2d", "convtranspose3d"), "transposed_conv"),
    **dict.fromkeys(("conv1dtranspose", "conv2dtranspose", "conv3dtranspose", "deconv"), "transposed_conv"),
    **dict.fromkeys(("separableconv", "separableconv1d", "separableconv2d"), "separable_conv"),
    **dict.fromkeys(("batchnorm1d", "batchnorm2d", "batchnorm3d", "batchnormalization", "batch_norm"), "batchnorm"),
    "layernormalization": "layer_norm",
    "groupnormalization": "group_norm",
    **dict.fromkeys(("instancenorm1d", "instancenorm2d", "instancenorm3d"), "instance_norm"),
    "rmsnormalization": "rms_norm",
    **dict.fromkeys(("simplernn", "simplecell", "rnncell"), "rnn"),
    "grucell": "gru",
    **dict.fromkeys(("lstmcell", "optimizedlstmcell"), "lstm"),
    **dict.fromkeys(("multiheadattention", "multiheaddotproductattention", "attention"), "multihead_attention"),
    **dict.fromkeys(("moe", "mixture_of_experts", "mixtralexperts"), "experts"),
    **dict.fromkeys(("ssm", "mamba", "mamba2"), "state_space"),
}

# By operation type, in the words of PyTorch, Keras and Flax.
_CONV_FIELDS = {
    **dict.fromkeys(("kernel_size", "kernel"), "filter_size"),
    "in_channels": "num_channels",
    **dict.fromkeys(("out_channels", "filters", "features"), "num_filters"),
    "use_bias": "bias",
}
_GROUPED_FIELDS = {**_CONV_FIELDS, "groups": "num_groups", "feature_group_count": "num_groups"}
_NORM_FIELDS = {
    **dict.fromkeys(("num_features", "normalized_shape", "hidden_size", "features", "channels", "dim"), "num_channels"),
}
_RECURRENT_FIELDS = {
    **dict.fromkeys(("hidden_size", "units", "features"), "num_hidden_units"),
    **dict.fromkeys(("in_features", "input_dim"), "input_size"),
}
FIELD_SYNONYMS = {
    "fully_connected": {
        **dict.fromkeys(("in_features", "in_channels", "input_dim"), "input_size"),
        **dict.fromkeys(("out_features", "out_channels", "units", "features", "hidden_size"), "output_size"),
        "use_bias": "bias",
    },
    "conv": _GROUPED_FIELDS,
    "transposed_conv": _GROUPED_FIELDS,
    "separable_conv": {**_CONV_FIELDS, "channel_multiplier": "depth_multiplier"},
    "batchnorm": _NORM_FIELDS,
    "rms_norm": _NORM_FIELDS,
    "instance_norm": _NORM_FIELDS,
    "group_norm": {**_NORM_FIELDS, "groups": "num_groups"},
    "rnn": _RECURRENT_FIELDS,
    "gru": _RECURRENT_FIELDS,
    "lstm": {**_RECURRENT_FIELDS, "proj_size": "projection_size"},
    "multihead_attention": {
        **dict.fromkeys(("embed_dim", "hidden_size", "in_features"), "input_size"),
        **dict.fromkeys(("num_attention_heads", "heads", "n_heads"), "num_heads"),
        "qkv_features": "num_key_channels",
        "out_features": "output_size",
        "use_bias": "bias",
    },
    "embedding": {
        **dict.fromkeys(("num_embeddings", "vocab_size", "input_dim"), "vocabulary_size"),
        **dict.fromkeys(("embedding_dim", "output_dim", "features", "hidden_size", "dim"), "embedding_dimension"),
        **dict.fromkeys(("padding_idx", "pad_token_id"), "padding_index"),
    },
    "prelu": {"num_parameters": "num_channels"},
    "layer_norm": {**_NORM_FIELDS, **dict.fromkeys(("bias", "use_bias", "center"), "offset")},
    "experts": {
        **dict.fromkeys(("num_local_experts", "n_routed_experts"), "num_experts"),
        **dict.fromkeys(("intermediate_size", "moe_intermediate_size", "inner_size"), "num_hidden_units"),
        **dict.fromkeys(("hidden_size", "in_features"), "input_size"),
    },
    "state_space": {
        **dict.fromkeys(("num_heads", "d_inner", "intermediate_size"), "num_channels"),
        **dict.fromkeys(("d_state", "ssm_state_size"), "state_size"),
    },
    "weight_norm": {"dim": "axis"},
    "a custom parameter": {"size": "shape", "init": "initializer"},
    "the spec": {"precision": "dtype", "framework": "layout"},
    "a group": {"count": "repeat"},
    "gaussian": {"stddev": "std"},
    "truncated_normal": {"stddev": "std", "a": "low", "b": "high", "lower": "low", "upper": "high"},
    "orthogonal": {"scale": "gain"},
    "integers": {**dict.fromkeys(("min", "from"), "low"), **dict.fromkeys(("max", "to"), "high")},
    "bernoulli": dict.fromkeys(("prob", "probability", "probs"), "p"),
    "uniform": {"limit": "bound", "scale": "bound"},
    "constant": {"val": "value", "fill_value": "value"},
}

# Parameters by operation type, in `initializers` and `defaults`.
_WEIGHTS = dict.fromkeys(("weight", "kernel"), "weights")
_NORMED_WEIGHTS = {**_WEIGHTS, "weight_v": "weights", "weight_g": "magnitude"}
_SCALE = {**dict.fromkeys(("weight", "gamma"), "scale"), **dict.fromkeys(("bias", "beta"), "offset")}
_GATES = {
    **dict.fromkeys(("weight_ih", "weight_ih_l0", "kernel"), "input_weights"),
    **dict.fromkeys(("weight_hh", "weight_hh_l0", "recurrent_kernel"), "recurrent_weights"),
    **dict.fromkeys(("bias_ih", "bias_hh", "bias_ih_l0", "bias_hh_l0"), "bias"),
}
PARAMETER_SYNONYMS = {
    "fully_connected": _NORMED_WEIGHTS,
    "conv": _NORMED_WEIGHTS,
    "transposed_conv": _NORMED_WEIGHTS,
    "separable_conv": {"depthwise_kernel": "depthwise_weights", "pointwise_kernel": "pointwise_weights"},
    "batchnorm": _SCALE,
    "layer_norm": _SCALE,
    "instance_norm": _SCALE,
    "group_norm": _SCALE,
    "rms_norm": {"weight": "scale", "gamma": "scale"},
    "rnn": _GATES,
    "gru": _GATES,
    "lstm": {**_GATES, "weight_hr": "projection_weights", "weight_hr_l0": "projection_weights"},
    "multihead_attention": {
        **dict.fromkeys(("in_proj_weight", "qkv"), "qkv_weights"),
        "in_proj_bias": "qkv_bias",
        **dict.fromkeys(("q", "query", "q_proj", "q_proj_weight"), "query_weights"),
        **dict.fromkeys(("k", "key", "k_proj", "k_proj_weight"), "key_weights"),
        **dict.fromkeys(("v", "value", "v_proj", "v_proj_weight"), "value_weights"),
        **dict.fromkeys(("o_proj", "out", "out_proj", "attention_output"), "output_weights"),
    },
    "embedding": dict.fromkeys(("weight", "embedding", "embeddings"), "weights"),
    "prelu": dict.fromkeys(("weight", "negative_slope"), "alpha"),
    "experts": {"gate_up_proj": "gate_up_weights", "down_proj": "down_weights"},
    "state_space": {"A_log": "a_log", "D": "d"},
}

# PyTorch's normal variants are not truncated; those of Keras and JAX are.
INITIALIZER_SYNONYMS = {
    **dict.fromkeys(("normal", "normal_", "random_normal", "randomnormal"), "gaussian"),
    **dict.fromkeys(("trunc_normal", "trunc_normal_", "truncated_normal_", "truncatednormal"), "truncated_normal"),
    **dict.fromkeys(("uniform_", "random_uniform", "randomuniform"), "{type: uniform, bound: 0.05}"),
    **dict.fromkeys(("kaiming_normal", "kaiming_normal_"), "he"),
    **dict.fromkeys(("he_normal", "henormal"), "{type: he, distribution: truncated_normal}"),
    **dict.fromkeys(
        ("kaiming_uniform", "kaiming_uniform_", "he_uniform", "heuniform"), "{type: he, distribution: uniform}"
    ),
    **dict.fromkeys(("xavier_uniform", "xavier_uniform_", "glorot_uniform", "glorotuniform"), "glorot"),
    **dict.fromkeys(("xavier_normal", "xavier_normal_"), "{type: glorot, distribution: normal}"),
    **dict.fromkeys(("glorot_normal", "glorotnormal"), "{type: glorot, distribution: truncated_normal}"),
    **dict.fromkeys(("lecun_normal", "lecunnormal"), "{type: lecun, distribution: truncated_normal}"),
    **dict.fromkeys(("lecun_uniform", "lecununiform"), "{type: lecun, distribution: uniform}"),
    "variancescaling": "variance_scaling",
    **dict.fromkeys(("constant_", "fill", "full"), "{type: constant, value: 0.0}"),
    **dict.fromkeys(("zero", "zeros_"), "zeros"),
    **dict.fromkeys(("one", "ones_"), "ones"),
    **dict.fromkeys(("eye", "eye_"), "identity"),
    "dirac_": "dirac",
    **dict.fromkeys(("orthogonal_", "orthogonalinitializer"), "orthogonal"),
    "unit_forget_bias": "unit_forget_gate",
    **dict.fromkeys(("randint", "random_", "random_integers"), "{type: integers, low: 0, high: 1}"),
    **dict.fromkeys(("bernoulli_", "binomial"), "bernoulli"),
}


def dtype_error(text: str) -> str | None:
    """Return the error of a text that is not the name of a parameter's dtype."""
    if text in DTYPES:
        return None
    name = text.rpartition(".")[2]  # torch.int64
    if name.lower() in SUB_BYTE_NAMES:
        hint = "; files do not define how elements narrower than a byte are packed, so use uint8"
    else:
        hint = did_you_mean(name if name in DTYPES else closest_match(name, DTYPES, DTYPE_SYNONYMS))
    return f"unknown dtype {show(text)}{hint or f'; known: {join_first(DTYPES)}'}"
