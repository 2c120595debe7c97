"""safetensors files: the header, computed before any data; writing; reading."""
