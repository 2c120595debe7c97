"""The words that people bring from elsewhere, each with the word that it means here. Suggested, never accepted."""

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
