"""Reading and writing of safetensors files."""
